//! The state between two buckets: readings go in, and buckets come out.

use std::collections::BTreeSet;

use chrono::{DateTime, SubsecRound as _, Utc};

use super::counted::Counted;
use super::open::{ForeignEpoch, Open};
use crate::ledger::block::HourBlock;
use crate::ledger::calendar;
use crate::ledger::counters::Counters;
use crate::ledger::reading::{Moment, Reading, Unseen};
use crate::ledger::record::{Checkpoint, VERSION};
use crate::ledger::unsealed::bucket_writer::BucketWriter;
use crate::ledger::unsealed::{Baseline, Closing, Settings, bucket_times};

/// Turns readings into buckets and numbers them. There is one per journal.
#[derive(Debug)]
pub struct Meter {
    settings: Settings,
    /// The `seq` of the last bucket.
    seq: u64,
    open: Open,
}

impl Meter {
    /// Continues where the journal ends. `retired` are the last readings of counters that have stopped, and `live` is
    /// the first of those that count now. Returns the meter and the buckets to append and sync, in this order, before
    /// anything else is written.
    pub fn resume(
        settings: Settings,
        baseline: &Baseline,
        retired: Vec<Counted>,
        live: Counted,
        closing: Closing<'_>,
    ) -> (Self, Vec<HourBlock>) {
        let mut writer = BucketWriter { settings: &settings, seq: baseline.seq(), closing };
        let mut buckets = Vec::new();
        let lost = |checkpoint: &&Checkpoint| {
            let readable = |counted: &Counted| counted.reading.epoch == checkpoint.epoch;
            !readable(&live) && !retired.iter().any(readable)
        };
        buckets.extend(baseline.checkpoint().filter(lost).map(|checkpoint| writer.lost(baseline, checkpoint)));
        let mut handed_over = None;
        let mut devices = live.reading.devices.clone();
        for mut counted in retired {
            counted.observe_devices(&devices);
            let owes_gaps = !baseline.unseen(&counted.reading.epoch).is_empty();
            let mut open = Open::resume(&settings, baseline, counted);
            if owes_gaps || !open.usage.is_spent() {
                buckets.push(open.close(&mut writer));
                handed_over = Some(open.clock);
                // If several sets have stopped one after the other, only the first bucket gets the devices' traffic.
                devices.clear();
            }
        }
        let mut open = Open::resume(&settings, baseline, live);
        if let (true, Some(clock)) = (open.unknown, handed_over) {
            // The live counters began to count before the retired ones stopped, so the next bucket follows on theirs.
            open.clock = clock;
        }
        let seq = writer.seq;
        (Self { settings, seq, open }, buckets)
    }

    /// Whether the bucket must be closed now: its end has come, somebody set the wall clock, or counters were zeroed.
    pub fn due(&mut self, now: Moment) -> bool {
        self.open.clock.due(now) || self.open.usage.was_reset()
    }

    /// Sets what the next seals say about whether the counters outlive this process: their pins may be removed and made
    /// again.
    pub fn set_pinned(&mut self, pinned: bool) {
        self.open.identity.pinned = pinned;
    }

    /// The counters of a port when the open bucket began; zero for a port that was added since.
    pub fn sealed_counters(&self, port: u16) -> Counters {
        self.open.usage.sealed_counters(port)
    }

    /// When the open bucket ends, if nothing happens until then.
    pub fn planned_end(&self) -> DateTime<Utc> {
        self.open.clock.planned_end()
    }

    /// Whether the last bucket closed one of `ports`. Before such a port is added again, close and sync another bucket.
    /// Otherwise, if the port is draining again by the time a successor starts, the successor takes its new bytes for
    /// the old ones that are sealed already.
    pub fn has_closed(&self, ports: &BTreeSet<u16>) -> bool {
        self.open.usage.has_closed(ports)
    }

    /// Closes the bucket with `reading` and opens the next.
    ///
    /// # Errors
    /// When the reading is of other counters than the open ones; nothing is done.
    pub fn close(
        &mut self,
        interfaces: Vec<String>,
        reading: &Reading,
        closing: Closing<'_>,
    ) -> Result<HourBlock, ForeignEpoch> {
        self.open.observe(reading)?;
        self.open.interfaces = interfaces;
        Ok(self.write(closing))
    }

