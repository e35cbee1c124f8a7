//! `cargo xtask test --kernels 5.10,6.1`: runs the kernel tests on kernels that are in use, each booted in QEMU. As many
//! machines as this host has CPUs run at the same time, because the tests keep about one CPU busy.
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

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::process::root;
pub use apt::{Apt, debian_mirror};
use kernel::Kernel;
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

/// Boots the kernels of `names`, runs the kernel tests of `choice` on each, and prints a table.
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
    let mut guests = Vec::new();
    for series in chosen {
        guests.push(Guest::prepare(series, &suite).with_context(|| format!("kernel {}", series.name))?);
    }
    let mut rows = Vec::new();
    for together in guests.chunks(thread::available_parallelism()?.get()) {
        let outcomes: Vec<Result<KernelRow>> = thread::scope(|scope| {
            let running: Vec<_> = together.iter().map(|guest| scope.spawn(|| guest.test())).collect();
            running.into_iter().map(|guest| guest.join().expect("no guest panics")).collect()
        });
        for (outcome, guest) in outcomes.into_iter().zip(together) {
            rows.push(outcome.with_context(|| format!("kernel {}", guest.series.name))?);
        }
    }
    println!("\n{}", table::table(&rows));
    let failed: Vec<&str> = rows.iter().filter(|row| row.objection.is_some()).map(|row| row.series).collect();
    if !failed.is_empty() {
        bail!("failed on kernel {}: see {DIRECTORY}/*/console.log", failed.join(", "));
    }
    Ok(())
}

/// A machine that is ready to boot.
struct Guest {
    series: &'static Series,
    kernel: Kernel,
    initramfs: PathBuf,
    log: PathBuf,
    /// The names of the tests that must pass.
    expected: BTreeSet<String>,
}

impl Guest {
    /// Fetches the kernel, and writes the root file system.
    fn prepare(series: &'static Series, suite: &Suite) -> Result<Self> {
        let directory = root().join(DIRECTORY).join(series.name);
        fs::create_dir_all(&directory)?;
        let kernel = kernel::fetch(series, &directory)?;
        let plan = suite.plan_for(series);
        let initramfs = directory.join("initramfs.cpio");
        guest::write(&kernel, suite, &plan, &initramfs)?;
        Ok(Self { series, kernel, initramfs, log: directory.join("console.log"), expected: plan.expected() })
    }

    /// Boots the machine, which runs the tests and shuts down.
    fn test(&self) -> Result<KernelRow> {
        let started_at = Instant::now();
        let booted = qemu::boot(self.series.name, &self.kernel.image, &self.initramfs, &self.log, PATIENCE);
        let (outcome, mut objection) = match booted {
            Ok(said) => {
                let outcome = Outcome::read(&said);
                let objection = outcome.objection(&self.expected);
                (outcome, objection)
            }
            // If one kernel hangs, the others are still tested.
            Err(error) => {
                let said = fs::read_to_string(&self.log).unwrap_or_default();
                (Outcome::read(&said), Some(format!("{error:#}")))
            }
        };
        if objection.is_none() && outcome.fact("kernel") != Some(&self.kernel.release) {
            objection = Some(format!("ran {:?} instead of {}", outcome.fact("kernel"), self.kernel.release));
        }
        Ok(KernelRow { series: self.series.name, outcome, objection, took: started_at.elapsed() })
    }
}
