//! Coordinates the counters, the meter that reads them, and the journal.
//!
//! The order of the steps makes every byte count once: a bucket is synced before the counters behind it are released,
//! and a port's counters are released before they are given to another port.

mod look;
mod outbox;
mod ports;
mod read;
mod state;
mod unseen;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use chrono::{DateTime, FixedOffset, NaiveDate, Utc};

use self::outbox::{AfterSync, Outbox};
use self::state::StateHold;
use self::unseen::UnseenList;
use super::limits::GatedBackend;
use super::timers::after;
use crate::backend::{Backend, BackendError, Identity, Retired};
use crate::clock;
use crate::errors::chain;
use crate::exit::{Code, Failure};
use crate::ledger::block::HourBlock;
use crate::ledger::counters::Counters;
use crate::ledger::limits::budget::UserBudget;
use crate::ledger::reading::{Moment, Reading, Unseen};
use crate::ledger::unsealed::Closing;
use crate::ledger::usage::{Counted, ForeignEpoch, Meter};
use crate::ports::PortOwners;
use crate::store::checkpoint::CheckpointFile;
use crate::store::journal::Journal;
use crate::store::ports::PortList;
use crate::store::{self, RunLock, StoreError};

/// How long a write error that persists is not logged again.
const SAY_AGAIN_AFTER: Duration = Duration::from_secs(600);

/// How long to wait before a failed reading or write is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Turns the counters into buckets on disk.
pub struct Recorder {
    lock: RunLock,
    backend: Box<dyn Backend>,
    meter: Meter,
    /// The owners of the ports in the open bucket.
    owners: PortOwners,
    outbox: Outbox,
    unseen: UnseenList,
    /// Counters that were replaced, and whose last bucket is not made yet.
    replaced: VecDeque<Box<dyn Retired>>,
    /// Whether counters were replaced since [`Recorder::take_new_counters`] was last called.
    new_counters: bool,
    /// When a failed reading or write is tried again, on the boot-time clock in nanoseconds.
    retry_at: u64,
    /// The write error that was logged last, and when, so that it does not fill the log.
    said: Option<(String, u64)>,
    checkpoints: CheckpointFile,
    state: StateHold,
    /// Why counting cannot continue, once that is the case.
    fatal: Option<Failure>,
}

/// What a recorder begins with.
pub struct Beginning {
    pub lock: RunLock,
    pub instance: String,
    pub journal: Journal,
    pub backend: Box<dyn Backend>,
    pub meter: Meter,
    /// The owners of the counted ports until now.
    pub owners: PortOwners,
    pub unseen: Vec<Unseen>,
    /// The end of the newest bucket in the log.
    pub last_seal: Option<DateTime<FixedOffset>>,
}

impl Recorder {
    /// Writes `buckets`, the first of this agent, and then deletes the counters in `retired`, whose last readings they
    /// contain.
    ///
    /// # Errors
    /// When a bucket cannot be written, or when counters cannot be deleted that are no longer needed.
    pub fn begin(
        beginning: Beginning,
        buckets: Vec<HourBlock>,
        mut retired: Vec<Box<dyn Retired>>,
    ) -> Result<Self, Failure> {
        let Beginning { lock, instance, journal, backend, meter, owners, unseen, last_seal } = beginning;
        let mut recorder = Self {
            lock,
            backend,
            meter,
            owners,
            outbox: Outbox::new(journal, last_seal),
            unseen: UnseenList::default(),
            replaced: VecDeque::new(),
            new_counters: false,
            retry_at: clock::now().boot_ns,
            said: None,
            checkpoints: CheckpointFile::default(),
            state: StateHold::new(instance),
            fatal: None,
        };
        for bucket in buckets {
            let behind = retired.iter().position(|set| set.identity().epoch == bucket.seal.epoch);
            let then = behind.map_or(AfterSync::Nothing, |index| AfterSync::Delete(retired.remove(index)));
            recorder.outbox.push(bucket, then);
        }
        recorder.outbox.write_all(recorder.backend.as_mut())?;
        for set in retired {
            // Its last reading is sealed now, or there was nothing in it. If it cannot be deleted, for example because
            // somebody's rule refers to it, the next start tries again.
            if let Err(error) = set.delete() {
                tracing::warn!(error = %chain(&error), "former counters could not be removed");
            }
        }
        recorder.unseen.add(unseen, clock::now());
        Ok(recorder)
    }

    /// What a seal says about the counters.
    pub fn identity(&self) -> Identity {
        self.backend.identity()
    }

    /// The interfaces that are counted now, sorted.
    pub fn interfaces(&self) -> Vec<String> {
        self.backend.interfaces()
    }

    /// The ports that are counted now.
    pub fn ports(&self) -> BTreeSet<u16> {
        self.backend.ports()
    }

    /// The owners of the ports in the open bucket.
    pub fn owners(&self) -> &PortOwners {
        &self.owners
    }

    /// The days that were written to since the last call.
    pub fn take_dates(&mut self) -> BTreeSet<NaiveDate> {
        self.outbox.take_dates()
    }

    /// When the open bucket ends, if nothing happens until then.
    pub fn planned_end(&self) -> DateTime<Utc> {
        self.meter.planned_end()
    }

