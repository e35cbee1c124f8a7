//! A journal and a checkpoint. What was written differs from what would be on disk after a power cut.

use super::*;
use crate::ledger::block::{BlockEvent as Decoded, Decoder, Hourly};
use crate::ledger::record::Checkpoint;

#[derive(Default)]
pub(super) struct Disk {
    journal: Vec<u8>,
    synced: usize,
    /// The last append that is not synced: where it ends, and what becomes known once it is on disk.
    pending: Option<(usize, Known)>,
    pub(super) checkpoint: Option<Checkpoint>,
}

/// What a bucket on disk makes known.
pub(super) struct Known {
    pub(super) epoch: String,
    pub(super) passed: Passed,
    /// It is the last bucket of its epoch: nothing else is left.
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

    /// The power fails, and only what was synced is certain to survive. Until then, what a killed agent wrote is still
    /// there.
    pub(super) fn power_cut(&mut self, luck: u16, ledger: &mut Ledger) {
        let unsure = self.journal.len() - self.synced;
        let kept = if luck == u16::MAX { unsure } else { unsure * usize::from(luck) / usize::from(u16::MAX) };
        self.journal.truncate(self.synced + kept);
        self.settle(ledger);
    }

    /// Decides whether the last append is on disk as a whole.
    fn settle(&mut self, ledger: &mut Ledger) {
        if let Some((_, known)) = self.pending.take().filter(|(end, _)| *end <= self.journal.len()) {
            known.settle(ledger);
        }
    }

    /// What a starting agent finds: cuts off the torn end, and makes the rest durable.
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
