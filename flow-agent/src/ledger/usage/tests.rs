//! A simulated node for the tests of [`Meter`], and helpers that shorten their output.

mod baseline;
mod clock;
mod model;
mod newest;
mod quality;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;

use super::*;
use crate::ledger::block::HourBlock;
use crate::ledger::calendar::BucketLength;
use crate::ledger::counters::{Counters, Device, Flow, Others};
use crate::ledger::reading::{Identity, Moment, Reading, Unseen};
use crate::ledger::record::{BackendKind, CountMode, Quality};
use crate::ledger::unsealed::{Baseline, Closing, Settings, open_bucket};

/// A node whose counters, clocks and disk a test moves by hand. It boots at 12:00 UTC on 5 October 2026.
struct Node {
    settings: Settings,
    epoch: String,
    now: Moment,
    ports: BTreeMap<u16, Counters>,
    draining: BTreeSet<u16>,
    others: Others,
    devices: Vec<Device>,
    users: BTreeMap<u16, String>,
    unseen: Vec<Unseen>,
    /// When the reading is complete that closes the next bucket.
    read_until: Option<Moment>,
    /// What is on disk.
    baseline: Baseline,
}

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// `bytes` in one packet, received over TCP.
fn tcp_in(bytes: u64) -> Counters {
    Counters { tcp_in_bytes: bytes, tcp_in_packets: 1, ..Counters::default() }
}

impl Node {
    fn new() -> Self {
        Self {
            settings: Settings { node: "hk-1".into(), zone: Tz::UTC, bucket: BucketLength::HOUR },
            epoch: "boot-1".into(),
            now: Moment { wall: at("2026-10-05T12:00:00Z"), boot_ns: 0 },
            ports: BTreeMap::from([(443, Counters::default()), (4433, Counters::default())]),
            draining: BTreeSet::new(),
            others: Others::default(),
            devices: Vec::new(),
            users: BTreeMap::from([(443, "ada".to_owned())]),
            unseen: Vec::new(),
            read_until: None,
            baseline: Baseline::default(),
        }
    }

    fn pass(&mut self, port: u16, usage: Counters) {
        let counters = self.ports.get_mut(&port).unwrap();
        *counters = counters.checked_add(usage).unwrap();
    }

    /// Advances both clocks.
    fn wait(&mut self, time: TimeDelta) {
        self.now.wall += time;
        self.now.boot_ns += u64::try_from(time.num_nanoseconds().unwrap()).unwrap();
    }

    /// Advances both clocks until the wall clock shows `text`.
    fn wait_until(&mut self, text: &str) {
        self.wait(at(text) - self.now.wall);
    }

    /// Sets the wall clock only, as an administrator would.
    fn set_clock(&mut self, text: &str) {
        self.now.wall = at(text);
    }

    /// Reboots the machine, so that the counters are gone.
    fn reboot(&mut self, epoch: &str) {
        self.epoch = epoch.to_owned();
        self.now.boot_ns = 10_000_000_000;
        self.draining.clear();
        self.ports.values_mut().for_each(|counters| *counters = Counters::default());
        self.others = Others::default();
    }

    fn reading(&self) -> Reading {
        Reading {
            epoch: self.epoch.clone(),
            at: self.now,
            ports: self.ports.clone().into(),
            draining: self.draining.clone(),
            others: self.others,
            blocked: Default::default(),
            devices: self.devices.clone(),
        }
    }

    fn counted(&self) -> Counted {
        let identity =
            Identity { kind: BackendKind::Ebpf, count: CountMode::Ip, epoch: self.epoch.clone(), pinned: true };
        Counted { identity, interfaces: vec!["eth0".into()], reading: self.reading() }
    }

