//! The agent: counters, the meter that reads them, and the journal, and in which order each is told what.
//!
//! The order is what makes every byte count once: what a bucket says is synced before the counters behind it are let go,
//! and a port's counters are let go before they are given to anybody again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::day_rollups::DayRollups;
use super::nat::NatWatch;
use super::outbox::{Outbox, Then};
use super::say;
use super::timers::{INSPECT_EVERY, LOOK_EVERY, LOOK_FOR_NAT_EVERY, Timers, after};
use super::unseen::UnseenList;
use super::watched::Watched;
use crate::backend::{Backend, Retired};
use crate::clock;
use crate::config::Config;
use crate::errors::chain;
use crate::exit::{Code, Failure};
use crate::ledger::calendar;
use crate::ledger::reading::{Moment, Reading};
use crate::ledger::usage::{Closing, Counted, Meter};
use crate::ports::Owners;
use crate::store::{RunLock, checkpoint, ports};

/// How long to wait before a reading, or a write, that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Counts until it is told to leave.
pub struct Agent {
    pub(super) config: Config,
    pub(super) lock: RunLock,
    pub(super) backend: Box<dyn Backend>,
    pub(super) meter: Meter,
    pub(super) watched: Watched,
    /// Whose the ports are in the open bucket.
    pub(super) owners: Owners,
    pub(super) outbox: Outbox,
    pub(super) unseen: UnseenList,
    /// Counters that were replaced, and of which no last bucket is made yet.
    pub(super) replaced: VecDeque<Box<dyn Retired>>,
    pub(super) nat: NatWatch,
    pub(super) rollups: DayRollups,
    pub(super) timers: Timers,
}

impl Agent {
    /// Tells the person at the terminal, and the service manager, that it counts.
    pub fn say_begin(&self) {
        let logs = self.lock.state().hourly_dir();
        let identity = self.backend.identity();
        let interfaces = self.backend.interfaces();
        say::tell(&say::begin(&self.config.node, &self.owners, &interfaces, &identity, self.config.timezone, &logs));
        tell_service_manager(&[sd_notify::NotifyState::Ready]);
    }

    /// How long nothing is to be done.
    pub fn pause(&self) -> Duration {
        let now = clock::now();
        let mut next = self.timers.checkpoint_at.min(self.timers.inspect_at).min(self.timers.nat_at);
        if self.watched.must_look() {
            next = next.min(self.timers.look_at);
        }
        if !self.outbox.is_empty() {
            next = next.min(self.timers.retry_at);
        }
        let until_next = Duration::from_nanos(next.saturating_sub(now.boot_ns));
        // The wall may be set while we wait; an inspection comes soon enough to see it.
        let until_end = (self.meter.planned_end() - now.wall).to_std().unwrap_or_default();
        until_next.min(until_end.max(self.wait_to_retry(now)))
    }

    /// A bucket that is due but could not be read is not tried again at once.
    fn wait_to_retry(&self, now: Moment) -> Duration {
        Duration::from_nanos(self.timers.retry_at.saturating_sub(now.boot_ns))
    }

    /// Does what is due.
    ///
    /// # Errors
    /// When counting cannot go on at all.
    pub fn tick(&mut self) -> Result<(), Failure> {
        let now = clock::now();
        if now.boot_ns >= self.timers.inspect_at {
            self.inspect()?;
        }
        if self.must_close(now) {
            self.close();
        }
        if !self.outbox.is_empty() && now.boot_ns >= self.timers.retry_at {
            self.write_out();
        }
        if now.boot_ns >= self.timers.checkpoint_at {
            self.timers.checkpoint_at = after(now, self.config.count.checkpoint);
            self.checkpoint();
        }
        if self.watched.must_look() && now.boot_ns >= self.timers.look_at {
            self.timers.look_at = after(now, LOOK_EVERY);
            self.refresh_ports()?;
        } else if self.outbox.is_empty() && self.owners_differ() {
            // A port that was to come back waited for its last line to be written, or the kernel refused.
            self.apply_ports();
        }
        if now.boot_ns >= self.timers.nat_at {
            self.timers.nat_at = after(now, LOOK_FOR_NAT_EVERY);
            self.nat.look(self.backend.ports());
        }
        self.rollups.attend(&self.config, now);
        Ok(())
    }

    /// Whether the bucket is to be closed for the time's sake. Where many wait to be written it stays open: it will be
    /// late, and nothing of it is lost.
    pub(super) fn must_close(&mut self, now: Moment) -> bool {
        self.meter.due(now) && now.boot_ns >= self.timers.retry_at && !self.outbox.is_full()
    }

    /// Returns when a port file or the users' file may have changed. May be dropped at any time.
    pub async fn ports_changed(&mut self) {
        self.watched.changed().await;
    }

