//! One set of counters and its open bucket.

use super::bucket_clock::{BucketClock, is_within_one_second};
use super::counted::Counted;
use crate::ledger::block::HourBlock;
use crate::ledger::reading::{Identity, Moment, Reading};
use crate::ledger::record::{Gap, Quality};
use crate::ledger::unsealed::bucket_writer::{BucketWriter, Source};
use crate::ledger::unsealed::usage_since_seal::UsageSinceSeal;
use crate::ledger::unsealed::{Baseline, Settings};

/// A reading of other counters than the open ones: see [`Meter::replace`](super::Meter::replace).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a reading of epoch {found:?} while {expected:?} is open")]
pub struct ForeignEpoch {
    pub expected: String,
    pub found: String,
}

/// One set of counters and its open bucket.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) identity: Identity,
    pub(super) interfaces: Vec<String>,
    pub(super) clock: BucketClock,
    pub(super) usage: UsageSinceSeal,
    /// When the newest reading was taken.
    pub(super) read_at: Moment,
    /// The exact second in which the bucket began is not known, because reading the counters then took more than one.
    pub(super) begins_vaguely: bool,
    /// Nothing on disk mentions this epoch, so a checkpoint must be written even if nothing moved.
    pub(super) unknown: bool,
    /// The gaps in the last checkpoint that was kept.
    pub(super) gaps_kept: Vec<Gap>,
}

impl Open {
    /// Continues from the last seal of the epoch, or from zero if it has none.
    pub(super) fn resume(settings: &Settings, baseline: &Baseline, counted: Counted) -> Self {
        let Counted { identity, interfaces, reading } = counted;
        let (zone, bucket, now) = (settings.zone, settings.bucket, reading.at);
        let sealed = baseline.seal_of(&reading.epoch).map(|last| (last.seal.end, last.seal.boot_ms));
        let checkpoint = baseline.checkpoint().filter(|checkpoint| checkpoint.epoch == reading.epoch);
        let begun = checkpoint.and_then(|checkpoint| Some((checkpoint.start?, checkpoint.start_boot_ms)));
        let mut clock = match sealed.or(begun) {
            Some((start, boot_ms)) => BucketClock::resume(zone, bucket, start.to_utc(), boot_ms, now),
            None => BucketClock::open(zone, bucket, now.wall, now),
        };
        if let Some(until) = baseline.sealed_until().filter(|until| now.wall < *until) {
            clock.suspect_until(until);
        }
        let mut usage = baseline.usage(&reading.epoch);
        if let Some(known) = checkpoint.map(|checkpoint| baseline.checkpoint_reading(checkpoint))
            && has_lost(&known, &reading)
        {
            let (draining, devices) = (reading.draining.clone(), reading.devices.clone());
            usage.observe(&Reading { draining, devices, ..known });
        }
        usage.observe(&reading);
        let unknown = !baseline.epochs().contains(&reading.epoch);
        // If the times of the last bucket may be wrong, so may its end.
        let begins_vaguely = baseline.seal_of(&reading.epoch).is_some_and(|last| last.seal.quality == Quality::Clock);
        Self { identity, interfaces, clock, usage, read_at: now, begins_vaguely, unknown, gaps_kept: Vec::new() }
    }

    pub(super) fn observe(&mut self, reading: &Reading) -> Result<(), ForeignEpoch> {
        if reading.epoch != self.identity.epoch {
            return Err(ForeignEpoch { expected: self.identity.epoch.clone(), found: reading.epoch.clone() });
        }
        self.usage.observe(reading);
        self.read_at = reading.at;
        Ok(())
    }

    /// Closes the bucket at the newest reading and opens the next.
    pub(super) fn close(&mut self, writer: &mut BucketWriter<'_>) -> HourBlock {
        let ends_vaguely = writer.closing.read_until.is_some_and(|until| !is_within_one_second(self.read_at, until));
        // Where one bucket ends, the next begins.
        let begins_vaguely = std::mem::replace(&mut self.begins_vaguely, ends_vaguely);
        let times = self.clock.close(self.read_at);
        let figures = self.usage.close();
        self.unknown = false;
        let gaps = times.gaps(writer.settings.zone, writer.closing.unseen);
        let quality = match () {
            () if !gaps.is_empty() => Quality::Gap,
            () if figures.reset => Quality::Reset,
            () if times.clock || begins_vaguely || ends_vaguely => Quality::Clock,
            () if times.late => Quality::Late,
            () => Quality::Exact,
        };
        let identity = &self.identity;
        let source = Source {
            epoch: &identity.epoch,
            backend: Some(identity.kind),
            count: Some(identity.count),
            pinned: Some(identity.pinned),
            interfaces: self.interfaces.clone(),
        };
        writer.bucket(source, times, quality, gaps, figures)
    }
}

/// Whether a port has less than the checkpoint says, because somebody removed or zeroed its counters while no agent ran.
fn has_lost(known: &Reading, now: &Reading) -> bool {
    (&known.ports).into_iter().any(|(port, known)| now.ports.get(port).is_none_or(|now| now.since(*known).1))
}
