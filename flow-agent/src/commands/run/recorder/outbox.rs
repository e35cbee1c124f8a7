//! Buckets on their way to the disk, in order, and the counters that may be released once each is there.

use std::collections::{BTreeSet, VecDeque};

use chrono::{DateTime, FixedOffset, NaiveDate};

use crate::backend::{Backend, Retired};
use crate::commands::run::say;
use crate::errors::chain;
use crate::ledger::block::HourBlock;
use crate::ledger::rollup;
use crate::ledger::usage::SealedBuckets;
use crate::store::journal::Journal;
use crate::store::{RunLock, StoreError};

/// How many lines may wait, which take some 50 MB. Beyond that the open bucket is extended instead, which takes no more
/// memory.
const MOST_LINES: usize = 200_000;

/// What to do once a bucket is sealed and synced, and not before.
pub enum AfterSync {
    Nothing,
    /// Release the ports that it closes.
    Release,
    /// Delete the counters of which it is the last bucket.
    Delete(Box<dyn Retired>),
}

/// Buckets that are not on disk yet. A full disk keeps them here. If the agent dies before they are written, the
/// counters still hold their bytes, which then become one late bucket.
pub struct Outbox {
    journal: Journal,
    sealed: SealedBuckets,
    /// The directory of the log was replaced, and what its log lacks must be written again.
    must_look_again: bool,
    waiting: VecDeque<(HourBlock, AfterSync)>,
    /// [`MOST_LINES`], or fewer in a test.
    most_lines: usize,
    /// Ports whose last line is on disk, but whose counters could not be released yet.
    unreleased: BTreeSet<u16>,
    /// Days that were written to since they were last taken.
    dates: BTreeSet<NaiveDate>,
    /// The end of the newest bucket on disk.
    last_seal: Option<DateTime<FixedOffset>>,
}

impl Outbox {
    /// `last_seal` is the end of the newest bucket in the log.
    pub fn new(journal: Journal, last_seal: Option<DateTime<FixedOffset>>) -> Self {
        let (waiting, unreleased, dates) = (VecDeque::new(), BTreeSet::new(), BTreeSet::new());
        let sealed = SealedBuckets::default();
        Self { journal, sealed, must_look_again: false, waiting, most_lines: MOST_LINES, unreleased, dates, last_seal }
    }

    pub fn push(&mut self, bucket: HourBlock, then: AfterSync) {
        self.waiting.push_back((bucket, then));
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The end of the newest bucket on disk.
    pub fn last_seal(&self) -> Option<DateTime<FixedOffset>> {
        self.last_seal
    }

    /// The buckets that wait, in order.
    pub fn waiting(&self) -> impl Iterator<Item = &HourBlock> {
        self.waiting.iter().map(|(bucket, _)| bucket)
    }

    /// Whether so much waits that no bucket should be closed merely because its time is up.
    pub fn is_full(&self) -> bool {
        self.waiting.iter().map(|(bucket, _)| bucket.lines.len()).sum::<usize>() >= self.most_lines
    }

    /// Ports that must not get counters yet: their last line is not written, or their old counters are not released and
    /// would be counted again.
    pub fn draining(&self) -> BTreeSet<u16> {
        let waiting = self.waiting.iter().flat_map(|(bucket, _)| closed(bucket));
        waiting.chain(self.unreleased.iter().copied()).collect()
    }

    /// Writes what waits, in order, and then does what each bucket's [`AfterSync`] says.
    ///
    /// # Errors
    /// When a bucket cannot be written; it and those after it remain.
    pub fn write_all(&mut self, backend: &mut dyn Backend) -> Result<(), StoreError> {
        while let Some((mut bucket, then)) = self.waiting.pop_front() {
            if let Err(error) = self.append(&mut bucket) {
                self.waiting.push_front((bucket, then));
                return Err(error);
            }
            say::tell(&say::bucket(&bucket));
            self.last_seal = Some(bucket.seal.end);
            // After days without an agent, one bucket covers all of them.
            self.dates.extend(rollup::dates_of(&bucket.seal));
            self.dates.insert(bucket.seal.end.date_naive());
            let done = match then {
                AfterSync::Nothing => Ok(()),
                // The counters of an epoch that was replaced in the meantime are deleted with their set.
                AfterSync::Release if bucket.seal.epoch != backend.identity().epoch => Ok(()),
                AfterSync::Release => {
                    self.unreleased.extend(closed(&bucket));
                    backend.sealed()
                }
                AfterSync::Delete(retired) => retired.delete(),
            };
            // The bucket is safe. What remains in the kernel is found and released at the next start.
            if let Err(error) = done {
                tracing::error!(error = %chain(&error), "failed to remove unneeded counters from the kernel");
            }
        }
        self.release(backend);
        Ok(())
    }

    /// Appends a bucket. If the log has lost some of the buckets before it, what the counters still show of them is
    /// written again first.
    fn append(&mut self, bucket: &mut HourBlock) -> Result<(), StoreError> {
        if !self.must_look_again {
            match self.journal.append_unchanged(bucket) {
                Ok(()) => {
                    self.sealed.remember(bucket);
                    return Ok(());
                }
                Err(error @ StoreError::Changed { .. }) => {
                    tracing::warn!(error = %chain(&error), "verifying the hourly log again");
                }
                Err(error) => return Err(error),
            }
        }
        let found = self.journal.look_again()?;
        if let Some(mut lost) = self.sealed.restore(found.get(&bucket.seal.epoch), bucket) {
            self.journal.append_again(&mut lost)?;
            self.sealed.remember(&lost);
            self.dates.extend([lost.seal.start.date_naive(), lost.seal.end.date_naive()]);
            say::tell(&say::bucket(&lost));
            tracing::warn!(
                start = %lost.seal.start,
                end = %lost.seal.end,
                "buckets were missing from the hourly log: they were rewritten from the counters"
            );
        }
        self.must_look_again = false;
        self.journal.append_unchanged(bucket)?;
        self.sealed.remember(bucket);
        Ok(())
    }

    /// Continues in the directory of `lock`, which is another one than before, or was created anew.
    ///
    /// # Errors
    /// When its log cannot be read, or continues after the last bucket that was written.
    pub fn change_directory(&mut self, lock: &RunLock) -> Result<(), StoreError> {
        self.journal.look_again()?;
        lock.state().create_dir(&lock.state().hourly_dir())?;
        self.must_look_again = true;
        Ok(())
    }

    fn release(&mut self, backend: &mut dyn Backend) {
        if self.unreleased.is_empty() {
            return;
        }
        match backend.release(&self.unreleased) {
            Ok(()) => self.unreleased.clear(),
            Err(error) => tracing::error!(
                error = %chain(&error),
                "failed to release counters of closed ports; will retry"
            ),
        }
    }

    /// The days that were written to since the last call.
    pub fn take_dates(&mut self) -> BTreeSet<NaiveDate> {
        std::mem::take(&mut self.dates)
    }
}

#[cfg(test)]
impl Outbox {
    pub(super) fn limit_lines(&mut self, most: usize) {
        self.most_lines = most;
    }
}

fn closed(bucket: &HourBlock) -> impl Iterator<Item = u16> {
    bucket.lines.iter().filter(|line| line.closed).map(|line| line.port)
}
