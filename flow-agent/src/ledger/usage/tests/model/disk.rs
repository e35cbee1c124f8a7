//! A journal and a checkpoint: what was written is one thing, what would be on disk after a power cut another.

use super::*;
use crate::ledger::block::{BlockEvent as Decoded, Decoder, Hourly};
use crate::ledger::record::Checkpoint;

#[derive(Default)]
pub(super) struct Disk {
    journal: Vec<u8>,
    synced: usize,
    /// The last append that is not synced: where it ends, and what is known once it is there.
    pending: Option<(usize, Known)>,
    pub(super) checkpoint: Option<Checkpoint>,
}

/// What a bucket makes known.
pub(super) struct Known {
    pub(super) epoch: String,
    pub(super) passed: Passed,
    /// Nothing else is left of this epoch.
    pub(super) last: bool,
}

impl Known {
    fn settle(&self, ledger: &mut Ledger) {
        ledger.keep(&self.epoch, &self.passed);
        if self.last {
            ledger.lose(&self.epoch);
        }
        ledger.zeroed.clear();
    }
}

impl Disk {
    /// Writes a part of a bucket, or all of it.
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.journal.extend_from_slice(bytes);
    }

    pub(super) fn written(&mut self, known: Known) {
        self.pending = Some((self.journal.len(), known));
    }

    pub(super) fn sync(&mut self, ledger: &mut Ledger) {
        self.synced = self.journal.len();
        if let Some((_, known)) = self.pending.take() {
            known.settle(ledger);
        }
    }

    /// The power fails: only what was synced is sure. What an agent wrote that was killed is there until then.
    pub(super) fn power_cut(&mut self, luck: u16, ledger: &mut Ledger) {
        let unsure = self.journal.len() - self.synced;
        let kept = if luck == u16::MAX { unsure } else { unsure * usize::from(luck) / usize::from(u16::MAX) };
        self.journal.truncate(self.synced + kept);
        self.settle(ledger);
    }

    /// The last append is either whole on disk now, or gone.
    fn settle(&mut self, ledger: &mut Ledger) {
        if let Some((_, known)) = self.pending.take().filter(|(end, _)| *end <= self.journal.len()) {
            known.settle(ledger);
        }
    }

    /// What a start finds: the torn end is cut, and the rest made durable.
    pub(super) fn recover(&mut self, ledger: &mut Ledger) -> Baseline {
        let mut decoder = Decoder::<Hourly>::new();
        let mut baseline = Baseline::default();
        for event in decoder.feed(&self.journal) {
            match event {
                Decoded::Block(found) => baseline.take(&found.block),
                Decoded::Damage(damage) => panic!("{damage:?}"),
            }
        }
        if let Some(tail) = decoder.finish() {
            self.journal.truncate(usize::try_from(tail.damage.bytes.start).unwrap());
        }
        self.synced = self.journal.len();
        self.settle(ledger);
        baseline.set_checkpoint(self.checkpoint.clone());
        baseline
    }

    pub(super) fn read(&self) -> Vec<HourBlock> {
        let mut decoder = Decoder::<Hourly>::new();
        let blocks = decoder.feed(&self.journal).into_iter().map(|event| match event {
            Decoded::Block(found) => found.block,
            Decoded::Damage(damage) => panic!("{damage:?}"),
        });
        let blocks = blocks.collect();
        assert!(decoder.finish().is_none());
        blocks
    }
}
