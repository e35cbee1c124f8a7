//! The Debian packages that tests and the demo need: says which, installs those that are missing.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{command, run};

/// Network namespaces, both iptables, firewalls, real ssh and mail servers, and the foreign tools that check our files.
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

/// Installs the packages of `wanted` that are missing. Nothing is removed for them, and none of their services is started,
/// neither now nor at the next boot: a firewall or a mail server that nobody asked for must not come up then.
///
/// # Errors
/// When something is missing and this is not root on Debian or Ubuntu, or apt-get fails.
pub fn install(wanted: &[&str]) -> Result<()> {
    let missing: Vec<&str> = wanted.iter().copied().filter(|name| !is_installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("installing with apt-get: {}", missing.join(" "));
    if !Path::new("/usr/bin/apt-get").exists() {
        bail!("this is not Debian or Ubuntu: install these yourself: {}", missing.join(" "));
    }
    let _no_services = NoServices::begin()?;
    let enabled_before = enabled_units();
    // An archive may be out of reach for a moment.
    const RETRIES: &str = "-oAcquire::Retries=5";
    run(command("apt-get", [RETRIES, "update", "-qq"]).env("DEBIAN_FRONTEND", "noninteractive"))?;
    // `--no-remove`: a mail server that is there already would have to go for another one; better to stop and say so.
    let options = [RETRIES, "install", "-qq", "-y", "--no-install-recommends", "--no-remove"];
    let installed = run(command("apt-get", options).args(&missing).env("DEBIAN_FRONTEND", "noninteractive"));
    // Also where the installation stopped halfway.
    disable_units(enabled_units().difference(&enabled_before).cloned().collect())?;
    installed
}

/// The units that systemd starts at boot; none where there is no systemd.
fn enabled_units() -> BTreeSet<String> {
    // With `--root` it reads the links and asks no running systemd, which a container has not.
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
    eprintln!("these are not to be started at boot: {}", units.join(" "));
    run(command("systemctl", ["--root=/", "disable", "--quiet"]).args(units))
}

fn is_installed(package: &str) -> bool {
    let output = Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", package]).output();
    output.is_ok_and(|output| output.stdout == b"installed")
}

/// While this lives, the packages' own services are not started (Debian's policy-rc.d): the tests start their own.
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
            // The administrator has a policy already: it stays.
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
