//! `cargo xtask test --roots debian-12,busybox`: a release on the root file systems of distributions, from its installation
//! to its removal.
//!
//! Each root is a fresh copy, with network, mount and process namespaces of its own. The package is installed where there is
//! dpkg, elsewhere the tarball with its `install.sh`. A peer exchanges datagrams with it whose bytes are known beforehand, and
//! the agent has to count exactly those. Afterwards it is removed, and nothing but what is documented may be left. No systemd
//! runs there (`--systemd` is the test for that), and the kernel is the host's.

mod container;
mod distribution;
mod files;
mod story;

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::kernels::lines;
use crate::process::root;
use crate::{dist, packages};

/// What the host needs.
const PACKAGES: &[&str] = &["debian-archive-keyring", "debootstrap", "dpkg", "iproute2", "util-linux"];

/// The roots are kept here, for the next run.
const DIRECTORY: &str = "target/roots";

/// What is installed.
struct Release {
    deb: PathBuf,
    /// `cargo xtask dist` puts it beside the package.
    tarball: PathBuf,
}

/// Goes through the whole story on each root of `names`, with the release of the package `deb`, or with one that is built
/// now; prints a table.
///
/// # Errors
/// When a root is not known, something cannot be fetched or built, or a step fails.
pub fn run(names: &[String], deb: Option<&Path>) -> Result<()> {
    let chosen = names.iter().map(|name| distribution::named(name)).collect::<Result<Vec<_>>>()?;
    packages::install(PACKAGES)?;
    let directory = root().join(DIRECTORY);
    fs::create_dir_all(&directory)?;
    let deb = match deb {
        Some(path) => path.canonicalize().with_context(|| format!("there is no {}", path.display()))?,
        None => dist::package(dist::Profile::Release)?.context("no package was built: is dpkg-deb missing?")?,
    };
    let tarball = deb.with_file_name(format!("flow-agent-{}-{ARCH}-linux.tar.gz", env!("CARGO_PKG_VERSION")));
    let release = Release { deb, tarball };
    let mut table = vec![story::TITLES.map(str::to_owned).to_vec()];
    let mut failed = Vec::new();
    for distribution in &chosen {
        eprintln!("== {}", distribution.name);
        match distribution.base(&directory).and_then(|base| story::run(&base, &directory, &release)) {
            Ok(row) => table.push(std::iter::once(distribution.name.clone()).chain(row).collect()),
            // One root that fails is no reason not to try the others.
            Err(error) => {
                eprintln!("{}: {error:#}", distribution.name);
                failed.push(distribution.name.as_str());
            }
        }
    }
    println!("\n{}", lines(&table));
    if !failed.is_empty() {
        bail!("not passed: {}", failed.join(", "));
    }
    Ok(())
}
