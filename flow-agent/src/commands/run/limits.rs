//! Applies the limits of this node's users: computes budgets from the configuration and the log, and hands them to the
//! backend.
//!
//! A user's usage in a billing month is what the log has sealed. What came after the last seal is not part of it, and
//! need not be: the limit is as far from the counters at that seal as the sealed usage is from the quota.
#![expect(clippy::disallowed_methods, reason = "edge: environment")]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::time::Duration;

use chrono::NaiveDate;

use super::timers::after;
use crate::backend::BackendError;
use crate::clock;
use crate::config::Config;
use crate::errors::chain;
use crate::ledger::calendar;
use crate::ledger::counters::Counters;
use crate::ledger::limits::budget::{Limit, MonthlyQuota, NextMonth, Transferred, UserBudget};
use crate::ledger::limits::grant::granted;
use crate::ledger::month::Month;
use crate::ledger::reading::Moment;
use crate::ledger::user::{OnQuota, User};
use crate::ports::PortOwners;
use crate::store::first_counted::FirstCounted;
use crate::store::grants;
use crate::store::logged_days::{self, LoggedPart};
use crate::store::{StateDir, StoreError};

/// How often the budgets are handed over again although nothing changed: clocks drift, and the next month must be known
/// in time.
const AGAIN_AFTER: Duration = Duration::from_secs(60);

/// How long after the turn of a month its first limits are computed. By then the last bucket of the old month is
/// sealed.
const AFTER_TURN: Duration = Duration::from_secs(3);

/// How soon to retry what failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Counters that can refuse packets.
pub trait GatedBackend {
    /// Whether buckets wait to be written.
    fn has_waiting(&self) -> bool;
    /// The owners of the ports in the open bucket.
    fn owners(&self) -> &PortOwners;
    /// The counters of a port at the last seal; what came after it is in the open bucket.
    fn sealed_counters(&self, port: u16) -> Counters;
    /// Lets the ports of each budget transfer no more than it allows.
    ///
    /// # Errors
    /// When the backend cannot refuse packets, or the kernel refuses.
    fn enforce(&mut self, budgets: &[UserBudget], now: Moment) -> Result<(), BackendError>;
    /// Hands over the same budgets again, for what the kernel does not do by itself.
    ///
    /// # Errors
    /// As [`GatedBackend::enforce`].
    fn enforce_again(&mut self, budgets: &[UserBudget], now: Moment) -> Result<(), BackendError>;
    /// How soon the same budgets must be handed over again; `None` if the kernel keeps them by itself.
    fn enforce_again_after(&self) -> Option<Duration>;
}

/// Keeps the limits of this node's users in force.
pub struct NodeLimits {
    state: StateDir,
    /// The billing month of `days`.
    month: Option<Month>,
    /// What each user moved on each day of that month, as far as it is sealed.
    days: BTreeMap<NaiveDate, BTreeMap<String, Transferred>>,
    /// Days for which something was sealed since they were read; `None` if all must be read.
    stale: Option<BTreeSet<NaiveDate>>,
    /// When counting began, which decides to which month `used` belongs.
    first_counted: FirstCounted,
    /// The port over which the person who started the agent is connected by ssh.
    ssh_port: Option<u16>,
    /// When the budgets must be computed and handed over, on the boot-time clock in nanoseconds.
    at: u64,
    /// When the last budgets must be handed over again unchanged, on the same clock.
    repeat_at: u64,
    /// The budgets that were handed over last; empty if they are no longer valid.
    told: Vec<UserBudget>,
    /// Whether the backend may hold budgets.
    in_force: bool,
    /// How many users are limited.
    limited: usize,
    /// The last failure that was logged, so that it is logged once.
    said: Option<String>,
    /// The ports of limited users that are never cut, as they were last logged.
    said_never: BTreeSet<u16>,
}

impl NodeLimits {
    pub fn new(config: &Config) -> Self {
        Self {
            state: StateDir::new(&config.state_dir),
            month: None,
            days: BTreeMap::new(),
            stale: None,
            first_counted: FirstCounted::default(),
            ssh_port: env::var("SSH_CONNECTION").ok().as_deref().and_then(server_port),
            at: 0,
            repeat_at: u64::MAX,
            told: Vec::new(),
            // A predecessor may have left budgets in force.
            in_force: true,
            limited: 0,
            said: None,
            said_never: BTreeSet::new(),
        }
    }

    /// When [`NodeLimits::attend`] is to be called, by the boot-time clock in nanoseconds.
    pub fn at(&self) -> u64 {
        self.at.min(self.repeat_at)
    }