    /// Looks which ports are to be counted, for whom, and counts them.
    ///
    /// # Errors
    /// When counting cannot go on at all.
    pub fn refresh_ports(&mut self) -> Result<(), Failure> {
        if self.watched.refresh(clock::now()) {
            self.remember_ports();
            self.apply_ports();
        }
        Ok(())
    }

    /// Takes over what a new configuration says of ports and users. The rest of it needs a restart, which loses nothing.
    ///
    /// # Errors
    /// When counting cannot go on at all.
    pub fn reconfigure(&mut self, config: Config) -> Result<(), Failure> {
        let mut same = self.config.clone();
        same.ports.clone_from(&config.ports);
        same.users.clone_from(&config.users);
        same.users_file.clone_from(&config.users_file);
        if (&same.count, &same.node, same.timezone, &same.state_dir)
            != (&config.count, &config.node, config.timezone, &config.state_dir)
        {
            tracing::warn!("ports and users are taken over; the other changes need a restart, which loses nothing");
        }
        self.config = same;
        self.watched.reconfigure(config);
        self.timers.nat_at = clock::now().boot_ns;
        self.refresh_ports()
    }

    /// Looks whether all that was attached is there, and notes what could not be seen.
    ///
    /// # Errors
    /// When counting cannot go on at all.
    pub fn inspect(&mut self) -> Result<(), Failure> {
        let now = clock::now();
        self.timers.inspect_at = after(now, INSPECT_EVERY);
        let inspection = match self.backend.inspect(now) {
            Ok(inspection) => inspection,
            Err(error) => {
                tracing::error!(error = %chain(&error), "failed to look at the attachments");
                return Ok(());
            }
        };
        let is_told = inspection.unseen.is_empty();
        self.unseen.add(inspection.unseen);
        self.replaced.extend(inspection.retired);
        if let Err(failure) = self.go_on_with_new_counters() {
            tracing::error!("the new counters cannot be read; it is tried again\n{}", failure.render());
        }
        if !is_told {
            // At once: nothing else will tell a successor.
            self.checkpoint();
        }
        Ok(())
    }

    /// Writes a last bucket and rolls up its day, for which it waits no longer than `patience`. The counters stay, and
    /// counting goes on.
    ///
    /// # Errors
    /// Exit code 4 when the counters cannot be read, 5 when the bucket cannot be written: the counters still hold it.
    pub fn leave(&mut self, patience: Duration) -> Result<(), Failure> {
        tell_service_manager(&[sd_notify::NotifyState::Stopping]);
        self.inspect()?;
        let reading = self.backend.read(&clock::now)?;
        self.seal(&reading)?;
        self.outbox.write_all(self.backend.as_mut())?;
        self.rollups.owe(self.outbox.take_dates());
        self.rollups.finish(&self.config, patience);
        Ok(())
    }

    /// Closes the open bucket; when the counters cannot be read it stays open, and is tried again.
    pub(super) fn close(&mut self) -> bool {
        let closed = self.inspect().and_then(|()| {
            let reading = self.backend.read(&clock::now)?;
            self.seal(&reading)
        });
        if let Err(failure) = closed {
            tracing::error!("the bucket stays open\n{}", failure.render());
            self.timers.retry_at = after(clock::now(), RETRY_AFTER);
            return false;
        }
        self.write_out();
        true
    }

    /// Makes a bucket of the time up to `reading`, to be written.
    fn seal(&mut self, reading: &Reading) -> Result<(), Failure> {
        let users = users(&self.owners);
        let closing = Closing { users: &users, unseen: self.unseen.all() };
        self.meter.set_pinned(self.backend.identity().pinned);
        let bucket = self.meter.close(self.backend.interfaces(), reading, closing);
        let bucket = bucket.map_err(|error| Failure::new(Code::Unexpected, error))?;
        self.unseen.forget_until(&bucket.seal);
        self.outbox.push(bucket, Then::Release);
        // What drained is in no bucket after this one.
        let counted = self.backend.ports();
        self.owners.retain(|port, _| counted.contains(port));
        Ok(())
    }

    /// Writes the buckets that wait, and lets go of what is behind them.
    fn write_out(&mut self) {
        let written = self.outbox.write_all(self.backend.as_mut());
        if let Err(failure) = written {
            let waiting = self.outbox.len();
            tracing::error!(
                waiting,
                "a bucket could not be written; it is kept, and tried again\n{}",
                failure.render()
            );
            self.timers.retry_at = after(clock::now(), RETRY_AFTER);
        }
        self.rollups.owe(self.outbox.take_dates());
        self.rollups.attend(&self.config, clock::now());
    }

