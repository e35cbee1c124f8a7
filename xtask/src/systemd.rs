//! `cargo xtask test --systemd 12,13`: the package in the hands of a real systemd, from its installation to its removal.
//!
//! Two machines of each Debian release, booted by systemd-nspawn: a node, and a main node that gathers from it by scp after
//! every step. They are in network namespaces of their own; an nft counter among the node's customers says what it has to
//! have counted.

mod deb;
mod image;
mod machine;
mod network;
mod node;
mod observer;
mod release;
mod rootfs;
mod story;
mod table;
mod traffic;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::process::root;
use crate::{dist, packages};
use deb::Deb;

/// What the host needs.
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

/// Everything fetched, made and logged lies here.
const DIRECTORY: &str = "target/systemd";

/// Runs the whole story on each release of `numbers`, with the package `deb`, or with one that is built now.
///
/// # Errors
/// When a release is not known, something cannot be fetched or built, or a step fails.
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
        let outcome = rootfs::base(release, &directory).and_then(|base| {
            image::check(&base, &directory, &deb)?;
            story::run(release, &base, &directory, &deb)
        });
        match outcome {
            Ok(tables) => said += &format!("\n{tables}"),
            // One release that fails is no reason not to try the others.
            Err(error) => {
                eprintln!("Debian {}: {error:#}", release.number);
                failed.push(release.number);
            }
        }
    }
    println!("{said}");
    if !failed.is_empty() {
        bail!("not passed on Debian {}: the machines' files and consoles are in {DIRECTORY}", failed.join(", "));
    }
    Ok(())
}
