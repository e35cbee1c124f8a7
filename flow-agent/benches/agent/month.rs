//! A node's logs as they are at the end of a month: the buckets of its last day, and all earlier days rolled up.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, FixedOffset, NaiveDate, TimeDelta};
use flow_agent::ledger::block::{DayBlock, HourBlock};
use flow_agent::ledger::counters::{Counters, Others};
use flow_agent::ledger::record::{
    BackendKind, CountMode, DayLine, DaySeal, HourLine, HourSeal, Kind, Quality, VERSION,
};

pub const LAST_DAY: &str = "2025-10-31";

const LAST: u32 = 31;
const BUCKETS: u32 = 24;

/// Writes the logs into the directory `state`, without the last hour.
pub fn write(state: &Path, ports: u16) -> Result<()> {
    let mut days = create(&state.join("daily/2025-10.jsonl"))?;
    for day in 1..LAST {
        days.write_all(day_block(day, ports)?.encode().as_bytes())?;
    }
    days.flush()?;
    let mut hours = create(&state.join("hourly").join(format!("{LAST_DAY}.jsonl")))?;
    for hour in 0..BUCKETS - 1 {
        hours.write_all(bucket(hour, ports)?.encode().as_bytes())?;
    }
    Ok(hours.flush()?)
}

/// Appends the last hour.
pub fn write_last_hour(state: &Path, ports: u16) -> Result<()> {
    let mut hours = File::options().append(true).open(state.join("hourly").join(format!("{LAST_DAY}.jsonl")))?;
    Ok(hours.write_all(bucket(BUCKETS - 1, ports)?.encode().as_bytes())?)
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    fs::create_dir_all(path.parent().context("a file has a directory")?)?;
    Ok(BufWriter::new(File::create(path)?))
}

fn day_block(day: u32, ports: u16) -> Result<DayBlock> {
    let day = NaiveDate::from_ymd_opt(2025, 10, day).context("no such day")?;
    let line = |port| DayLine::new(day, port, None, counters(port, u64::from(BUCKETS)));
    let seal = DaySeal {
        v: VERSION,
        kind: Kind::Seal,
        day,
        node: "bench".into(),
        zone: "UTC".into(),
        ports: 0,
        seconds_in_day: 86_400,
        seconds_covered: 86_400,
        buckets_expected: BUCKETS,
        buckets_sealed: BUCKETS,
        quality: [(Quality::Exact, BUCKETS)].into(),
        gaps: Vec::new(),
        late: None,
        at: None,
        sha256: String::new(),
    };
    Ok(DayBlock { lines: (1..=ports).map(line).collect(), seal })
}

fn bucket(hour: u32, ports: u16) -> Result<HourBlock> {
    let day: DateTime<FixedOffset> = format!("{LAST_DAY}T00:00:00+00:00").parse()?;
    let start = day + TimeDelta::hours(i64::from(hour));
    let end = start + TimeDelta::hours(1);
    let line = |port| {
        let total = counters(port, 720 + u64::from(hour) + 1).to_array();
        HourLine::new(start, end, port, None, counters(port, 1), Some(total), false)
    };
    let seal = HourSeal {
        v: VERSION,
        kind: Kind::Seal,
        seq: Some(721 + u64::from(hour)),
        start,
        end,
        node: "bench".into(),
        epoch: "bench".into(),
        backend: Some(BackendKind::Ebpf),
        count: Some(CountMode::Ip),
        pinned: Some(true),
        quality: Quality::Exact,
        gaps: Vec::new(),
        interfaces: vec!["wan".into()],
        ports: 0,
        other: Others::default(),
        other_total: Some(Others::default()),
        devices: Vec::new(),
        blocked: Default::default(),
        blocked_total: Default::default(),
        device_total: None,
        boot_ms: None,
        sha256: String::new(),
    };
    Ok(HourBlock { lines: (1..=ports).map(line).collect(), seal })
}

/// The counters of a port that has moved a few gigabytes in every hour.
fn counters(port: u16, hours: u64) -> Counters {
    let bytes = 4_000_000_000 + u64::from(port);
    let packets = 4_000_000 + u64::from(port);
    Counters::from_array(
        [bytes / 10, packets / 10, bytes, packets, bytes / 100, packets / 100, bytes / 50, packets / 50]
            .map(|number| number * hours),
    )
}
