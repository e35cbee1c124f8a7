//! Buckets on their way to the disk, in order, and what may be let go once each is there.

use std::collections::{BTreeSet, VecDeque};

use chrono::NaiveDate;

use crate::backend::{Backend, Retired};
use crate::commands::run::say;
use crate::errors::chain;
use crate::exit::Failure;
use crate::ledger::block::HourBlock;
use crate::store::journal::Journal;

/// Lines that wait, some 50 MB of them: beyond that the open bucket grows longer instead, and costs no more for it.
const MOST_LINES: usize = 200_000;

/// What to do when a bucket is sealed and synced, and not before.
pub enum AfterSync {
    Nothing,
    /// Ports that it closed are released.
    Release,
    /// The counters that it is the last bucket of are removed.
    Delete(Box<dyn Retired>),
}

/// Buckets that are not on disk yet. A full disk keeps them here; if the agent dies meanwhile, the counters still hold
/// what they say, and it becomes one late bucket.
pub struct Outbox {
    journal: Journal,
    waiting: VecDeque<(HourBlock, AfterSync)>,
    /// [`MOST_LINES`], or fewer in a test.
    most_lines: usize,
    /// Ports whose last line is on disk, and whose counters could not be let go yet.
    unreleased: BTreeSet<u16>,
    /// Days that were written to, until they are taken.
    dates: BTreeSet<NaiveDate>,
}

impl Outbox {
    pub fn new(journal: Journal) -> Self {
        let (waiting, unreleased, dates) = (VecDeque::new(), BTreeSet::new(), BTreeSet::new());
        Self { journal, waiting, most_lines: MOST_LINES, unreleased, dates }
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

    /// Whether so much waits that no more buckets should be closed for the time alone.
    pub fn is_full(&self) -> bool {
        self.waiting.iter().map(|(bucket, _)| bucket.lines.len()).sum::<usize>() >= self.most_lines
    }

    /// Ports that must not be given counters yet: their last line is not written, or what it says is not let go, and
    /// would be counted again.
    pub fn draining(&self) -> BTreeSet<u16> {
        let waiting = self.waiting.iter().flat_map(|(bucket, _)| closed(bucket));
        waiting.chain(self.unreleased.iter().copied()).collect()
    }

    /// Writes what waits, in order, and does what was to be done then.
    ///
    /// # Errors
    /// When a bucket cannot be written: it and those after it stay.
    pub fn write_all(&mut self, backend: &mut dyn Backend) -> Result<(), Failure> {
        while let Some((bucket, _)) = self.waiting.front_mut() {
            self.journal.append(bucket)?;
            let Some((bucket, then)) = self.waiting.pop_front() else { break };
            say::tell(&say::bucket(&bucket));
            self.dates.extend([bucket.seal.start.date_naive(), bucket.seal.end.date_naive()]);
            let done = match then {
                AfterSync::Nothing => Ok(()),
                // The counters of an epoch that was replaced meanwhile go with their set.
                AfterSync::Release if bucket.seal.epoch != backend.identity().epoch => Ok(()),
                AfterSync::Release => {
                    self.unreleased.extend(closed(&bucket));
                    backend.sealed()
                }
                AfterSync::Delete(retired) => retired.delete(),
            };
            // The bucket is safe; what stays in the kernel is found, and let go, at the next start.
            if let Err(error) = done {
                tracing::error!(error = %chain(&error), "counters that are no longer needed stay in the kernel");
            }
        }
        self.release(backend);
        Ok(())
    }

    fn release(&mut self, backend: &mut dyn Backend) {
        if self.unreleased.is_empty() {
            return;
        }
        match backend.release(&self.unreleased) {
            Ok(()) => self.unreleased.clear(),
            Err(error) => tracing::error!(error = %chain(&error), "counters of closed ports stay; it is tried again"),
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