    fn closing(&self) -> Closing<'_> {
        Closing { users: &self.users, unseen: &self.unseen, read_until: self.read_until }
    }

    /// Starts an agent and puts the buckets that it returns on disk.
    fn start(&mut self) -> (Meter, Vec<HourBlock>) {
        self.start_after(Vec::new())
    }

    fn start_after(&mut self, retired: Vec<Counted>) -> (Meter, Vec<HourBlock>) {
        let started = Meter::resume(self.settings.clone(), &self.baseline, retired, self.counted(), self.closing());
        started.1.iter().for_each(|bucket| self.baseline.take(bucket));
        started
    }

    /// Lets the agent close a bucket, and puts it on disk.
    fn close(&mut self, meter: &mut Meter) -> HourBlock {
        let bucket = meter.close(vec!["eth0".into()], &self.reading(), self.closing()).unwrap();
        self.baseline.take(&bucket);
        bucket
    }

    /// Lets the agent write a checkpoint, and returns whether it had one to write.
    fn checkpoint(&mut self, meter: &mut Meter) -> bool {
        let checkpoint = meter.checkpoint(&self.reading(), &self.unseen).unwrap();
        let Some(written) = &checkpoint else { return false };
        meter.checkpoint_kept(written);
        self.baseline.set_checkpoint(checkpoint);
        true
    }
}

/// A bucket in which the ports moved what `usage` says.
pub(crate) fn bucket_of(usage: &[(u16, Counters)]) -> HourBlock {
    let mut node = Node::new();
    node.ports = usage.iter().copied().collect();
    let (mut meter, _) = node.start();
    node.wait_until("2026-10-05T13:00:00Z");
    node.close(&mut meter)
}

/// `12:00:00-13:00:00 exact`.
fn time(bucket: &HourBlock) -> String {
    let seal = &bucket.seal;
    let quality = serde_json::to_value(seal.quality).unwrap();
    format!("{}-{} {}", seal.start.format("%H:%M:%S"), seal.end.format("%H:%M:%S"), quality.as_str().unwrap())
}

/// The bytes received over TCP, by port.
fn bytes(bucket: &HourBlock) -> Vec<(u16, u64)> {
    bucket.lines.iter().map(|line| (line.port, line.tcp_in_bytes)).collect()
}

#[test]
fn an_hour_is_the_difference_of_two_readings() {
    let mut node = Node::new();
    node.pass(443, tcp_in(7));
    let (mut meter, first) = node.start();
    assert!(first.is_empty());
    assert_eq!(meter.planned_end(), at("2026-10-05T13:00:00Z"));
    node.wait_until("2026-10-05T12:59:59.999Z");
    assert!(!meter.due(node.now));
    node.pass(443, tcp_in(100));
    node.wait_until("2026-10-05T13:00:00.4Z");
    assert!(meter.due(node.now));
    let bucket = node.close(&mut meter);
    assert_eq!(time(&bucket), "12:00:00-13:00:00 exact");
    assert_eq!(bytes(&bucket), [(443, 107), (4433, 0)], "a new epoch counts from zero");
    assert_eq!(bucket.lines[0].total, Some([107, 2, 0, 0, 0, 0, 0, 0]));
    assert_eq!((bucket.lines[0].user.as_deref(), bucket.lines[1].user.as_deref()), (Some("ada"), None));
    assert_eq!((bucket.seal.seq, bucket.seal.epoch.as_str()), (Some(1), "boot-1"));

    node.pass(4433, tcp_in(5));
    node.wait_until("2026-10-05T14:00:00Z");
    let next = node.close(&mut meter);
    assert_eq!((time(&next).as_str(), bytes(&next)), ("13:00:00-14:00:00 exact", vec![(443, 0), (4433, 5)]));
    assert_eq!(next.seal.seq, Some(2));
}

#[test]
fn what_the_recorder_asks_a_meter_is_told_of_the_open_counters() {
    let mut node = Node::new();
    let (mut meter, _) = node.start();
    assert!(meter.knows(&node.reading()));
    assert!(!meter.knows(&Reading { epoch: "boot-9".into(), ..node.reading() }));
    assert!(node.checkpoint(&mut meter));
    assert!(!node.checkpoint(&mut meter), "nothing moved");
    meter.forget_checkpoint();
    assert!(node.checkpoint(&mut meter), "it was lost");
    assert!(!meter.has_closed(&[4433].into()));
    node.draining.insert(4433);
    meter.set_pinned(false);
    node.wait_until("2026-10-05T13:00:00Z");
    let bucket = node.close(&mut meter);
    assert_eq!(serde_json::to_value(&bucket.seal).unwrap()["pinned"], false);
    assert!(meter.has_closed(&[443, 4433].into()));
    assert!(!meter.has_closed(&[443].into()));
}
