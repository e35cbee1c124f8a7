//! Writes a bucket: its lines and its seal with a quality.

use std::collections::BTreeMap;

use super::baseline::Baseline;
use super::bucket_times::Closed;
use super::settings::{Closing, Settings};
use super::usage_since_seal::{Figures, PortUsage};
use crate::ledger::block::HourBlock;
use crate::ledger::calendar;
use crate::ledger::counters::Counters;
use crate::ledger::name;
use crate::ledger::record::{BackendKind, Checkpoint, CountMode, Gap, HourLine, HourSeal, Kind, Quality, VERSION};

/// The open bucket up to the newest reading on disk, which `show` can display while an agent counts. `None` if there is
/// no reading after the last seal.
pub fn open_bucket(settings: &Settings, baseline: &Baseline, users: &BTreeMap<u16, String>) -> Option<HourBlock> {
    let checkpoint = baseline.checkpoint()?;
    let closing = Closing { users, unseen: &[], read_until: None };
    Some(BucketWriter { settings, seq: baseline.seq(), closing }.lost(baseline, checkpoint))
}

/// Writes buckets with consecutive `seq`.
pub(in crate::ledger) struct BucketWriter<'a> {
    pub(in crate::ledger) settings: &'a Settings,
    pub(in crate::ledger) seq: u64,
    pub(in crate::ledger) closing: Closing<'a>,
}

/// What a seal says about the counters, as far as it is known.
pub(in crate::ledger) struct Source<'a> {
    pub(in crate::ledger) epoch: &'a str,
    pub(in crate::ledger) backend: Option<BackendKind>,
    pub(in crate::ledger) count: Option<CountMode>,
    pub(in crate::ledger) pinned: Option<bool>,
    pub(in crate::ledger) interfaces: Vec<String>,
}

impl BucketWriter<'_> {
    /// The last bucket of counters that no longer exist: the usage from their last seal up to `checkpoint`.
    pub(in crate::ledger) fn lost(&mut self, baseline: &Baseline, checkpoint: &Checkpoint) -> HourBlock {
        let mut usage = baseline.usage(&checkpoint.epoch);
        usage.observe(&baseline.checkpoint_reading(checkpoint));
        let figures = usage.close();
        let sealed = baseline.seal_of(&checkpoint.epoch).map(|last| &last.seal);
        let begun = sealed.map(|seal| seal.end).or(checkpoint.start).unwrap_or(checkpoint.at);
        let times = Closed::between(begun.to_utc(), checkpoint.at.to_utc(), checkpoint.boot_ms);
        let gaps = times.cut(self.settings.zone, checkpoint.gaps.iter().cloned());
        let quality = match () {
            () if !gaps.is_empty() => Quality::Gap,
            () if figures.reset => Quality::Reset,
            () => Quality::Restart,
        };
        let source = Source {
            epoch: &checkpoint.epoch,
            backend: sealed.and_then(|seal| seal.backend),
            count: sealed.and_then(|seal| seal.count),
            pinned: sealed.and_then(|seal| seal.pinned),
            interfaces: sealed.map(|seal| seal.interfaces.clone()).unwrap_or_default(),
        };
        self.bucket(source, times, quality, gaps, figures)
    }

    /// Makes a bucket from these figures, with the next `seq`.
    pub(in crate::ledger) fn bucket(
        &mut self,
        source: Source<'_>,
        times: Closed,
        quality: Quality,
        gaps: Vec<Gap>,
        figures: Figures,
    ) -> HourBlock {
        self.seq += 1;
        let zone = self.settings.zone;
        let (start, end) = (calendar::local(zone, times.start), calendar::local(zone, times.end));
        // No reader would accept a bucket with a name that is not allowed, so a port without an owner is better than a
        // lost bucket.
        let owner = |port| self.closing.users.get(&port).filter(|user| name::check(user).is_ok()).cloned();
        let lines: Vec<HourLine> = figures
            .ports
            .into_iter()
            .map(|PortUsage { port, usage, total, closed }| {
                HourLine::new(start, end, port, owner(port), usage, total.map(Counters::to_array), closed)
            })
            .collect();
        let seal = HourSeal {
            v: VERSION,
            kind: Kind::Seal,
            seq: Some(self.seq),
            start,
            end,
            node: self.settings.node.clone(),
            epoch: source.epoch.to_owned(),
            backend: source.backend,
            count: source.count,
            pinned: source.pinned,
            quality,
            gaps,
            interfaces: source.interfaces,
            ports: 0,
            other: figures.others,
            other_total: Some(figures.other_total),
            blocked: figures.blocked,
            blocked_total: figures.blocked_total,
            devices: figures.devices,
            device_total: (!figures.device_total.is_empty()).then_some(figures.device_total),
            boot_ms: times.boot_ms,
            sha256: String::new(),
        };
        HourBlock { lines, seal }
    }
}
