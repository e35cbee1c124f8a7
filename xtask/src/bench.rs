//! `cargo xtask bench`: measures what counting costs, next to alternatives. The benches are in `flow-agent/benches`.

use std::path::{PathBuf, absolute};

use anyhow::Result;

use crate::process::{command, root, run as run_command};
use crate::{duckdb, ebpf, packages};

/// Measures what counting costs, compared with what people use today (root; installs what it needs)
#[derive(clap::Args)]
pub struct Options {
    /// Which benchmarks to run [default: all]
    benches: Vec<String>,
    /// Fail if a figure misses its goal
    #[arg(long)]
    check: bool,
    /// Where to write the figures as JSON [default: target/bench.json]
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also print these figures beside those of an earlier run, which --json has written
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
}

/// Installs what the benches need, builds them optimized, and runs them.
///
/// # Errors
/// When something cannot be installed, built or measured, or, with `--check`, when a figure misses its target.
pub fn run(options: Options) -> Result<()> {
    packages::install(packages::FOR_TESTS)?;
    let mut cargo = command("cargo", ["bench", "--quiet", "--locked", "--package", "flow-agent", "--bench", "cost"]);
    let wanted = |name: &str| options.benches.is_empty() || options.benches.iter().any(|bench| bench == name);
    if wanted("packet") {
        cargo.env("FLOW_AGENT_RIVALS", ebpf::rivals()?);
    }
    if wanted("report") {
        cargo.env("FLOW_AGENT_BENCH_DUCKDB", duckdb::install()?);
    }
    // Cargo starts a bench in its package's directory, so the path has to be absolute.
    let json = absolute(options.json.unwrap_or_else(|| root().join("target/bench.json")))?;
    cargo.args(["--", "--json"]).arg(json);
    if let Some(baseline) = options.baseline {
        cargo.arg("--baseline").arg(absolute(baseline)?);
    }
    cargo.args(options.check.then_some("--check")).args(options.benches);
    run_command(&mut cargo)
}
