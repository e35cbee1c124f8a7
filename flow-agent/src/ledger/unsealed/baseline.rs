//! Where a starting agent continues: the last seal of each epoch, and the checkpoint.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::unseen::goes_on_after;
use super::usage_since_seal::UsageSinceSeal;
use crate::ledger::block::HourBlock;
use crate::ledger::blocked::Blocked;
use crate::ledger::counters::{Counters, Device, Others};
use crate::ledger::reading::{Moment, Reading, Unseen};
use crate::ledger::record::{Checkpoint, Gap, HourSeal, Quality};

/// The newest seal of an epoch, and the counters at that time according to its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastSeal {
    pub seal: HourSeal,
    /// The seal's `seq`. A seal without one gets the highest before it in the journal, or 0.
    pub seq: u64,
    /// Cumulative counters of the ports that were not closed.
    pub totals: BTreeMap<u16, Counters>,
    /// Ports whose line in this bucket is marked `closed`: their counters, if they still exist, hold nothing new.
    pub closed: BTreeSet<u16>,
}

/// What the journal and the checkpoint say about the counters.
#[derive(Clone, Debug, Default)]
pub struct Baseline {
    epochs: BTreeMap<String, LastSeal>,
    /// The newest seal of all epochs.
    newest: Option<Newest>,
    checkpoint: Option<Checkpoint>,
}

/// The seal with the highest `seq`: the end of its bucket on both clocks, and the devices' counters at that time.
#[derive(Clone, Debug)]
struct Newest {
    seq: u64,
    epoch: String,
    end: DateTime<Utc>,
    boot_ms: Option<u64>,
    devices: Option<Vec<Device>>,
}

impl Baseline {
    /// Takes a bucket of the journal into account. The order does not matter for buckets with a `seq`. Imported buckets
    /// are ignored, because there are no counters behind them.
    pub fn take(&mut self, block: &HourBlock) {
        let seal = &block.seal;
        if seal.quality == Quality::Import {
            return;
        }
        // Buckets without a `seq` count in the order of the file.
        let seq = seal.seq.unwrap_or(self.sealed_seq());
        if seq >= self.sealed_seq() {
            let devices = seal.device_total.clone();
            let (epoch, end) = (seal.epoch.clone(), seal.end.to_utc());
            self.newest = Some(Newest { seq, epoch, end, boot_ms: seal.boot_ms, devices });
        }
        if self.epochs.get(&seal.epoch).is_some_and(|known| known.seq > seq) {
            return;
        }
        let mut last = LastSeal { seal: seal.clone(), seq, totals: BTreeMap::new(), closed: BTreeSet::new() };
        for line in &block.lines {
            match line.total {
                _ if line.closed => {
                    last.closed.insert(line.port);
                }
                Some(total) => {
                    last.totals.insert(line.port, Counters::from_array(total));
                }
                None => {}
            }
        }
        self.epochs.insert(seal.epoch.clone(), last);
    }

    /// Sets what `checkpoint.json` says.
    pub fn set_checkpoint(&mut self, checkpoint: Option<Checkpoint>) {
        self.checkpoint = checkpoint;
    }

    /// The epochs whose counters may be adopted, because a bucket or checkpoint of them was written.
    pub fn epochs(&self) -> BTreeSet<String> {
        self.epochs.keys().chain(self.checkpoint.iter().map(|checkpoint| &checkpoint.epoch)).cloned().collect()
    }

    /// The epoch of the newest reading on disk. The last bucket of an epoch is synced before anything of the next one
    /// is written, so no other epoch has anything left to be written.
    pub fn newest_epoch(&self) -> Option<&str> {
        match (&self.checkpoint, &self.newest) {
            (Some(checkpoint), _) if checkpoint.seq >= self.sealed_seq() => Some(&checkpoint.epoch),
            (_, Some(newest)) => Some(&newest.epoch),
            (_, None) => None,
        }
    }

    /// The newest seal of `epoch`.
    pub fn seal_of(&self, epoch: &str) -> Option<&LastSeal> {
        self.epochs.get(epoch)
    }

