//! Root file systems of machines, made once by debootstrap and copied for each machine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::kernels::debian_mirror;
use crate::process::{command, run};

/// A minimal Debian `suite` with the packages `include`, in `directory`. It is made if necessary, from the mirror that
/// this machine's apt uses.
///
/// # Errors
/// When debootstrap fails.
pub fn base(suite: &str, include: &str, directory: &Path) -> Result<PathBuf> {
    let base = directory.join("base");
    if base.exists() {
        return Ok(base);
    }
    fs::create_dir_all(directory)?;
    // An interrupted run must not leave half a system for the next one.
    let unfinished = directory.join("base.unfinished");
    remove(&unfinished)?;
    let include = format!("--include={include}");
    let mut debootstrap = command("debootstrap", ["--variant=minbase", &include, suite]);
    run(debootstrap.arg(&unfinished).arg(debian_mirror(suite)?))?;
    fs::rename(&unfinished, &base)?;
    Ok(base)
}

/// Makes a fresh copy of `base` at `to`.
///
/// # Errors
/// When it cannot be made.
pub fn copy(base: &Path, to: &Path) -> Result<()> {
    remove(to)?;
    run(command("cp", ["--archive", "--reflink=auto"]).args([base, to]))
}

fn remove(tree: &Path) -> Result<()> {
    if tree.exists() {
        fs::remove_dir_all(tree).with_context(|| format!("failed to remove {}", tree.display()))?;
    }
    Ok(())
}
