//! `cargo xtask test --kernels 5.10,6.1`: the kernel tests on kernels that people have, each booted in QEMU.
//!
//! virtme-ng, which boots a kernel on the host's own files, would need modules that Debian's cloud kernels do not have
//! (9p) or a server that Debian 12 does not have (virtiofsd); so a small root file system is made here.

mod apt;
mod guest;
mod image;
mod kernel;
mod qemu;
mod series;
mod suite;
mod verdict;

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::process::root;
use series::Series;
use suite::Suite;
use verdict::Outcome;

/// What the host needs besides QEMU, and what guests get from it.
const PACKAGES: &[&str] = &["dash", "kmod", "mount", "procps", "util-linux"];

/// Longest time from the start of a machine until it is off: the emulation is slow, and builds may run beside it.
const DEADLINE: Duration = Duration::from_secs(1800);

/// Everything fetched, built and logged lies here.
const DIRECTORY: &str = "target/kernels";

/// One kernel's line of the table.
struct Row {
    series: &'static str,
    outcome: Outcome,
    objection: Option<String>,
    took: Duration,
}

/// Boots the kernels of `names`, one after the other, runs on each the kernel tests whose names contain `filter`, and
/// prints a table.
///
/// # Errors
/// When a series is not known, something cannot be fetched or built, or a kernel did not pass.
pub fn run(names: &[String], filter: Option<&str>) -> Result<()> {
    let chosen = names.iter().map(|name| series::named(name)).collect::<Result<Vec<_>>>()?;
    packages::install(packages::FOR_TESTS)?;
    packages::install(PACKAGES)?;
    qemu::install()?;
    let suite = suite::build(filter)?;
    let mut rows = Vec::new();
    for series in chosen {
        rows.push(test(series, &suite).with_context(|| format!("kernel {}", series.name))?);
    }
    print(&rows);
    let failed: Vec<&str> = rows.iter().filter(|row| row.objection.is_some()).map(|row| row.series).collect();
    if !failed.is_empty() {
        bail!("not passed on kernel {}: see {DIRECTORY}/*/console.log", failed.join(", "));
    }
    Ok(())
}

fn test(series: &'static Series, suite: &Suite) -> Result<Row> {
    let directory = root().join(DIRECTORY).join(series.name);
    fs::create_dir_all(&directory)?;
    let kernel = kernel::fetch(series, &directory)?;
    let tests = suite.tests_for(series);
    let started_at = Instant::now();
    let initramfs = directory.join("initramfs.cpio");
    guest::write(&kernel, suite, &tests, &initramfs)?;
    let log = directory.join("console.log");
    let booted = qemu::boot(&kernel.image, &initramfs, &log, DEADLINE);
    let (outcome, mut objection) = match booted {
        Ok(said) => {
            let outcome = Outcome::read(&said);
            let objection = outcome.objection(&tests);
            (outcome, objection)
        }
        // One kernel that hangs is no reason not to try the others.
        Err(error) => (Outcome::read(&fs::read_to_string(&log).unwrap_or_default()), Some(format!("{error:#}"))),
    };
    if objection.is_none() && outcome.fact("kernel") != Some(&kernel.release) {
        objection = Some(format!("ran {:?} instead of {}", outcome.fact("kernel"), kernel.release));
    }
    Ok(Row { series: series.name, outcome, objection, took: started_at.elapsed() })
}

fn print(rows: &[Row]) {
    println!("\n{:<7} {:<26} {:>6} {:>6} {:>7}  result", "series", "kernel", "passed", "failed", "seconds");
    for row in rows {
        let kernel = row.outcome.fact("kernel").unwrap_or("-");
        let (passed, failed) = (row.outcome.passed.len(), row.outcome.failed.len());
        let result = row.objection.as_deref().unwrap_or("passed");
        println!("{:<7} {kernel:<26} {passed:>6} {failed:>6} {:>7}  {result}", row.series, row.took.as_secs());
    }
    for row in rows {
        for (name, value) in row.outcome.facts.iter().filter(|fact| fact.0 != "kernel") {
            println!("{:<7} {name}: {value}", row.series);
        }
    }
}
