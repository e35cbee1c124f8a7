//! Root file systems of machines, made once by debootstrap and copied for each machine.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::release::Release;
use crate::kernels::debian_mirror;
use crate::process::{command, run};

/// The packages in addition to a minimal Debian: systemd, sshd, both variants of iptables.
const INCLUDE: &str = "systemd,systemd-sysv,dbus,iproute2,iptables,ipset,kmod,openssh-server,openssh-client,procps,\
                       ca-certificates";

/// The release's root file system in `directory`. It is made if necessary, from the mirror that this machine's apt
/// uses.
///
/// # Errors
/// When debootstrap fails.
pub fn base(release: &Release, directory: &Path) -> Result<PathBuf> {
    let base = directory.join("base");
    if base.exists() {
        return Ok(base);
    }
    fs::create_dir_all(directory)?;
    // An interrupted run must not leave half a system for the next one.
    let unfinished = directory.join("base.unfinished");
    remove(&unfinished)?;
    let include = format!("--include={INCLUDE}");
    let mut debootstrap = command("debootstrap", ["--variant=minbase", &include, release.suite]);
    run(debootstrap.arg(&unfinished).arg(debian_mirror(release.suite)?))?;
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
