//! `cargo xtask test --systemd 12,13`: tests the package under a real systemd, from its installation to its removal.
//!
//! For each Debian release, systemd-nspawn boots two machines: a node, and a main node that gathers from it by scp
//! after every step. They have network namespaces of their own. nft counters in the namespace of the node's customers
//! show what it should have counted.

mod deb;
mod image;
mod machine;
pub mod network;
mod node;
pub mod observer;
mod release;
pub mod rootfs;
mod story;
mod table;
pub mod traffic;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::process::root;
use crate::{dist, packages};
use deb::Deb;

/// The packages that the host needs.
const PACKAGES: &[&str] = &[
    "bpftool",
    "debian-archive-keyring",
    "debootstrap",
    "dpkg",
    "iproute2",
    "nftables",
    "systemd-container",
    "util-linux",
];

/// The directory for everything that is fetched, made and logged.
const DIRECTORY: &str = "target/systemd";

/// The packages in addition to a minimal Debian: systemd, sshd, both variants of iptables.
const INCLUDE: &str = "systemd,systemd-sysv,dbus,iproute2,iptables,ipset,kmod,openssh-server,openssh-client,procps,\
                       ca-certificates";

/// Runs all steps on each release of `numbers`, with the package `deb` or, by default, with one that is built now.
///
/// # Errors
/// When a release is unknown, something cannot be fetched or built, or a step fails.
pub fn run(numbers: &[String], deb: Option<&Path>, profile: dist::Profile) -> Result<()> {
    let releases = numbers.iter().map(|number| release::named(number)).collect::<Result<Vec<_>>>()?;
    packages::install(PACKAGES)?;
    let directory = root().join(DIRECTORY);
    fs::create_dir_all(&directory)?;
    let deb = match deb {
        Some(path) => Deb::open(path)?,
        None => Deb::open(&dist::package(profile)?.context("no package was built: is dpkg-deb missing?")?)?,
    };
    let mut said = String::new();
    let mut failed = Vec::new();
    for release in releases {
        let directory = directory.join(release.number);
        let outcome = rootfs::base(release.suite, INCLUDE, &directory).and_then(|base| {
            image::check(&base, &directory, &deb)?;
            story::run(release, &base, &directory, &deb)
        });
        match outcome {
            Ok(tables) => said += &format!("\n{tables}"),
            // If one release fails, the others are still tested.
            Err(error) => {
                eprintln!("Debian {}: {error:#}", release.number);
                failed.push(release.number);
            }
        }
    }
    println!("{said}");
    if !failed.is_empty() {
        bail!("failed on Debian {}: the machines' files and consoles are in {DIRECTORY}", failed.join(", "));
    }
    Ok(())
}
