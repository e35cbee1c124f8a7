//! The Debian releases on which the package is tested.

use anyhow::{Result, bail};

/// One release of Debian.
pub struct Release {
    /// The number used on the command line.
    pub number: &'static str,
    pub suite: &'static str,
}

const RELEASES: &[Release] = &[Release { number: "12", suite: "bookworm" }, Release { number: "13", suite: "trixie" }];

/// The release with this number.
///
/// # Errors
/// When it is not in [`RELEASES`].
pub fn named(number: &str) -> Result<&'static Release> {
    let known = || RELEASES.iter().map(|release| release.number).collect::<Vec<_>>().join(", ");
    match RELEASES.iter().find(|release| release.number == number) {
        Some(release) => Ok(release),
        None => bail!("Debian {number} is not one of {}", known()),
    }
}
