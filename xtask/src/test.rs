//! `cargo xtask test`: installs what the tests need and runs all of them, without skipping any.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::process::{command, shown};
use crate::{dist, kernels, packages, roots, systemd};

/// Installs what the tests need (Debian, Ubuntu; root) and runs every test without skipping any
#[derive(clap::Args)]
pub struct Options {
    /// Only tests whose name contains this
    filter: Option<String>,
    /// Run the kernel tests, and only those, on these kernels in QEMU: 5.10, 6.1, 6.12, 6.18, 7.3
    #[arg(long, value_name = "SERIES", value_delimiter = ',', group = "machines")]
    kernels: Vec<String>,
    /// With --kernels: only the tests of what differs between kernels. With --systemd: package the program that the
    /// other tests have built, instead of building a release
    #[arg(long, requires = "machines")]
    quick: bool,
    /// Instead, try the package under a real systemd, in containers of these Debian releases: 12, 13
    #[arg(long, value_name = "RELEASE", value_delimiter = ',', group = "machines", conflicts_with = "filter")]
    systemd: Vec<String>,
    /// Instead, install, run and remove a release on these root file systems: debian-11, debian-12, debian-13, busybox, or
    /// the directory of another one
    #[arg(long, value_name = "ROOT", value_delimiter = ',', group = "machines")]
    #[arg(conflicts_with_all = ["filter", "quick"])]
    roots: Vec<String>,
    /// With --systemd or --roots: test this package (for busybox, the tarball beside it) instead of building one first
    #[arg(long, value_name = "FILE", requires = "machines", conflicts_with = "kernels")]
    deb: Option<PathBuf>,
}

/// The combined results of all test binaries.
#[derive(Default)]
struct TestTotals {
    passed: u64,
    failed: u64,
    ignored: u64,
    /// The output of the failed tests.
    failures: Vec<String>,
    in_failures: bool,
}

impl TestTotals {
    /// Processes a line of output. Adds up `test result: ok. 12 passed; 0 failed; 1 ignored; …`, and collects failures.
    fn take_in(&mut self, line: &str) {
        self.in_failures = (self.in_failures || line == "failures:") && !line.starts_with("test result: ");
        if self.in_failures {
            self.failures.push(line.to_owned());
        }
        let Some(counts) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else { return };
        for part in counts.1.split("; ") {
            match part.split_once(' ') {
                Some((number, "passed")) => self.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => self.failed += number.parse().unwrap_or(0),
                Some((number, "ignored")) => self.ignored += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

/// How many lines of each failed test the digest repeats, and how many characters of each line. A failed test may have
/// printed the log of a whole run.
const DIGEST_LINES: usize = 12;
const DIGEST_WIDTH: usize = 400;

/// Shortens `failures`: for each failed test the beginning of its message without backtraces, and all names.
fn digest(failures: &[String]) -> Vec<String> {
    let mut digest = Vec::new();
    let mut left = DIGEST_LINES;
    for line in failures {
        if line == "failures:" || line.starts_with("---- ") || line.starts_with("    ") && !line.trim().contains(' ') {
            digest.push(line.clone());
            left = DIGEST_LINES;
        } else if line == "stack backtrace:" {
            left = 0;
        } else if left > 0 && !line.is_empty() {
            digest.push(line.chars().take(DIGEST_WIDTH).collect());
            left -= 1;
        }
    }
    digest
}

/// Runs all tests, and ends with the failures and the line `N passed, N failed, N skipped`.
pub fn run(options: Options) -> Result<()> {
    if !options.systemd.is_empty() {
        let profile = if options.quick { dist::Profile::Debug } else { dist::Profile::Release };
        return systemd::run(&options.systemd, options.deb.as_deref(), profile);
    }
    if !options.roots.is_empty() {
        return roots::run(&options.roots, options.deb.as_deref());
    }
    if !options.kernels.is_empty() {
        let choice = kernels::Choice { filter: options.filter.as_deref(), quick: options.quick };
        return kernels::run(&options.kernels, choice);
    }
    packages::install(packages::FOR_TESTS)?;
    let mut totals = TestTotals::default();
    let all_passed = match &options.filter {
        Some(filter) => run_tests(&["--", filter], None, &mut totals)?,
        // Most tests of the kernel wait. Those of interference play many cases at a time, and judge how soon counting
        // continues, so they get the machine for themselves.
        None => {
            let threads = std::thread::available_parallelism()?.get() * THREADS_PER_CPU;
            let most = run_tests(&["--", "--skip", ALONE], Some(threads), &mut totals)?;
            run_tests(&["--test", "kernel", "--", ALONE], None, &mut totals)? && most
        }
    };
    // The full output of the failures may be a thousand lines further up.
    digest(&totals.failures).iter().for_each(|line| println!("{line}"));
    println!("\n{} passed, {} failed, {} skipped", totals.passed, totals.failed, totals.ignored);
    if !all_passed {
        bail!("not all tests passed");
    }
    Ok(())
}

/// The tests that run when all others have ended.
const ALONE: &str = "interference::";
const THREADS_PER_CPU: usize = 2;

/// Runs `cargo test` with more `arguments`, shows what it prints, and adds it to `totals`. Whether all tests passed.
fn run_tests(arguments: &[&str], threads: Option<usize>, totals: &mut TestTotals) -> Result<bool> {
    let mut cargo =
        command("cargo", ["test", "--workspace", "--features", "flow-agent/sqlite", "--locked", "--no-fail-fast"]);
    cargo.args(arguments);
    // With this variable, a missing prerequisite (root, a package) fails a test instead of skipping it.
    cargo.env("FLOW_AGENT_TEST_REQUIRE", "1").stdout(Stdio::piped());
    if let (Some(threads), None) = (threads, std::env::var_os("RUST_TEST_THREADS")) {
        cargo.env("RUST_TEST_THREADS", threads.to_string());
    }
    let shown = shown(&cargo);
    eprintln!("$ {shown}");
    let mut child = cargo.spawn().with_context(|| format!("failed to start `{shown}`"))?;
    let stdout = child.stdout.take().expect("stdout is piped");
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line?;
        std::io::stdout().write_all(&line)?;
        println!();
        totals.take_in(&String::from_utf8_lossy(&line));
    }
    Ok(child.wait()?.success())
}

#[cfg(test)]
mod tests;