    /// Why counting cannot continue, once that is the case; a restart may help.
    pub fn take_fatal(&mut self) -> Option<Failure> {
        self.fatal.take()
    }

    /// Whether a bucket could be closed now: the counters can be read, and they belong to the open bucket.
    pub fn can_close(&mut self) -> bool {
        self.fatal.is_none()
            && self.replaced.is_empty()
            && self.backend.read(&clock::now).is_ok_and(|reading| self.meter.knows(&reading))
    }

    /// Whether counters were replaced since the last call.
    pub fn take_new_counters(&mut self) -> bool {
        std::mem::take(&mut self.new_counters)
    }

    /// When to retry what failed, on the boot-time clock in nanoseconds.
    pub fn retry_at(&self) -> u64 {
        self.retry_at
    }

    /// Whether buckets wait to be written.
    pub fn has_waiting(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Whether the bucket must be closed because its time is up. While too many buckets wait to be written it stays
    /// open: it will be late, but loses nothing.
    pub fn must_close(&mut self, now: Moment) -> bool {
        self.meter.due(now) && now.boot_ns >= self.retry_at && !self.outbox.is_full()
    }

    /// Checks whether everything that was attached still is, and notes what could not be measured. What is broken is
    /// repaired only when a checkpoint says that it was.
    pub fn inspect(&mut self) {
        if self.inspect_once() {
            self.inspect_once();
        }
    }

    /// Returns whether something is broken that the next inspection repairs.
    fn inspect_once(&mut self) -> bool {
        let now = clock::now();
        let inspection = match self.backend.inspect(now) {
            Ok(inspection) => inspection,
            Err(error) => {
                tracing::error!(error = %chain(&error), "failed to inspect the attachments");
                return false;
            }
        };
        let is_broken = inspection.is_broken;
        let must_tell = self.unseen.add(inspection.unseen, now);
        self.replaced.extend(inspection.retired);
        if let Err(failure) = self.go_on_with_new_counters() {
            tracing::error!("failed to read the new counters; will retry\n{}", failure.render());
        }
        if must_tell {
            // At once, because nothing else would tell a successor. Counters that are broken may not be readable.
            self.checkpoint_with(|recorder| (!is_broken).then(|| recorder.backend.read(&clock::now)).transpose());
        }
        is_broken
    }

    /// Closes the open bucket and writes it. If the counters cannot be read it stays open, and closing is retried.
    /// Returns whether it was closed.
    pub fn close(&mut self) -> bool {
        self.inspect();
        if let Err(failure) = self.seal() {
            tracing::error!("the bucket stays open\n{}", failure.render());
            self.retry_at = after(clock::now(), RETRY_AFTER);
            return false;
        }
        self.write();
        true
    }

    /// Closes the last bucket. The counters remain and continue to count.
    ///
    /// # Errors
    /// Exit code 4 when the counters cannot be read, 5 when the bucket cannot be written. In both cases the counters
    /// still hold it.
    pub fn leave(&mut self) -> Result<(), Failure> {
        self.inspect();
        self.seal()?;
        self.hold_state()?;
        self.outbox.write_all(self.backend.as_mut())?;
        Ok(())
    }

    /// Makes a bucket of the time up to now, which is then to be written.
    fn seal(&mut self) -> Result<(), Failure> {
        let (reading, read_until) = self.read_within_one_second()?;
        let users = users(&self.owners);
        let closing = Closing { users: &users, unseen: self.unseen.all(), read_until: Some(read_until) };
        self.meter.set_pinned(self.backend.identity().pinned);
        let bucket = self.meter.close(self.backend.interfaces(), &reading, closing);
        let bucket = bucket.map_err(|error| self.cannot_go_on(error))?;
        self.unseen.forget_until(&bucket.seal);
        self.outbox.push(bucket, AfterSync::Release);
        // Ports that were drained are in no bucket after this one.
        let counted = self.backend.ports();
        self.owners.retain(|port, _| counted.contains(port));
        Ok(())
    }

    /// Writes the buckets that wait, and then releases the counters that are no longer needed.
    pub fn write(&mut self) {
        match self.hold_state().and_then(|()| self.outbox.write_all(self.backend.as_mut())) {
            Ok(()) => {
                if self.said.take().is_some() {
                    tracing::info!("buckets can be written again: none is waiting");
                }
            }
            Err(error) => self.take_write_error(error),
        }
    }

    fn take_write_error(&mut self, error: StoreError) {
        let now = clock::now();
        self.retry_at = after(now, RETRY_AFTER);
        let is_final = error.is_final();
        let failure = Failure::from(error);
        let text = failure.render();
        if self.said.as_ref().is_none_or(|(said, until)| *said != text || *until <= now.boot_ns) {
            let waiting = self.outbox.len();
            tracing::error!(waiting, "failed to write a bucket; it is kept in memory; will retry\n{text}");
            self.said = Some((text, after(now, SAY_AGAIN_AFTER)));
        }
        if is_final {
            self.fatal = Some(failure);
        }
    }

    /// The counters do not belong to the open bucket, and never will: only a new start can find out what belongs
    /// together.
    fn cannot_go_on(&mut self, error: ForeignEpoch) -> Failure {
        self.fatal = Some(foreign(error.clone()));
        foreign(error)
    }

    /// Stores the newest reading, but not while a bucket waits: a checkpoint says what came after a seal, which must be
    /// on disk.
    pub fn checkpoint(&mut self) {
        self.checkpoint_with(|recorder| recorder.backend.read(&clock::now).map(Some));
    }

    /// [`Recorder::checkpoint`] of what `read` returns, or else of the newest reading that was seen.
    fn checkpoint_with(&mut self, read: impl FnOnce(&mut Self) -> Result<Option<Reading>, BackendError>) {
        if !self.outbox.is_empty() {
            return;
        }
        if let Err(failure) = self.try_checkpoint(read) {
            tracing::warn!("failed to write the checkpoint\n{}", failure.render());
        }
    }

    fn try_checkpoint(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Option<Reading>, BackendError>,
    ) -> Result<(), Failure> {
        self.hold_state()?;
        let checkpoint = match read(self)? {
            Some(reading) => self.meter.checkpoint(&reading, &self.unseen.foretold(reading.at)),
            None => Ok(self.meter.checkpoint_of_newest(&self.unseen.foretold(clock::now()))),
        };
        if let Some(checkpoint) = checkpoint.map_err(|error| self.cannot_go_on(error))? {
            let kept = self.checkpoints.keep(&self.lock, checkpoint)?;
            self.meter.checkpoint_kept(kept);
        }
        Ok(())
    }

    /// Stores the port list, for a later start at which a port file is torn or missing.
    pub fn remember_ports(&self, list: &PortList) {
        if let Err(error) = store::ports::write(&self.lock, list) {
            tracing::warn!(error = %chain(&error), "failed to write the port list");
        }
    }

    /// Closes the bucket of each set of counters that was replaced, and continues with its successor: the next replaced
    /// set if there is one, or else the live counters. If the live ones cannot be read now, what was replaced is kept
    /// for the next attempt.
    fn go_on_with_new_counters(&mut self) -> Result<(), Failure> {
        while let Some(set) = self.replaced.front_mut() {
            // Without it, the meter closes the bucket with the newest reading that it has seen.
            let last = last_reading(set.as_mut());
            let live = match self.replaced.get_mut(1).map(|next| last_reading(next.as_mut())) {
                Some(Some(next)) => next,
                Some(None) => {
                    self.replaced.remove(1);
                    continue;
                }
                None => Counted {
                    identity: self.backend.identity(),
                    interfaces: self.backend.interfaces(),
                    reading: self.backend.read(&clock::now)?,
                },
            };
            let set = self.replaced.pop_front().filter(|_| last.is_some());
            let users = users(&self.owners);
            let bucket =
                self.meter.replace(last, live, Closing { users: &users, unseen: self.unseen.all(), read_until: None });
            let bucket = bucket.map_err(|error| self.cannot_go_on(error))?;
            self.new_counters = true;
            self.unseen.forget_until(&bucket.seal);
            self.outbox.push(bucket, set.map_or(AfterSync::Nothing, AfterSync::Delete));
            self.write();
            if self.replaced.is_empty() {
                // Until something on disk mentions the new counters, a successor would not know since when they count.
                self.checkpoint();
            }
        }
        Ok(())
    }
}

impl GatedBackend for Recorder {
    fn has_waiting(&self) -> bool {
        Self::has_waiting(self)
    }

