//! Closing a bucket as the agent does it: reading, usage, encoding, appending, fsync.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use chrono_tz::Tz;
use flow_agent::backend::{Backend, ebpf};
use flow_agent::clock;
use flow_agent::ledger::calendar::BucketLength;
use flow_agent::ledger::unsealed::{Baseline, Closing, Settings};
use flow_agent::ledger::usage::{Counted, Meter};
use flow_agent::store::StateDir;
use flow_agent::store::journal::Journal;

use super::cells::Cells;
use super::{SIZES, options, pins};
use crate::common::netns::{Pair, WAN, inside};
use crate::figures::{Column, Figures, Report};
use crate::rounds::Series;
use crate::scratch::Scratch;

const ROUNDS: usize = 11;

/// The milliseconds of the parts in the order of the columns, and finally the size of the bucket in KiB.
type Parts = [f64; 6];

pub fn run(report: &mut Report) -> Result<()> {
    let millis = |name| Column { name, unit: "ms" };
    let mut figures = Figures::new(
        "read",
        "closing a bucket: every port moved, and is written with its user",
        &[
            millis("reading"),
            millis("usage"),
            millis("encode, append, fsync"),
            millis("of that, encode"),
            millis("in all"),
            Column { name: "written", unit: "KiB" },
        ],
    );
    for ports in SIZES {
        let rounds = close(ports)?;
        let part = |at: usize| Some(rounds.iter().map(|parts| parts[at]).collect::<Series>().spread());
        figures.row(format!("{ports} ports"), (0..6).map(part));
    }
    report.add(&figures);
    Ok(())
}

fn close(ports: u16) -> Result<Vec<Parts>> {
    let pair = Pair::make().context("no network namespaces")?;
    let directory = Scratch::make(&format!("close-{ports}"))?;
    inside(&pair.host, || {
        let options = options(&pair, ports, WAN);
        let mut backend = ebpf::start(&options, clock::now())?.backend;
        let cells = Cells::open(&pins(&options)?)?;
        let lock = StateDir::new(&directory.0).lock_run()?;
        let (mut journal, _) = Journal::open(&lock)?;
        let users: BTreeMap<u16, String> = (1..=ports).map(|port| (port, format!("acct-{port}"))).collect();
        let closing = Closing { users: &users, unseen: &[], read_until: None };
        let settings = Settings { node: "bench".into(), zone: Tz::UTC, bucket: BucketLength::HOUR };
        let live = Counted {
            identity: backend.identity(),
            interfaces: backend.interfaces(),
            reading: backend.read(&clock::now)?,
        };
        let (mut meter, _) = Meter::resume(settings, &Baseline::default(), Vec::new(), live, closing);
        let mut rounds = Vec::new();
        for round in 0..=ROUNDS {
            cells.add(u64::try_from(round)?)?;
            let parts = one(&mut *backend, &mut meter, &mut journal, closing)?;
            if round > 0 {
                rounds.push(parts);
            }
        }
        Ok(rounds)
    })
}

fn one(backend: &mut dyn Backend, meter: &mut Meter, journal: &mut Journal, closing: Closing<'_>) -> Result<Parts> {
    let begun_at = Instant::now();
    let reading = backend.read(&clock::now)?;
    let read_at = Instant::now();
    let mut bucket = meter.close(backend.interfaces(), &reading, closing)?;
    let known_at = Instant::now();
    journal.append(&mut bucket)?;
    let written_at = Instant::now();
    ensure!(bucket.lines.iter().all(|line| !line.counters().is_zero()), "a port did not move");
    // Encodes once more to measure that part alone.
    let bytes = bucket.encode().len();
    let encode = written_at.elapsed();
    let parts = [read_at - begun_at, known_at - read_at, written_at - known_at, encode, written_at - begun_at];
    let [reading, usage, append, encode, all] = parts.map(|part| part.as_secs_f64() * 1e3);
    Ok([reading, usage, append, encode, all, bytes as f64 / 1024.0])
}
