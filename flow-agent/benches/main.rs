//! `cargo xtask bench`: what counting costs, compared with what people use today.
//!
//! The machines are shared, and their speed changes by a quarter within minutes. So every subject is measured in turn
//! with its baseline, round by round, in the same run, and the result is the median of the rounds' ratios. Absolute
//! figures only hold for this machine at this moment.
#![expect(clippy::disallowed_methods, reason = "a benchmark reads clocks, runs programs and writes files")]

mod agent;
#[path = "../../tests/common/mod.rs"]
mod common;
mod exchange;
mod figures;
mod iptables;
mod nftables;
mod packet;
mod quota;
mod read;
mod report;
mod rounds;
mod scratch;
mod stand;
#[path = "../../tests/kernel/stranger.rs"]
#[expect(dead_code, reason = "the tests use all of it")]
mod stranger;
mod wire;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};

use figures::{Baseline, Report};

/// Measures what counting costs, and prints tables
#[derive(Parser)]
#[command(name = "cargo xtask bench")]
struct Options {
    /// Which benches to run; all where none is named
    benches: Vec<Bench>,
    /// Fail where a figure does not reach what it should
    #[arg(long)]
    check: bool,
    /// Where the figures go as JSON
    #[arg(long, value_name = "FILE")]
    json: PathBuf,
    /// The figures of an earlier run, to be printed beside these
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// `cargo bench` says so to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

/// One file each, with `run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Bench {
    Packet,
    Quota,
    Wire,
    Iptables,
    Nftables,
    Read,
    Agent,
    Report,
}

impl Bench {
    fn run(self, report: &mut Report) -> Result<()> {
        match self {
            Self::Packet => packet::run(report),
            Self::Quota => quota::run(report),
            Self::Wire => wire::run(report),
            Self::Iptables => iptables::run(report),
            Self::Nftables => nftables::run(report),
            Self::Read => read::run(report),
            Self::Agent => agent::run(report),
            Self::Report => report::run(report),
        }
    }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("benches load programs and make network namespaces: run them as root");
    }
    // Read before anything is measured, because it may be the file that is replaced in the end.
    let baseline = options.baseline.as_deref().map(Baseline::read).transpose()?;
    let benches = if options.benches.is_empty() { Bench::value_variants() } else { &options.benches };
    let mut report = Report::default();
    for bench in benches {
        bench.run(&mut report).with_context(|| format!("bench {bench:?}"))?;
    }
    if let Some(baseline) = baseline {
        report.print_against(&baseline);
    }
    report.print_goals();
    fs::write(&options.json, report.json()?).with_context(|| format!("failed to write {}", options.json.display()))?;
    let missed = report.missed();
    if options.check && missed > 0 {
        bail!("{missed} of the figures above do not reach what they should");
    }
    Ok(())
}
