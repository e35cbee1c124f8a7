//! For tests: buckets, days and months with simple figures.

use chrono::{DateTime, Duration, FixedOffset};

use crate::ledger::block::{DayBlock, HourBlock, MonthBlock};
use crate::ledger::counters::{Counters, Others};
use crate::ledger::month::Month;
use crate::ledger::record::{
    BackendKind, CountMode, DayLine, DaySeal, HourLine, HourSeal, Kind, MonthLine, MonthSeal, Quality, VERSION,
};

/// A directory in memory if possible, because the tests sync often, and need no durability.
pub fn dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// An instant such as `2026-10-05T13:00:00+08:00`.
pub fn instant(text: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(text).unwrap()
}

/// An hour that begins at `start`, in which each port (443 and 8388) received `total - before` bytes over TCP.
pub fn bucket(start: &str, epoch: &str, before: u64, total: u64) -> HourBlock {
    let (start, end) = (instant(start), instant(start) + Duration::hours(1));
    let line = |port, user: Option<&str>| {
        let used = Counters { tcp_in_bytes: total - before, tcp_in_packets: 1, ..Counters::default() };
        let reading = Some([total, 1, 0, 0, 0, 0, 0, 0]);
        HourLine::new(start, end, port, user.map(str::to_owned), used, reading, false)
    };
    let seal = HourSeal {
        v: VERSION,
        kind: Kind::Seal,
        seq: None,
        start,
        end,
        node: "hk-1".into(),
        epoch: epoch.into(),
        backend: Some(BackendKind::Ebpf),
        count: Some(CountMode::Ip),
        pinned: Some(true),
        quality: Quality::Exact,
        gaps: Vec::new(),
        interfaces: vec!["eth0".into()],
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
    HourBlock { lines: vec![line(443, None), line(8388, Some("acct-8388"))], seal }
}

/// The cumulative counter of port 443 at the end of a bucket.
pub fn total_of(bucket: &HourBlock) -> u64 {
    bucket.lines[0].total.unwrap()[0]
}

/// The seal of a day of which `seconds_covered` are covered.
pub fn day_seal(day: &str, seconds_covered: u32) -> DaySeal {
    DaySeal {
        v: VERSION,
        kind: Kind::Seal,
        day: day.parse().unwrap(),
        node: "hk-1".into(),
        zone: "Asia/Hong_Kong".into(),
        ports: 0,
        seconds_in_day: 86_400,
        seconds_covered,
        buckets_expected: 24,
        buckets_sealed: seconds_covered / 3_600,
        quality: [(Quality::Exact, seconds_covered / 3_600)].into(),
        gaps: Vec::new(),
        late: None,
        at: None,
        sha256: String::new(),
    }
}

/// A day on which port 443 received `bytes`.
pub fn day(day: &str, seconds_covered: u32, bytes: u64) -> DayBlock {
    let seal = day_seal(day, seconds_covered);
    let used = Counters { tcp_in_bytes: bytes, tcp_in_packets: 1, ..Counters::default() };
    DayBlock { lines: vec![DayLine::new(seal.day, 443, None, used)], seal }
}

/// A billing month in which one user received `bytes`.
pub fn month(month: &str, bytes: u64) -> MonthBlock {
    let month: Month = month.parse().unwrap();
    let used = Counters { tcp_in_bytes: bytes, tcp_in_packets: 1, ..Counters::default() };
    let line =
        MonthLine::new(month, Some("acct-8388".into()), vec![8388], used, [("hk-1".into(), used)].into(), Some(1.0));
    let seal = MonthSeal { v: VERSION, kind: Kind::Seal, month, lines: 1, sha256: String::new() };
    MonthBlock { lines: vec![line], seal }
}
