//! Seals of the node hk-1 as an agent writes them when nothing is wrong.

use chrono::{DateTime, FixedOffset, NaiveDate};
use flow_agent::ledger::counters::{Device, Others};
use flow_agent::ledger::record::{BackendKind, CountMode, DaySeal, HourSeal, Kind, Quality, VERSION};

/// An exact bucket, counted with eBPF.
pub fn hour_seal(seq: u64, [start, end]: [DateTime<FixedOffset>; 2], devices: Vec<Device>) -> HourSeal {
    HourSeal {
        v: VERSION,
        kind: Kind::Seal,
        seq: Some(seq),
        start,
        end,
        node: "hk-1".to_owned(),
        epoch: "boot-1".to_owned(),
        backend: Some(BackendKind::Ebpf),
        count: Some(CountMode::Ip),
        pinned: Some(true),
        quality: Quality::Exact,
        gaps: Vec::new(),
        interfaces: vec!["eth0".to_owned()],
        ports: 0,
        other: Others::default(),
        other_total: None,
        blocked: Default::default(),
        blocked_total: Default::default(),
        devices,
        device_total: None,
        boot_ms: None,
        sha256: String::new(),
    }
}

/// A day of 24 exact hours.
pub fn day_seal(day: NaiveDate) -> DaySeal {
    DaySeal {
        v: VERSION,
        kind: Kind::Seal,
        day,
        node: "hk-1".to_owned(),
        zone: "Asia/Shanghai".to_owned(),
        ports: 0,
        seconds_in_day: 86_400,
        seconds_covered: 86_400,
        buckets_expected: 24,
        buckets_sealed: 24,
        quality: [(Quality::Exact, 24)].into(),
        gaps: Vec::new(),
        late: None,
        at: None,
        sha256: String::new(),
    }
}