    /// Notes that ports, users, quotas or counters have changed.
    pub fn changed(&mut self) {
        self.at = 0;
        self.repeat_at = u64::MAX;
        self.told.clear();
    }

    /// Notes that the configuration was read again: the log is read again as well.
    pub fn reloaded(&mut self) {
        self.stale = None;
        self.changed();
    }

    /// Notes that quotas may have changed, while ports and counters have not.
    pub fn users_changed(&mut self) {
        self.at = 0;
    }

    /// Notes that something was sealed on these days.
    pub fn sealed(&mut self, dates: &BTreeSet<NaiveDate>) {
        if let Some(stale) = &mut self.stale {
            stale.extend(dates);
        }
    }

    /// Hands the budgets to the backend.
    pub fn attend(&mut self, config: &Config, users: &[User], recorder: &mut dyn GatedBackend, now: Moment) {
        if now.boot_ns < self.at && !self.told.is_empty() {
            let outcome = self.tell_again(recorder);
            return self.say_outcome(outcome);
        }
        self.repeat_at = u64::MAX;
        let limited: Vec<&User> = users.iter().filter(|user| user.is_limited_on(&config.node)).collect();
        if limited.is_empty() && !self.in_force {
            self.at = u64::MAX;
            return;
        }
        if recorder.has_waiting() {
            // The log does not contain those buckets yet, and may not for hours if the disk is full.
            self.told.retain(|budget| limited.iter().any(|user| user.name == budget.user));
            let outcome = self.tell_again(recorder);
            self.at = after(now, RETRY_AFTER);
            return self.say_outcome(outcome);
        }
        let today = calendar::local(config.timezone, now.wall).date_naive();
        let month = Month::containing(today, config.month_start_day);
        let outcome = match self.budgets(config, &limited, recorder, month, today) {
            Ok(budgets) => {
                self.in_force = true;
                self.told = budgets;
                self.tell(recorder)
            }
            Err(error) => {
                let again = self.tell_again(recorder).err();
                Err([chain(&error)].into_iter().chain(again).collect::<Vec<_>>().join("; "))
            }
        };
        if outcome.is_ok() {
            let limited = self.told.len();
            self.in_force = limited > 0;
            if std::mem::replace(&mut self.limited, limited) != limited {
                tracing::info!(users = limited, "users with limits on this node");
            }
        }
        let turn = calendar::day_start(config.timezone, month.next().first_day(config.month_start_day));
        let until_turn = (turn - now.wall).to_std().unwrap_or_default() + AFTER_TURN;
        self.at = after(now, AGAIN_AFTER.min(until_turn));
        self.say_outcome(outcome);
    }

    /// Hands over the budgets that were computed last.
    fn tell(&mut self, recorder: &mut dyn GatedBackend) -> Result<(), String> {
        let now = clock::now();
        let outcome = recorder.enforce(&self.told, now).map_err(|error| chain(&error));
        self.repeat_after(recorder);
        outcome
    }

    /// Hands over the last budgets again, if they are still valid: a limit is the value of the counters at which a quota
    /// is used up, so it does not change as traffic passes.
    fn tell_again(&mut self, recorder: &mut dyn GatedBackend) -> Result<(), String> {
        if self.told.is_empty() {
            return Ok(());
        }
        let outcome = recorder.enforce_again(&self.told, clock::now()).map_err(|error| chain(&error));
        self.repeat_after(recorder);
        outcome
    }

    fn repeat_after(&mut self, recorder: &dyn GatedBackend) {
        self.repeat_at = recorder.enforce_again_after().map_or(u64::MAX, |pause| after(clock::now(), pause));
    }

