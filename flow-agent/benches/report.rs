//! `report`: the monthly report of a hundred nodes (gathered, verified and totalled), compared with DuckDB summing the
//! same files.

mod fleet;
mod measured;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::figures::{Column, Figures, Report};
use crate::rounds::{Series, Subject, interleave};
use fleet::Fleet;
use measured::Measured;

const ROUNDS: usize = 5;

/// The variable in which `cargo xtask bench` passes the path of the Python that has DuckDB.
pub const DUCKDB_PYTHON: &str = "FLOW_AGENT_BENCH_DUCKDB";

const DUCKDB_SUM: &str = include_str!("report/sum.py");

/// The sums of the eight numbers of a line, by user.
type Sums = BTreeMap<String, [u64; 8]>;

/// The names of the eight numbers, in order.
const NUMBERS: [&str; 8] = [
    "tcp_in_bytes",
    "tcp_in_packets",
    "tcp_out_bytes",
    "tcp_out_packets",
    "udp_in_bytes",
    "udp_in_packets",
    "udp_out_bytes",
    "udp_out_packets",
];

/// Measures both, and compares every sum.
///
/// # Errors
/// When something cannot be generated, run or measured, or when a sum differs.
pub fn run(report: &mut Report) -> Result<()> {
    let python =
        env::var(DUCKDB_PYTHON).with_context(|| format!("{DUCKDB_PYTHON} is not set: use `cargo xtask bench`"))?;
    let fleet = Fleet::make(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let sums = RefCell::new(None);
    let of_same_sums = |found: Sums| -> Result<()> {
        let mut sums = sums.borrow_mut();
        let first = sums.get_or_insert_with(|| found.clone());
        ensure!(first.len() == usize::from(fleet::PORTS), "{} users instead of {}", first.len(), fleet::PORTS);
        for (user, sum) in &found {
            let other = first.get(user);
            ensure!(other == Some(sum), "the sums of {user} differ: {sum:?} and {other:?}");
        }
        ensure!(found.len() == first.len(), "the users differ");
        Ok(())
    };
    let memory = [const { RefCell::new(Vec::new()) }; 3];
    let take = |at: usize, measured: &Measured| {
        memory[at].borrow_mut().push(measured.peak_mib);
        measured.seconds
    };
    let mut subjects = [
        Subject::new("flow-agent report, the first time", || {
            fleet.forget_reports()?;
            let measured = Measured::run(&mut fleet.report())?;
            of_same_sums(totals(&fleet)?)?;
            Ok(take(0, &measured))
        }),
        Subject::new("flow-agent report, the same month again", || {
            fleet.report_once()?;
            let measured = Measured::run(&mut fleet.report())?;
            of_same_sums(totals(&fleet)?)?;
            Ok(take(1, &measured))
        }),
        Subject::new("DuckDB, the sums by user", || {
            let mut command = Command::new(&python);
            let measured = Measured::run(command.args(["-c", DUCKDB_SUM]).arg(fleet.files()))?;
            of_same_sums(answer(&measured.stdout)?)?;
            Ok(take(2, &measured))
        }),
    ];
    let seconds = interleave(ROUNDS, &mut subjects)?;
    let title = format!(
        "{} day lines ({} MiB) of {} nodes, on the processors of this machine",
        fleet::LINES,
        fleet.mebibytes()?,
        fleet::NODES
    );
    let mut figures = Figures::new(
        "report",
        title,
        &[
            Column { name: "seconds", unit: "s" },
            Column { name: "rows a second", unit: "million" },
            Column { name: "times DuckDB", unit: "" },
            Column { name: "peak memory", unit: "MiB" },
        ],
    );
    for ((subject, series), memory) in subjects.iter().zip(&seconds).zip(&memory) {
        let rows = series.map(|seconds| f64::from(fleet::LINES) / seconds / 1e6).spread();
        let memory: Series = memory.borrow().iter().copied().collect();
        let figures_of = [series.spread(), rows, series.over(&seconds[2]).spread(), memory.spread()];
        figures.row(&subject.name, figures_of.map(Some));
    }
    report.add(&figures);
    Ok(())
}

/// The sums of every user according to `monthly/`.
fn totals(fleet: &Fleet) -> Result<Sums> {
    let text = fs::read_to_string(fleet.monthly())?;
    let lines = text.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
    lines.iter().filter(|line| line["kind"] == "month").map(sum).collect()
}

/// The sums of every user according to DuckDB.
fn answer(stdout: &str) -> Result<Sums> {
    stdout.lines().map(|line| sum(&serde_json::from_str(line)?)).collect()
}

fn sum(line: &Value) -> Result<(String, [u64; 8])> {
    let user = line["user"].as_str().with_context(|| format!("no user in {line}"))?;
    let mut sum = [0; 8];
    for (number, name) in sum.iter_mut().zip(NUMBERS) {
        *number = line[name].as_u64().with_context(|| format!("no {name} in {line}"))?;
    }
    Ok((user.to_owned(), sum))
}
