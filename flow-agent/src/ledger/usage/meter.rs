//! The state between two buckets: shown readings, it gives buckets.

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

/// Turns readings into buckets. There is one a journal; it numbers them.
#[derive(Debug)]
pub struct Meter {
    settings: Settings,
    /// Of the last bucket.
    seq: u64,
    open: Open,
}

impl Meter {
    /// Goes on where the journal ends: with `live`, which counts now, after the last readings of `retired` sets that
    /// stand still. Gives the meter and the buckets to append and sync, in this order, before anything else is written.
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
                // Of two that stood still in turn, one tells what the devices moved.
                devices.clear();
            }
        }
        let mut open = Open::resume(&settings, baseline, live);
        if let (true, Some(clock)) = (open.unknown, handed_over) {
            // It began to count before the others stopped.
            open.clock = clock;
        }
        let seq = writer.seq;
        (Self { settings, seq, open }, buckets)
    }

    /// Whether the bucket must be closed now: its end has come, somebody set the wall clock, or counters were zeroed.
    pub fn due(&mut self, now: Moment) -> bool {
        self.open.clock.due(now) || self.open.usage.was_reset()
    }

    /// Whether the counters outlive this process, which the next seals say: their pins may be removed, and made again.
    pub fn set_pinned(&mut self, pinned: bool) {
        self.open.identity.pinned = pinned;
    }

    /// What the counters of a port were when the open bucket began; zero for a port that came since.
    pub fn sealed_counters(&self, port: u16) -> Counters {
        self.open.usage.sealed_counters(port)
    }

    /// When the open bucket ends, if nothing happens until then.
    pub fn planned_end(&self) -> DateTime<Utc> {
        self.open.clock.planned_end()
    }

    /// Whether the last bucket closed one of `ports`. Before such a port is added again, close another bucket and sync
    /// it: else a successor takes the port's new bytes, if it drains by then, for the old ones.
    pub fn has_closed(&self, ports: &BTreeSet<u16>) -> bool {
        self.open.usage.has_closed(ports)
    }

    /// Closes the bucket with `reading` and opens the next.
    ///
    /// # Errors
    /// When the reading is of other counters than those that are open; nothing is done.
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

    /// Takes note of `reading`: what must be written so that a power cut loses no more than what comes after, and nobody
    /// forgets what was `unseen` since the last bucket. `None` when there is nothing new since the last one that was kept
    /// ([`Meter::checkpoint_kept`]).
    ///
    /// # Errors
    /// When the reading is of other counters than those that are open; nothing is done.
    pub fn checkpoint(&mut self, reading: &Reading, unseen: &[Unseen]) -> Result<Option<Checkpoint>, ForeignEpoch> {
        self.open.observe(reading)?;
        let gaps = bucket_times::gaps(self.settings.zone, reading.at, unseen);
        let is_told = gaps.iter().all(|gap| self.open.gaps_kept.contains(gap));
        if !self.open.usage.has_changed() && !self.open.unknown && is_told {
            return Ok(None);
        }
        let (totals, other_total) = self.open.usage.unsealed_totals();
        let fraction = reading.at.wall - reading.at.wall.trunc_subsecs(0);
        let boot_ms = reading.at.boot_ns / 1_000_000;
        Ok(Some(Checkpoint {
            v: VERSION,
            seq: self.seq,
            at: calendar::local(self.settings.zone, reading.at.wall.trunc_subsecs(0)),
            boot_ms: Some(boot_ms.saturating_sub(u64::try_from(fraction.num_milliseconds()).unwrap_or(0))),
            start: Some(self.open.clock.start()),
            start_boot_ms: self.open.clock.start_boot_ms(),
            epoch: self.open.identity.epoch.clone(),
            totals,
            other_total,
            gaps,
        }))
    }

    /// The checkpoint that was kept is lost: another is owed even if nothing moved.
    pub fn forget_checkpoint(&mut self) {
        self.open.unknown = true;
    }

    /// The open bucket as it would be if it were closed with `reading`; it stays open.
    ///
    /// # Errors
    /// When the reading is of other counters than those that are open; nothing is done.
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

    /// `checkpoint` is on disk, and is the last that was made.
    pub fn checkpoint_kept(&mut self, checkpoint: &Checkpoint) {
        self.open.usage.forget_changes();
        self.open.unknown = false;
        self.open.gaps_kept.clone_from(&checkpoint.gaps);
    }

    /// Goes on with `live` after other counters: closes the open bucket with their `last` reading, or, where nothing is
    /// left of them, with the newest that was seen.
    ///
    /// # Errors
    /// When `last` is of other counters than those that are open; nothing is done.
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
        // It began to count before the other stopped; what was not seen between lies in its bucket.
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
