//! The Debian package with the kernel of each series, and the suites that publish it.

use anyhow::{Result, bail};

/// A series of kernels that is in use, and the package with which its tests last passed.
#[derive(Debug, PartialEq, Eq)]
pub struct Series {
    /// The name in `--kernels`.
    pub name: &'static str,
    /// The Debian suites that publish it.
    pub suites: &'static [&'static str],
    /// The package to boot, as long as a suite has it.
    pub package: &'static str,
}

/// The known series, oldest first: those of Debian 11, 12 and 13, and those in their backports.
pub const KNOWN: &[Series] = &[
    Series { name: "5.10", suites: &["bullseye-security"], package: "linux-image-5.10.0-46-cloud-amd64" },
    Series { name: "6.1", suites: &["bookworm", "bookworm-security"], package: "linux-image-6.1.0-56-cloud-amd64" },
    Series { name: "6.12", suites: &["trixie", "trixie-security"], package: "linux-image-6.12.117+deb13-cloud-amd64" },
    Series { name: "6.18", suites: &["trixie-backports"], package: "linux-image-6.18.15+deb13-cloud-amd64" },
    Series { name: "7.3", suites: &["trixie-backports"], package: "linux-image-7.3.4+deb13-cloud-amd64" },
];

/// The series with this name.
///
/// # Errors
/// When it is not in [`KNOWN`].
pub fn named(name: &str) -> Result<&'static Series> {
    let found = KNOWN.iter().find(|series| series.name == name);
    let Some(series) = found else {
        let names: Vec<&str> = KNOWN.iter().map(|series| series.name).collect();
        bail!("no kernel `{name}`; there are: {}", names.join(", "));
    };
    Ok(series)
}

impl Series {
    /// The name as numbers, for comparisons.
    pub fn version(&self) -> (u32, u32) {
        let (major, minor) = self.name.split_once('.').expect("the name of a series is two numbers");
        let number = |text: &str| text.parse().expect("the name of a series is two numbers");
        (number(major), number(minor))
    }

    /// The pinned package if `published` has it, otherwise the newest package of the series. `None` if there is none.
    pub fn choose<'a>(&self, published: impl IntoIterator<Item = &'a str>) -> Option<String> {
        let ours: Vec<&str> = published.into_iter().filter(|package| self.holds(package)).collect();
        let pinned = ours.iter().find(|package| **package == self.package);
        let newest = || ours.iter().max_by_key(|package| numbers(package));
        pinned.or_else(newest).map(|package| (*package).to_owned())
    }

    /// Whether the package is a kernel of this series. For 6.1 that is `linux-image-6.1.0-56-cloud-amd64`, but neither
    /// the metapackage `linux-image-6.1-cloud-amd64` nor a 6.12.
    fn holds(&self, package: &str) -> bool {
        let version = package.strip_prefix("linux-image-").and_then(|rest| rest.strip_suffix("-cloud-amd64"));
        version.and_then(|version| version.strip_prefix(self.name)).is_some_and(|patch| patch.starts_with('.'))
    }
}

/// All numbers in a package's name. As a sort key they put `6.12.100+deb13` after `6.12.95+deb13`.
fn numbers(package: &str) -> Vec<u64> {
    let digits = package.trim_end_matches("-cloud-amd64").split(|character: char| !character.is_ascii_digit());
    digits.filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests;