    /// Keeps the newest reading. Not while a bucket waits: a checkpoint says what came after a seal.
    pub(super) fn checkpoint(&mut self) {
        if !self.outbox.is_empty() {
            return;
        }
        let kept = self.backend.read(&clock::now).map_err(Failure::from).and_then(|reading| {
            let checkpoint = self.meter.checkpoint(&reading, self.unseen.all());
            if let Some(checkpoint) = checkpoint.map_err(|error| Failure::new(Code::Unexpected, error))? {
                checkpoint::write(&self.lock, &checkpoint)?;
                self.meter.checkpoint_kept(&checkpoint);
            }
            Ok(())
        });
        if let Err(failure) = kept {
            tracing::warn!("no checkpoint\n{}", failure.render());
        }
    }

    /// Whether not all is counted yet as it is wanted.
    fn owners_differ(&self) -> bool {
        self.owners != *self.watched.owners() || !self.owners.keys().eq(self.backend.ports().iter())
    }

    /// Counts what is wanted now. What stops being counted, or is another's from now on, closes the bucket at once.
    pub(super) fn apply_ports(&mut self) {
        let wanted = self.watched.owners().clone();
        let counted = self.backend.ports();
        let gone: BTreeSet<u16> = counted.iter().copied().filter(|port| !wanted.contains_key(port)).collect();
        if !gone.is_empty()
            && let Err(error) = self.backend.drain(&gone)
        {
            tracing::error!(error = %chain(&error), "failed to stop counting ports; it is tried again");
            return;
        }
        // Those too that drain since a former try, after which no bucket could be closed.
        let handed_over = self.owners.iter().any(|(port, owner)| wanted.get(port) != Some(owner));
        if (!gone.is_empty() || handed_over) && !self.close() {
            return;
        }
        // A port whose last line is not on disk yet drains still: it comes back when that is done.
        let draining = self.outbox.draining();
        let new: BTreeSet<u16> =
            wanted.keys().copied().filter(|port| !counted.contains(port) && !draining.contains(port)).collect();
        if self.meter.has_closed(&new) && !(self.close() && self.outbox.is_empty()) {
            // Between a port's last line and its new counters another bucket must be on disk; it is tried again.
            return;
        }
        self.owners = wanted;
        if !new.is_empty() {
            self.add_ports(&new);
        }
        if !(gone.is_empty() && new.is_empty()) {
            tracing::info!(added = new.len(), removed = gone.len(), counted = self.owners.len(), "the ports changed");
        }
    }

    fn add_ports(&mut self, new: &BTreeSet<u16>) {
        let added = match self.backend.add(new) {
            Ok(()) => return,
            Err(crate::backend::BackendError::Full { .. }) => {
                let all = self.backend.ports().union(new).copied().collect();
                self.backend.replace(&all)
            }
            Err(error) => Err(error),
        };
        let outcome = match added {
            Ok(retired) => {
                self.replaced.push_back(retired);
                self.go_on_with_new_counters()
            }
            Err(error) => Err(error.into()),
        };
        if let Err(failure) = outcome {
            tracing::error!("failed to count new ports; it is tried again\n{}", failure.render());
        }
    }

    /// Closes the bucket of counters that were replaced, and goes on with those that came after them: those that count
    /// now, or, where these could not be read then, others that were replaced in turn. Where they cannot be read now, all
    /// that were replaced are kept for the next try.
    fn go_on_with_new_counters(&mut self) -> Result<(), Failure> {
        while let Some(set) = self.replaced.front_mut() {
            // Without it the meter goes on from the newest reading that it was shown.
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
            let bucket = self.meter.replace(last, live, Closing { users: &users, unseen: self.unseen.all() });
            let bucket = bucket.map_err(|error| Failure::new(Code::Unexpected, error))?;
            self.unseen.forget_until(&bucket.seal);
            self.outbox.push(bucket, set.map_or(Then::Nothing, Then::Delete));
            self.write_out();
            if self.replaced.is_empty() {
                // Until something on disk tells of them, a successor would not know since when the new counters count.
                self.checkpoint();
            }
        }
        Ok(())
    }

    /// Keeps the list for a start at which a port file is torn or missing.
    pub(super) fn remember_ports(&self) {
        let at = calendar::local(self.config.timezone, clock::now().wall);
        if let Err(error) = ports::write(&self.lock, &self.watched.remember(at)) {
            tracing::warn!(error = %chain(&error), "the port list is not kept");
        }
    }
}

/// The ports that have an owner.
pub(super) fn users(owners: &Owners) -> BTreeMap<u16, String> {
    owners.iter().filter_map(|(port, owner)| Some((*port, owner.clone()?))).collect()
}

/// What replaced counters say at their end; `None`, and a word in the log, where they say nothing any more.
fn last_reading(set: &mut dyn Retired) -> Option<Counted> {
    match set.read(&clock::now) {
        Ok(reading) => Some(Counted { identity: set.identity(), interfaces: set.interfaces(), reading }),
        Err(error) => {
            tracing::error!(error = %chain(&error), "the last reading of replaced counters is lost");
            None
        }
    }
}

fn tell_service_manager(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager was not told");
    }
}
