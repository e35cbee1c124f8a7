//! A private set of apt lists, with packages of other suites. The machine's own sources stay as they are.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{command, output, run};

/// Debian's own servers, for a machine without a configured Debian mirror (Ubuntu).
const DEBIAN: &str = "http://deb.debian.org/debian";
const DEBIAN_SECURITY: &str = "http://deb.debian.org/debian-security";

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// An apt with its own sources, lists and caches.
pub struct Apt {
    directory: PathBuf,
}

impl Apt {
    /// Fetches the lists of `suites` into `directory`, from the mirrors that this machine's apt uses, if it uses any.
    ///
    /// # Errors
    /// When apt-get fails.
    pub fn update(directory: PathBuf, suites: &[impl AsRef<str>]) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(directory.join(part))?;
        }
        let mirrors = mirrors()?;
        let mut sources = String::new();
        for suite in suites.iter().map(AsRef::as_ref) {
            let uri = mirror(&mirrors, suite);
            sources.push_str(&format!("deb [signed-by={KEYRING}] {uri} {suite} main\n"));
        }
        fs::write(directory.join("sources.list"), sources)?;
        let apt = Self { directory };
        // Without this option, an archive that does not answer would look like one without the package.
        run(&mut apt.command("apt-get", ["update", "-qq", "--error-on=any"]))?;
        Ok(apt)
    }

    /// The names of the packages that begin with `prefix`, one per line.
    ///
    /// # Errors
    /// When apt-cache fails.
    pub fn names(&self, prefix: &str) -> Result<String> {
        output(&mut self.command("apt-cache", ["pkgnames", prefix]))
    }

    /// The names of the packages that `package` depends on.
    ///
    /// # Errors
    /// When apt-cache fails, or knows no such package.
    pub fn depends(&self, package: &str) -> Result<Vec<String>> {
        let listed = output(&mut self.command("apt-cache", ["depends", "--important", package]))?;
        Ok(listed.lines().filter_map(|line| line.trim().strip_prefix("Depends: ")).map(str::to_owned).collect())
    }

    /// Downloads `packages` and unpacks them into `tree`, one over another.
    ///
    /// # Errors
    /// When apt-get or dpkg-deb fails.
    pub fn unpack(&self, packages: &[String], tree: &Path) -> Result<()> {
        let downloads = tempfile::tempdir_in(&self.directory)?;
        let mut download = self.command("apt-get", ["download", "-qq"]);
        run(download.args(packages).current_dir(downloads.path()))?;
        for package in fs::read_dir(downloads.path())? {
            run(command("dpkg-deb", ["--extract"]).args([package?.path().as_path(), tree]))?;
        }
        Ok(())
    }

    /// Installs `package` on this machine, preferably from `suite`.
    ///
    /// # Errors
    /// When apt-get fails, as it does without root.
    pub fn install(&self, package: &str, suite: &str) -> Result<()> {
        let options = ["install", "-qq", "-y", "--no-install-recommends", "--no-remove", "-t", suite, package];
        run(self.command("apt-get", options).env("DEBIAN_FRONTEND", "noninteractive"))
    }

    fn command<const N: usize>(&self, program: &str, arguments: [&str; N]) -> Command {
        let mut apt = command(program, [] as [&str; 0]);
        let ours = |option: &str, part: &str| -> OsString {
            let mut setting = OsString::from(format!("{option}="));
            setting.push(self.directory.join(part));
            setting
        };
        for setting in [
            ours("Dir::Etc::sourcelist", "sources.list"),
            "Dir::Etc::sourceparts=-".into(),
            ours("Dir::State::lists", "lists"),
            ours("Dir::Cache", "cache"),
            // An archive may be temporarily unreachable.
            "Acquire::Retries=5".into(),
            // apt's own user may not have access to our directory.
            "APT::Sandbox::User=root".into(),
            "Acquire::Languages=none".into(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
        ] {
            apt.arg("-o").arg(setting);
        }
        apt.args(arguments);
        apt
    }
}

/// The server from which this machine gets `suite`.
///
/// # Errors
/// When apt-get fails.
pub fn debian_mirror(suite: &str) -> Result<String> {
    Ok(mirror(&mirrors()?, suite).to_owned())
}

/// The labels and addresses of the mirrors that this machine's apt uses.
fn mirrors() -> Result<Vec<(String, String)>> {
    let targets = ["indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"];
    let listed = output(&mut command("apt-get", targets)).context("Debian's packages are fetched with apt-get")?;
    let mirrors = listed.lines().filter_map(|line| line.split_once(' '));
    Ok(mirrors.map(|(label, uri)| (label.to_owned(), uri.to_owned())).collect())
}

/// The machine's mirror that publishes `suite`, otherwise Debian's own server.
fn mirror<'a>(mirrors: &'a [(String, String)], suite: &str) -> &'a str {
    let (label, debian) =
        if suite.ends_with("-security") { ("Debian-Security", DEBIAN_SECURITY) } else { ("Debian", DEBIAN) };
    mirrors.iter().find(|mirror| mirror.0 == label).map_or(debian, |mirror| &mirror.1)
}

#[cfg(test)]
mod tests;