    fn owners(&self) -> &PortOwners {
        Self::owners(self)
    }

    fn sealed_counters(&self, port: u16) -> Counters {
        self.meter.sealed_counters(port)
    }

    fn enforce(&mut self, budgets: &[UserBudget], now: Moment) -> Result<(), BackendError> {
        self.backend.enforce(budgets, now)
    }

    fn enforce_again(&mut self, budgets: &[UserBudget], now: Moment) -> Result<(), BackendError> {
        self.backend.enforce_again(budgets, now)
    }

    fn enforce_again_after(&self) -> Option<Duration> {
        self.backend.enforce_again_after()
    }
}

#[cfg(test)]
impl Recorder {
    pub(super) fn limit_waiting_lines(&mut self, most: usize) {
        self.outbox.limit_lines(most);
    }
}

fn foreign(error: ForeignEpoch) -> Failure {
    Failure::new(Code::Kernel, error).help("restart the agent: at startup it reconciles the log with the counters")
}

/// The ports that have an owner, with that owner.
pub fn users(owners: &PortOwners) -> BTreeMap<u16, String> {
    owners.iter().filter_map(|(port, owner)| Some((*port, owner.clone()?))).collect()
}

/// The last reading of replaced counters. If they can no longer be read, that is logged, and `None` is returned.
fn last_reading(set: &mut dyn Retired) -> Option<Counted> {
    match set.read(&clock::now) {
        Ok(reading) => Some(Counted { identity: set.identity(), interfaces: set.interfaces(), reading }),
        Err(error) => {
            tracing::error!(error = %chain(&error), "the last reading of replaced counters is lost");
            None
        }
    }
}
