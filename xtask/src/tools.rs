//! Programs that tasks need and cargo builds. They are kept in `target/tools`.

use std::env;
use std::ffi::OsString;

use anyhow::Result;

use crate::process::{command, output, root, run};

const DIRECTORY: &str = "target/tools";

/// A program at the one version that is used.
pub struct Tool {
    pub name: &'static str,
    pub version: &'static str,
    /// Builds it without optimisation, which takes half the time, for a program that has little to do.
    pub unoptimised: bool,
}

impl Tool {
    /// Installs the program unless it is there, and returns a `PATH` on which it comes first. An installed program of
    /// another version is left alone.
    ///
    /// # Errors
    /// When cargo cannot install it.
    pub fn path(&self) -> Result<OsString> {
        let path = env::var_os("PATH").unwrap_or_default();
        let ours = root().join(DIRECTORY).join("bin");
        let with_ours = env::join_paths(std::iter::once(ours.clone()).chain(env::split_paths(&path)))?;
        let wanted = format!("{} {}", self.name, self.version);
        for path in [&path, &with_ours] {
            let version = output(command(self.name, ["--version"]).env("PATH", path));
            if version.is_ok_and(|version| version.trim() == wanted) {
                return Ok(path.clone());
            }
        }
        eprintln!("installing {wanted} into {} (some minutes)", ours.display());
        let mut cargo = command("cargo", ["install", self.name, "--version", self.version, "--locked"]);
        cargo.args(["--root", DIRECTORY]);
        if self.unoptimised {
            cargo.arg("--debug");
        }
        run(&mut cargo)?;
        Ok(with_ours)
    }
}
