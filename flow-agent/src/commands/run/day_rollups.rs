//! The roll-ups of a running agent. They run on a separate thread, because reading a day's log takes time, and buckets
//! must not wait for that.

use std::collections::BTreeSet;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};

use super::timers::after;
use crate::clock;
use crate::commands::rollup::{DaySoFar, RolledUp};
use crate::commands::{prune, rollup};
use crate::config::Config;
use crate::exit::Failure;
use crate::ledger::calendar;
use crate::ledger::month::Month;
use crate::ledger::reading::Moment;
use crate::store::table::DayOutcome;
use crate::store::{StateDir, owed};

/// How often a day that is not over is rolled up.
const ROLL_UP_EVERY: Duration = Duration::from_secs(3_600);

/// How long to wait before a roll-up that failed is tried again. Another roll-up may hold the lock.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The days that must be rolled up. A day is owed from its first bucket until a roll-up has succeeded that began after
/// the day had ended and after its last bucket was written.
#[derive(Debug, Default)]
pub struct DayRollups {
    owed: BTreeSet<NaiveDate>,
    /// Whether the logs were searched for days that earlier agents owed.
    searched: bool,
    running: Option<Running>,
    /// The sums of the day that is not over, while no roll-up is running.
    so_far: DaySoFar,
    /// On the boot-time clock, in nanoseconds.
    retry_at: u64,
    /// When days that are not over are rolled up next, on the same clock.
    hourly_at: u64,
}

/// A roll-up that is running.
#[derive(Debug)]
struct Running {
    /// The owed days for which it was started.
    days: BTreeSet<NaiveDate>,
    outcome: Receiver<Outcome>,
}

/// The result of a roll-up.
#[derive(Debug)]
struct Outcome {
    begun_at: DateTime<Utc>,
    searched: bool,
    done: BTreeSet<NaiveDate>,
    /// Days that still have to be rolled up.
    failed: BTreeSet<NaiveDate>,
    so_far: DaySoFar,
}

impl DayRollups {
    /// Notes that a bucket of these days was written.
    pub fn owe(&mut self, days: impl IntoIterator<Item = NaiveDate>) {
        self.owed.extend(days);
    }

    /// Takes the result of a roll-up that has ended, and starts the next one if it is due. Never blocks.
    pub fn attend(&mut self, config: &Config, now: Moment) {
        match self.running.as_ref().map(|running| running.outcome.try_recv()) {
            Some(Err(TryRecvError::Empty)) => return,
            Some(Ok(outcome)) => self.take(Some(outcome), config, now),
            Some(Err(TryRecvError::Disconnected)) => self.take(None, config, now),
            None => {}
        }
        if now.boot_ns < self.retry_at {
            return;
        }
        let today = calendar::local(config.timezone, now.wall).date_naive();
        let hourly = now.boot_ns >= self.hourly_at;
        let due: BTreeSet<NaiveDate> = self.owed.iter().copied().filter(|day| hourly || *day < today).collect();
        if due.is_empty() && self.searched {
            return;
        }
        if hourly {
            self.hourly_at = after(now, ROLL_UP_EVERY);
        }
        self.start(due, config, now);
    }

    /// Rolls up all owed days, and waits for that no longer than `patience`. What is not finished by then is found at
    /// the next start.
    pub fn finish(&mut self, config: &Config, patience: Duration) {
        let deadline = after(clock::now(), patience);
        let mut in_time = self.wait(config, deadline);
        if in_time && !(self.owed.is_empty() && self.searched) {
            self.start(self.owed.clone(), config, clock::now());
            in_time = self.wait(config, deadline);
        }
        if !in_time {
            tracing::warn!("stopping before the days are rolled up: the next start does it");
        }
    }

    /// Waits for a running roll-up until `deadline`. Returns whether none is running any more.
    fn wait(&mut self, config: &Config, deadline: u64) -> bool {
        let Some(running) = &self.running else { return true };
        let left = Duration::from_nanos(deadline.saturating_sub(clock::now().boot_ns));
        match running.outcome.recv_timeout(left) {
            Err(RecvTimeoutError::Timeout) => return false,
            outcome => self.take(outcome.ok(), config, clock::now()),
        }
        true
    }

