//! The package under test, and the same program in a package with a higher version.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::process::{command, output, run};

/// A package and its version.
#[derive(Clone)]
pub struct Deb {
    pub path: PathBuf,
    pub version: String,
}

impl Deb {
    /// Reads the package at `path`.
    ///
    /// # Errors
    /// When it is not a package of ours.
    pub fn open(path: &Path) -> Result<Self> {
        let path = path.canonicalize().with_context(|| format!("there is no {}", path.display()))?;
        let field = |name| output(command("dpkg-deb", ["--field"]).arg(&path).arg(name));
        ensure!(field("Package")?.trim() == "flow-agent", "{} is another package", path.display());
        let version = field("Version")?.trim().to_owned();
        Ok(Self { path, version })
    }

    /// Builds a package with the same content and a higher version, in `directory`.
    ///
    /// # Errors
    /// When dpkg-deb fails.
    pub fn upgraded(&self, directory: &Path) -> Result<Self> {
        let scratch = tempfile::tempdir_in(directory)?;
        let tree = scratch.path().join("tree");
        run(command("dpkg-deb", ["--raw-extract"]).args([&self.path, &tree]))?;
        let version = format!("{}+1", self.version);
        let control = tree.join("DEBIAN/control");
        let text = fs::read_to_string(&control)?;
        let [old, new] = [&self.version, &version].map(|version| format!("Version: {version}\n"));
        ensure!(text.contains(&old), "{} has no line `{}`", control.display(), old.trim());
        fs::write(&control, text.replace(&old, &new))?;
        let path = directory.join(format!("flow-agent_{version}.deb"));
        run(command("dpkg-deb", ["--root-owner-group", "-Znone", "--build"]).args([&tree, &path]))?;
        Ok(Self { path, version })
    }
}