    /// The highest `seq` that is known to have been used, even if its seal was lost; 0 before the first bucket.
    pub fn seq(&self) -> u64 {
        let followed = self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.seq);
        self.sealed_seq().max(followed)
    }

    fn sealed_seq(&self) -> u64 {
        self.newest.as_ref().map_or(0, |newest| newest.seq)
    }

    /// When the newest reading on disk was taken; `boot_ns` is 0 if the boot-time clock is not known.
    pub fn last_known(&self) -> Option<Moment> {
        let (wall, boot_ms) = match (&self.checkpoint, &self.newest) {
            (Some(checkpoint), _) if checkpoint.seq >= self.sealed_seq() => {
                (checkpoint.at.to_utc(), checkpoint.boot_ms)
            }
            (_, Some(newest)) => (newest.end, newest.boot_ms),
            (_, None) => return None,
        };
        Some(Moment { wall, boot_ns: boot_ms.unwrap_or(0).saturating_mul(1_000_000) })
    }

    /// The names of the devices that were counted at the end of the newest bucket.
    pub fn devices(&self) -> BTreeSet<String> {
        let devices = self.newest.iter().filter_map(|newest| newest.devices.as_ref());
        devices.flatten().map(|device| device.name.clone()).collect()
    }

    /// The times that were not measured according to the checkpoint of `epoch`, and that no seal may list yet. If the
    /// counters of `epoch` are lost, their last bucket lists these times itself.
    pub fn unseen(&self, epoch: &str) -> Vec<Unseen> {
        let Some(checkpoint) = self.checkpoint.as_ref().filter(|checkpoint| checkpoint.epoch == epoch) else {
            return Vec::new();
        };
        let Some(boot_ms) = checkpoint.boot_ms else { return Vec::new() };
        let sealed = self.seal_of(epoch).map(|last| &last.seal);
        let moment = |wall: DateTime<Utc>| {
            let ms = boot_ms.saturating_add_signed((wall - checkpoint.at.to_utc()).num_milliseconds());
            Moment { wall, boot_ns: ms.saturating_mul(1_000_000) }
        };
        // The middle of the first and of the last second: rounding to whole seconds then gives the same seconds again,
        // even if the clock was slewed in the meantime.
        let half = TimeDelta::milliseconds(500);
        let unseen = |gap: &Gap| {
            let (start, end) = (moment(gap.start.to_utc() + half), moment(gap.end.to_utc() - half));
            Unseen { start, end, interface: gap.interface.clone(), why: gap.why.clone() }
        };
        let is_owed = |unseen: &Unseen| sealed.is_none_or(|seal| goes_on_after(unseen, seal));
        checkpoint.gaps.iter().map(unseen).filter(is_owed).collect()
    }

    /// Whether the wall clock is behind the last seal. It has probably not been set yet, and buckets would get the same
    /// names again.
    pub fn is_ahead_of(&self, now: Moment) -> bool {
        self.sealed_until().is_some_and(|end| now.wall < end)
    }

    /// The end of the last bucket.
    pub(in crate::ledger) fn sealed_until(&self) -> Option<DateTime<Utc>> {
        self.newest.as_ref().map(|newest| newest.end)
    }

    /// The checkpoint, if it is newer than the last seal of its epoch.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref().filter(|checkpoint| self.is_later(checkpoint))
    }

    /// A checkpoint of an epoch without a seal here is newer only if nothing was sealed since. Otherwise that epoch's
    /// seals may be in files that were not read, and its bytes would be counted from zero a second time.
    fn is_later(&self, checkpoint: &Checkpoint) -> bool {
        let sealed = self.epochs.get(&checkpoint.epoch).map_or(self.sealed_seq(), |sealed| sealed.seq);
        checkpoint.seq >= sealed
    }

    /// The usage since the last seal of `epoch`, or since zero if it has none.
    pub(in crate::ledger) fn usage(&self, epoch: &str) -> UsageSinceSeal {
        let Some(last) = self.epochs.get(epoch) else {
            return UsageSinceSeal::resume(
                BTreeMap::new(),
                BTreeSet::new(),
                Others::default(),
                Blocked::default(),
                self.devices_handed_over(epoch),
            );
        };
        let others = last.seal.other_total.unwrap_or_default();
        let (blocked, devices) = (last.seal.blocked_total.clone(), last.seal.device_total.clone());
        UsageSinceSeal::resume(last.totals.clone(), last.closed.clone(), others, blocked, devices)
    }

    /// The devices' counters at the moment when the counters of `epoch` took over from those of the newest bucket;
    /// `None` if they did not. A device's counters continue whichever epoch counts.
    fn devices_handed_over(&self, epoch: &str) -> Option<Vec<Device>> {
        let begun_at = self.checkpoint.as_ref().filter(|checkpoint| checkpoint.epoch == epoch)?.start?;
        self.newest.as_ref().filter(|newest| newest.end == begun_at)?.devices.clone()
    }

    /// The checkpoint as a reading. A port that it does not name has the same counters as in the seal.
    pub(in crate::ledger) fn checkpoint_reading(&self, checkpoint: &Checkpoint) -> Reading {
        let last = self.epochs.get(&checkpoint.epoch);
        let mut ports = last.map(|last| last.totals.clone()).unwrap_or_default();
        ports.extend(checkpoint.totals.iter().map(|(port, total)| (*port, Counters::from_array(*total))));
        let boot_ns = checkpoint.boot_ms.unwrap_or(0).saturating_mul(1_000_000);
        Reading {
            epoch: checkpoint.epoch.clone(),
            at: Moment { wall: checkpoint.at.to_utc(), boot_ns },
            ports: ports.into(),
            draining: BTreeSet::new(),
            others: checkpoint.other_total,
            // A checkpoint has no refused traffic: what was refused since the last seal is lost with the counters.
            blocked: last.map(|last| last.seal.blocked_total.clone()).unwrap_or_default(),
            devices: Vec::new(),
        }
    }
}