    fn start(&mut self, days: BTreeSet<NaiveDate>, config: &Config, now: Moment) {
        let (report, outcome) = mpsc::channel();
        let so_far = std::mem::take(&mut self.so_far);
        let work = Work { days: days.clone(), search: !self.searched, config: config.clone(), now, so_far };
        let thread = thread::Builder::new().name("roll-up".to_owned()).spawn(move || {
            // Nobody receives it once the agent has stopped.
            let _ = report.send(work.execute());
        });
        match thread {
            Ok(_) => {
                self.owed.retain(|day| !days.contains(day));
                self.running = Some(Running { days, outcome });
            }
            Err(error) => {
                tracing::warn!(%error, "failed to start a thread for the roll-up; will retry");
                self.retry_at = after(now, RETRY_AFTER);
            }
        }
    }

    /// `None` means that the thread ended without a result, which should never happen.
    fn take(&mut self, outcome: Option<Outcome>, config: &Config, now: Moment) {
        let started = self.running.take().map(|running| running.days).unwrap_or_default();
        let Some(Outcome { begun_at, searched, done, failed, so_far }) = outcome else {
            tracing::error!("the roll-up ended without a result; will retry");
            self.owed.extend(started);
            self.retry_at = after(now, RETRY_AFTER);
            return;
        };
        self.so_far = so_far;
        self.searched |= searched;
        if !failed.is_empty() || !searched {
            self.retry_at = after(now, RETRY_AFTER);
        }
        // A day that was not over must be rolled up again after it has ended, even if nothing is added to it.
        self.owed.extend(done.into_iter().filter(|day| begun_at < calendar::day_end(config.timezone, *day)));
        self.owed.extend(failed);
    }
}

/// The work of the thread.
struct Work {
    days: BTreeSet<NaiveDate>,
    /// Whether to include the days that are owed according to the logs.
    search: bool,
    config: Config,
    now: Moment,
    so_far: DaySoFar,
}

impl Work {
    fn execute(mut self) -> Outcome {
        let mut searched = false;
        if self.search {
            match owed::days(&StateDir::new(&self.config.state_dir), self.config.timezone, self.now.wall) {
                Ok(found) => {
                    self.days.extend(found);
                    searched = true;
                }
                Err(error) => {
                    let failure = Failure::from(error);
                    tracing::warn!("failed to look for days that are not rolled up\n{}", failure.render());
                }
            }
        }
        let mut failed = roll_up(&self.config, &self.days, self.now, &mut self.so_far);
        let today = calendar::local(self.config.timezone, self.now.wall).date_naive();
        // Once a day is enough, and on this thread nothing waits for it.
        if searched || self.days.iter().any(|day| *day < today) {
            match prune::prune(&self.config, self.now.wall) {
                Ok(damaged) => {
                    for day in &damaged {
                        let file = StateDir::new(&self.config.state_dir).daily(Month::of(*day));
                        tracing::warn!(
                            file = %file.display(),
                            %day,
                            "the daily log has no intact block of this day; it is rolled up again, and until then the \
                             hours that it is made from are not deleted"
                        );
                    }
                    // Their hours are deleted by the next run, if the blocks are intact by then.
                    failed.extend(roll_up(&self.config, &damaged, self.now, &mut DaySoFar::default()));
                }
                Err(error) => tracing::warn!(
                    "failed to compress or delete old days of the hourly log\n{}",
                    Failure::from(error).render()
                ),
            }
        }
        let done = self.days.difference(&failed).copied().collect();
        Outcome { begun_at: self.now.wall, searched: searched || !self.search, done, failed, so_far: self.so_far }
    }
}

/// Rolls up `days` together or, if that fails, one by one, so that one bad file does not affect the other days. Returns
/// those that failed.
fn roll_up(config: &Config, days: &BTreeSet<NaiveDate>, now: Moment, so_far: &mut DaySoFar) -> BTreeSet<NaiveDate> {
    let mut try_all = |days: &BTreeSet<NaiveDate>| {
        let outcome = match days.is_empty() {
            true => Ok(()),
            false => rollup::roll_up(config, days, now, false, Some(so_far)).map(|rolled_up| warn_of_kept(&rolled_up)),
        };
        outcome.inspect_err(|failure| {
            let days = days.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            tracing::warn!(days, "the roll-up failed; will retry\n{}", failure.render());
        })
    };
    match try_all(days) {
        Ok(()) => BTreeSet::new(),
        Err(_) if days.len() == 1 => days.clone(),
        Err(_) => days.iter().copied().filter(|day| try_all(&[*day].into()).is_err()).collect(),
    }
}

/// Says which days in `daily/` were not replaced: what they lack reaches no bill until somebody has looked.
fn warn_of_kept(rolled_up: &RolledUp) {
    for (day, (seal, outcome)) in &rolled_up.days {
        if let DayOutcome::Kept(_) = outcome {
            tracing::warn!("the daily log was not replaced: {}", rollup::line(*day, seal, *outcome));
        }
    }
}
