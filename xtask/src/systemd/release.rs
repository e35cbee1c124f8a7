//! The Debian releases on which the units are tried.

use anyhow::{Result, bail};

/// One release of Debian.
pub struct Release {
    /// As it is named on the command line.
    pub number: &'static str,
    pub suite: &'static str,
}

const RELEASES: &[Release] = &[Release { number: "12", suite: "bookworm" }, Release { number: "13", suite: "trixie" }];

/// # Errors
/// When it is none of ours.
pub fn named(number: &str) -> Result<&'static Release> {
    let known = || RELEASES.iter().map(|release| release.number).collect::<Vec<_>>().join(", ");
    match RELEASES.iter().find(|release| release.number == number) {
        Some(release) => Ok(release),
        None => bail!("Debian {number} is not one of {}", known()),
    }
}