    /// Takes `reading` into account. Returns the checkpoint to be written, so that a power cut loses only what comes
    /// after it, and that the `unseen` times since the last bucket are not forgotten. `None` if there is nothing new
    /// since the last checkpoint that was kept ([`Meter::checkpoint_kept`]).
    ///
    /// # Errors
    /// When the reading is of other counters than the open ones; nothing is done.
    pub fn checkpoint(&mut self, reading: &Reading, unseen: &[Unseen]) -> Result<Option<Checkpoint>, ForeignEpoch> {
        self.open.observe(reading)?;
        Ok(self.checkpoint_of_newest(unseen))
    }

    /// [`Meter::checkpoint`] of the newest reading that was seen, for when the counters cannot be read.
    pub fn checkpoint_of_newest(&self, unseen: &[Unseen]) -> Option<Checkpoint> {
        let read_at = self.open.read_at;
        let gaps = bucket_times::gaps(self.settings.zone, read_at, unseen);
        let is_told = gaps.iter().all(|gap| self.open.gaps_kept.contains(gap));
        if !self.open.usage.has_changed() && !self.open.unknown && is_told {
            return None;
        }
        let (totals, other_total) = self.open.usage.unsealed_totals();
        let fraction = read_at.wall - read_at.wall.trunc_subsecs(0);
        let boot_ms = read_at.boot_ns / 1_000_000;
        Some(Checkpoint {
            v: VERSION,
            seq: self.seq,
            at: calendar::local(self.settings.zone, read_at.wall.trunc_subsecs(0)),
            boot_ms: Some(boot_ms.saturating_sub(u64::try_from(fraction.num_milliseconds()).unwrap_or(0))),
            start: Some(self.open.clock.start()),
            start_boot_ms: self.open.clock.start_boot_ms(),
            epoch: self.open.identity.epoch.clone(),
            totals,
            other_total,
            gaps,
        })
    }

    /// The last checkpoint is no longer on disk: another one must be written even if nothing moved.
    pub fn forget_checkpoint(&mut self) {
        self.open.unknown = true;
    }

    /// The open bucket as it would be if it were closed with `reading`. It stays open.
    ///
    /// # Errors
    /// When the reading is of other counters than the open ones; nothing is done.
    pub fn peek(
        &mut self,
        interfaces: Vec<String>,
        reading: &Reading,
        closing: Closing<'_>,
    ) -> Result<HourBlock, ForeignEpoch> {
        self.open.observe(reading)?;
        let mut open = Open { interfaces, ..self.open.clone() };
        Ok(open.close(&mut BucketWriter { settings: &self.settings, seq: self.seq, closing }))
    }

    /// Whether `reading` is of the counters that are open.
    pub fn knows(&self, reading: &Reading) -> bool {
        reading.epoch == self.open.identity.epoch
    }

    /// Notes that `checkpoint`, the last one that was made, is on disk.
    pub fn checkpoint_kept(&mut self, checkpoint: &Checkpoint) {
        self.open.usage.forget_changes();
        self.open.unknown = false;
        self.open.gaps_kept.clone_from(&checkpoint.gaps);
    }

    /// Continues with `live` after other counters. Closes the open bucket with their `last` reading, or, if nothing is
    /// left of them, with the newest reading that was seen.
    ///
    /// # Errors
    /// When `last` is of other counters than the open ones; nothing is done.
    pub fn replace(
        &mut self,
        last: Option<Counted>,
        live: Counted,
        closing: Closing<'_>,
    ) -> Result<HourBlock, ForeignEpoch> {
        if let Some(mut last) = last {
            last.observe_devices(&live.reading.devices);
            self.open.observe(&last.reading)?;
            self.open.interfaces = last.interfaces;
        }
        let bucket = self.write(closing);
        let mut open = Open::resume(&self.settings, &Baseline::default(), live);
        // The new counters began before the old ones stopped; times that neither counted belong to the bucket that is
        // closed here.
        open.clock.clone_from(&self.open.clock);
        self.open = open;
        Ok(bucket)
    }

    fn write(&mut self, closing: Closing<'_>) -> HourBlock {
        let mut writer = BucketWriter { settings: &self.settings, seq: self.seq, closing };
        let bucket = self.open.close(&mut writer);
        self.seq = writer.seq;
        bucket
    }
}
