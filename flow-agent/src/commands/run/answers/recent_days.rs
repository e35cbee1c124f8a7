//! What each user moved on the last complete days, on which forecasts are based.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};

use crate::ledger::billing::Billed;
use crate::ledger::block::{Daily, DayBlock};
use crate::ledger::calendar::Month;
use crate::ledger::counters::Counters;
use crate::ledger::forecast::{self, Measured};
use crate::store::blocks::{Blocks, Item};
use crate::store::{StateDir, StoreError};

/// The days before today, from the daily log.
#[derive(Debug, Default)]
pub struct RecentDays {
    /// For each day: the measured seconds, and what each user moved.
    days: BTreeMap<NaiveDate, (u64, BTreeMap<String, Counters>)>,
    /// The day on which the daily log was last read, and the bucket that was the newest then.
    looked: Option<(NaiveDate, u64)>,
}

impl RecentDays {
    /// Reads the daily log if it may have changed, because the roll-up of yesterday takes a while.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn refresh(&mut self, state: &StateDir, today: NaiveDate, through: u64) -> Result<(), StoreError> {
        let is_complete = self.days.contains_key(&(today - Days::new(1)));
        let looked_today = self.looked.is_some_and(|(day, seq)| day == today && (is_complete || seq == through));
        if looked_today {
            return Ok(());
        }
        self.looked = Some((today, through));
        self.days.clear();
        let first = today - Days::new(forecast::DAYS as u64);
        let mut month = Month::of(first);
        while month <= Month::of(today) {
            if let Some(items) = Blocks::<Daily>::open(&state.daily(month))? {
                for item in items {
                    if let Item::Block(found) = item?
                        && (first..today).contains(&found.block.seal.day)
                        && found.block.seal.was_made_after_the_day()
                    {
                        self.take(found.block);
                    }
                }
            }
            month = month.next();
        }
        Ok(())
    }

    fn take(&mut self, day: DayBlock) {
        let mut users: BTreeMap<String, Counters> = BTreeMap::new();
        for line in day.lines {
            let counters = line.counters();
            if let Some(user) = line.user {
                let sum = users.entry(user).or_default();
                *sum = sum.saturating_add(counters);
            }
        }
        self.days.insert(day.seal.day, (day.seal.seconds_covered.into(), users));
    }

    /// The bytes of `user` that are billed for each of these days, the newest last. A day on which the user has no line has zero bytes,
    /// because it was measured.
    pub fn of(&self, user: &str, billed: Billed) -> Vec<Measured> {
        let measured = |(seconds, users): &(u64, BTreeMap<String, Counters>)| Measured {
            bytes: billed.bytes(users.get(user).copied().unwrap_or_default()).into(),
            seconds: *seconds,
        };
        self.days.values().map(measured).collect()
    }
}

#[cfg(test)]
mod tests;