    fn say_outcome(&mut self, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.said = None,
            Err(error) => {
                if self.said.as_ref() != Some(&error) {
                    tracing::error!(error, "the limits are not fully enforced; will retry");
                }
                self.said = Some(error);
            }
        }
    }

    fn budgets(
        &mut self,
        config: &Config,
        users: &[&User],
        recorder: &dyn GatedBackend,
        month: Month,
        today: NaiveDate,
    ) -> Result<Vec<UserBudget>, StoreError> {
        if users.is_empty() {
            return Ok(Vec::new());
        }
        self.read(config, month, today)?;
        let must_know_first = users.iter().any(|user| user.used.is_some_and(|used| used.month.is_none()));
        let first_counted = if must_know_first { self.first_counted.day(&self.state)? } else { None };
        let first_counted = first_counted.map(|day| Month::containing(day, config.month_start_day));
        let next = calendar::day_start(config.timezone, month.next().first_day(config.month_start_day));
        let grants = grants::read(&self.state)?.lines;
        let (granted_now, granted_next) = (granted(&grants, month), granted(&grants, month.next()));
        let mut never_of_users = BTreeSet::new();
        let mut budgets = Vec::new();
        for user in users {
            let owned = recorder.owners().iter().filter(|(_, owner)| owner.as_deref() == Some(user.name.as_str()));
            let (never, ports): (BTreeSet<u16>, BTreeSet<u16>) = owned
                .map(|(port, _)| *port)
                .partition(|port| config.limits.never.contains(port) || self.ssh_port == Some(*port));
            never_of_users.extend(never);
            let cut_at = user.quota_on(&config.node).filter(|_| user.on_quota == OnQuota::Drop);
            let quota = cut_at.map(|bytes| {
                let sealed: Vec<Counters> = ports.iter().map(|port| recorder.sealed_counters(*port)).collect();
                let (at_seal, used) = (Transferred::sum(&sealed), self.used(&user.name));
                let before = user.used_before_on(&config.node, month, first_counted);
                let allowed = |grants: &BTreeMap<String, u64>| {
                    bytes.saturating_add(grants.get(&user.name).copied().unwrap_or_default())
                };
                let limit = Limit::new(config.report.billed, allowed(&granted_now), used, before, at_seal);
                MonthlyQuota { limit, next: Some(NextMonth { at: next, bytes: allowed(&granted_next) }) }
            });
            let expires_at = user.expires.map(|day| calendar::day_end(config.timezone, day));
            budgets.push(UserBudget { user: user.name.clone(), ports, quota, expires_at });
        }
        self.say_never(never_of_users);
        Ok(budgets)
    }

    /// What a user moved in the month, as far as it is sealed.
    fn used(&self, user: &str) -> Transferred {
        let days = self.days.values().filter_map(|users| users.get(user));
        days.fold(Transferred::default(), |sum, day| add(sum, *day))
    }

    /// Reads the days of the log that were not read yet or have changed.
    fn read(&mut self, config: &Config, month: Month, today: NaiveDate) -> Result<(), StoreError> {
        let (first, last) = (month.first_day(config.month_start_day), month.last_day(config.month_start_day));
        // Also if the clock was in another month for a while: what was sealed since is not all that belongs to this one.
        if self.month != Some(month) {
            self.month = Some(month);
            self.days.clear();
            self.stale = None;
        }
        let ranges = match &self.stale {
            None => vec![first..=last],
            Some(stale) => stale.iter().filter(|day| (first..=last).contains(day)).map(|day| *day..=*day).collect(),
        };
        for range in ranges {
            let mut read: BTreeMap<NaiveDate, BTreeMap<String, Transferred>> = BTreeMap::new();
            logged_days::read(&self.state, range.clone(), today, |day, part| {
                let users = read.entry(day).or_default();
                match part {
                    LoggedPart::Day(block) => {
                        block.lines.iter().for_each(|line| add_line(users, line.user.as_ref(), line.counters()));
                    }
                    LoggedPart::Bucket(block) => {
                        block.lines.iter().for_each(|line| add_line(users, line.user.as_ref(), line.counters()));
                    }
                    // It is reported by the roll-up, which reads the same files.
                    LoggedPart::Damage(_) => {}
                }
            })?;
            self.days.retain(|day, _| !range.contains(day));
            self.days.append(&mut read);
        }
        self.stale = Some(BTreeSet::new());
        Ok(())
    }

    fn say_never(&mut self, ports: BTreeSet<u16>) {
        if ports != self.said_never && !ports.is_empty() {
            let list = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
            tracing::warn!(
                ports = list,
                "this port is never cut, whatever its user's quota: it is in limits.never, or is the port of your ssh \
                 session"
            );
        }
        self.said_never = ports;
    }
}

fn add_line(users: &mut BTreeMap<String, Transferred>, user: Option<&String>, counters: Counters) {
    if let Some(user) = user {
        let sum = users.entry(user.clone()).or_default();
        *sum = add(*sum, Transferred::sum([&counters]));
    }
}

fn add(one: Transferred, other: Transferred) -> Transferred {
    Transferred {
        in_bytes: one.in_bytes.saturating_add(other.in_bytes),
        out_bytes: one.out_bytes.saturating_add(other.out_bytes),
    }
}

/// The server's port in sshd's description of a connection: the client's address and port, then the server's.
fn server_port(connection: &str) -> Option<u16> {
    connection.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests;
