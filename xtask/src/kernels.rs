//! `cargo xtask test --kernels 5.10,6.1`: runs the kernel tests on kernels that are in use, each booted in QEMU.
//!
//! virtme-ng, which boots a kernel on the host's own files, would need modules that Debian's cloud kernels do not have
//! (9p) or a server that Debian 12 does not have (virtiofsd). So a small root file system is made here.

mod apt;
mod guest;
mod image;
mod kernel;
mod qemu;
mod series;
mod suite;
mod table;
mod verdict;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::process::root;
pub use apt::{Apt, debian_mirror};
use series::Series;
pub use suite::Choice;
use suite::Suite;
use table::KernelRow;
pub use table::lines;
use verdict::Outcome;

/// What the host needs besides QEMU, and what is copied into guests.
const PACKAGES: &[&str] =
    &["binutils", "dash", "debian-archive-keyring", "kmod", "mount", "procps", "util-linux", "wireguard-tools"];

/// A machine that prints nothing for this long has hung. Even under emulation no test takes minutes, unless the host is
/// busy.
const PATIENCE: Duration = Duration::from_secs(900);

/// The directory for everything that is fetched, built and logged.
const DIRECTORY: &str = "target/kernels";

/// Boots the kernels of `names` one after another, runs the kernel tests of `choice` on each, and prints a table.
///
/// # Errors
/// When a series is unknown, something cannot be fetched or built, or a kernel did not pass.
pub fn run(names: &[String], choice: Choice<'_>) -> Result<()> {
    let chosen = names.iter().map(|name| series::named(name)).collect::<Result<Vec<_>>>()?;
    packages::install(packages::FOR_TESTS)?;
    packages::install(PACKAGES)?;
    qemu::install()?;
    let directory = root().join(DIRECTORY);
    fs::create_dir_all(&directory)?;
    let suite = suite::build(choice, &directory)?;
    let mut rows = Vec::new();
    for series in chosen {
        rows.push(test(series, &suite).with_context(|| format!("kernel {}", series.name))?);
    }
    println!("\n{}", table::table(&rows));
    let failed: Vec<&str> = rows.iter().filter(|row| row.objection.is_some()).map(|row| row.series).collect();
    if !failed.is_empty() {
        bail!("failed on kernel {}: see {DIRECTORY}/*/console.log", failed.join(", "));
    }
    Ok(())
}

fn test(series: &'static Series, suite: &Suite) -> Result<KernelRow> {
    let directory = root().join(DIRECTORY).join(series.name);
    fs::create_dir_all(&directory)?;
    let kernel = kernel::fetch(series, &directory)?;
    let plan = suite.plan_for(series);
    let expected = plan.expected();
    let started_at = Instant::now();
    let initramfs = directory.join("initramfs.cpio");
    guest::write(&kernel, suite, &plan, &initramfs)?;
    let log = directory.join("console.log");
    let booted = qemu::boot(&kernel.image, &initramfs, &log, PATIENCE);
    let (outcome, mut objection) = match booted {
        Ok(said) => {
            let outcome = Outcome::read(&said);
            let objection = outcome.objection(&expected);
            (outcome, objection)
        }
        // If one kernel hangs, the others are still tested.
        Err(error) => (Outcome::read(&fs::read_to_string(&log).unwrap_or_default()), Some(format!("{error:#}"))),
    };
    if objection.is_none() && outcome.fact("kernel") != Some(&kernel.release) {
        objection = Some(format!("ran {:?} instead of {}", outcome.fact("kernel"), kernel.release));
    }
    Ok(KernelRow { series: series.name, outcome, objection, took: started_at.elapsed() })
}
