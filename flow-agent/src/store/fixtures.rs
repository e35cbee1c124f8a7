//! For tests: buckets whose figures are plain to see.

use chrono::{DateTime, Duration, FixedOffset};

use crate::ledger::block::HourBlock;
use crate::ledger::counters::{Counters, Others};
use crate::ledger::record::{BackendKind, CountMode, HourLine, HourSeal, Kind, Quality, VERSION};

/// A directory in memory where there is one: what is on disk is kept by the tests themselves, and they sync a lot.
pub fn dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// An instant such as `2026-10-05T13:00:00+08:00`.
pub fn instant(text: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(text).unwrap()
}

/// An hour that begins at `start`, in which each port (443 and 8388) took in `total - before` bytes of TCP.
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
        device_total: None,
        boot_ms: None,
        sha256: String::new(),
    };
    HourBlock { lines: vec![line(443, None), line(8388, Some("acct-8388"))], seal }
}

/// What port 443 had counted at the end of a bucket.
pub fn total_of(bucket: &HourBlock) -> u64 {
    bucket.lines[0].total.unwrap()[0]
}
