//! The Debian packages that the tests and the demo need. Installs those that are missing.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{command, run};

/// Network namespaces, both variants of iptables, firewalls, real ssh and mail servers, and tools that check our files.
pub const FOR_TESTS: &[&str] = &[
    "bpftool",
    "clickhouse-server",
    "curl",
    "dbus",
    "e2fsprogs",
    "faketime",
    "firewalld",
    "fish",
    "iproute2",
    "ipset",
    "iptables",
    "jq",
    "libcap2-bin",
    "mount",
    "nftables",
    "openssh-client",
    "openssh-server",
    "openssl",
    "opensmtpd",
    "prometheus",
    "python3",
    "strace",
    "tmux",
    "ufw",
    "zstd",
];

/// Installs the packages of `wanted` that are missing. No package is removed for them, and none of their services is
/// started, neither now nor at the next boot: nobody asked for a firewall or a mail server on this machine.
///
/// # Errors
/// When something is missing and this is not root on Debian or Ubuntu, or when apt-get fails.
pub fn install(wanted: &[&str]) -> Result<()> {
    let missing: Vec<&str> = wanted.iter().copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("installing with apt-get: {}", missing.join(" "));
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("this is not Debian or Ubuntu; install these yourself: {}", missing.join(" "));
    }
    let _no_services = NoServices::begin()?;
    let enabled_before = enabled_units();
    // An archive may be temporarily unreachable.
    const RETRIES: &str = "-oAcquire::Retries=5";
    run(command("apt-get", [RETRIES, "update", "-qq"]).env("DEBIAN_FRONTEND", "noninteractive"))?;
    // With `--no-remove` apt-get fails instead of replacing a mail server that is already installed.
    let options = [RETRIES, "install", "-qq", "-y", "--no-install-recommends", "--no-remove"];
    let installed = run(command("apt-get", options).args(&missing).env("DEBIAN_FRONTEND", "noninteractive"));
    // This is done even if the installation failed halfway.
    disable_units(enabled_units().difference(&enabled_before).cloned().collect())?;
    installed
}

/// The units that systemd starts at boot. Empty if there is no systemd.
fn enabled_units() -> BTreeSet<String> {
    // With `--root` systemctl reads the links instead of asking a running systemd, which containers do not have.
    let listing = ["--root=/", "list-unit-files", "--state=enabled", "--no-legend", "--plain"];
    let output = Command::new("systemctl").args(listing).output();
    output.map(|output| names(&String::from_utf8_lossy(&output.stdout))).unwrap_or_default()
}

/// The first word of each line.
fn names(listing: &str) -> BTreeSet<String> {
    listing.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn disable_units(units: Vec<String>) -> Result<()> {
    if units.is_empty() {
        return Ok(());
    }
    eprintln!("these will not start at boot: {}", units.join(" "));
    run(command("systemctl", ["--root=/", "disable", "--quiet"]).args(units))
}

fn is_installed(package: &str) -> bool {
    let output = Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]).output();
    output.is_ok_and(|output| output.stdout == b"installed")
}

/// While this value exists, the packages' services are not started (by Debian's policy-rc.d). The tests start their
/// own.
struct NoServices {
    path: &'static Path,
    ours: bool,
}

impl NoServices {
    fn begin() -> Result<Self> {
        let path = Path::new("/usr/sbin/policy-rc.d");
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(path);
        match file {
            Ok(mut file) => {
                file.write_all(b"#!/bin/sh\nexit 101\n")?;
                file.set_permissions(fs::Permissions::from_mode(0o755))?;
                Ok(Self { path, ours: true })
            }
            // The administrator already has a policy, which is kept.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(Self { path, ours: false }),
            Err(error) => Err(error).with_context(|| format!("failed to write {} (are you root?)", path.display())),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(self.path)
        {
            eprintln!("warning: failed to remove {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests;
