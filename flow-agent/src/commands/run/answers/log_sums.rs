//! Sums over the log of today and of this billing month, by port and by user.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use crate::ledger::block::HourBlock;
use crate::ledger::calendar::{Month, day_end, local};
use crate::ledger::counters::{Counters, Flow};
use crate::store::logged_days::{self, LoggedPart};
use crate::store::{StateDir, StoreError};

/// The day and the billing month that sums refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    pub today: NaiveDate,
    pub month: Month,
    month_start_day: u32,
}

impl Dates {
    /// The day and the month of `now` in `zone`.
    pub fn of(zone: Tz, month_start_day: u32, now: DateTime<Utc>) -> Self {
        let today = local(zone, now).date_naive();
        Self { today, month: Month::containing(today, month_start_day), month_start_day }
    }

    /// The seconds from `now` until the month is over.
    pub fn seconds_left(&self, zone: Tz, now: DateTime<Utc>) -> u64 {
        let end = day_end(zone, self.month.last_day(self.month_start_day));
        u64::try_from((end - now).num_seconds()).unwrap_or(0)
    }

    /// The billing month that a day belongs to.
    pub fn month_of(&self, day: NaiveDate) -> Month {
        Month::containing(day, self.month_start_day)
    }

    fn is_in_month(&self, day: NaiveDate) -> bool {
        (self.month.first_day(self.month_start_day)..=self.month.last_day(self.month_start_day)).contains(&day)
    }
}

/// What moved today and in this month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecentUsage {
    pub today: Counters,
    pub month: Counters,
}

/// The sums of the buckets up to `through`.
#[derive(Clone, Debug)]
pub struct LogSums {
    pub dates: Dates,
    /// The `seq` of the last bucket that is included.
    pub through: u64,
    pub ports: BTreeMap<u16, RecentUsage>,
    pub users: BTreeMap<String, RecentUsage>,
    /// What was refused today, by user.
    pub refused: BTreeMap<String, Flow>,
    /// Parts of the log that could not be used.
    pub damages: u32,
}

impl LogSums {
    /// Sums without any bucket.
    pub fn new(dates: Dates) -> Self {
        let (ports, users, refused) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { dates, through: 0, ports, users, refused, damages: 0 }
    }

    /// Reads the log of this month, up to the bucket `through`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(state: &StateDir, dates: Dates, through: u64) -> Result<Self, StoreError> {
        let mut sums = Self { through, ..Self::new(dates) };
        let (first, last) = (dates.month.first_day(dates.month_start_day), dates.month.last_day(dates.month_start_day));
        // Days after today have hours if the clock was ahead for a while. They count for quotas too.
        logged_days::read(state, first..=last, dates.today, |day, part| match part {
            LoggedPart::Day(block) => {
                for line in &block.lines {
                    sums.add(day, line.port, line.user.as_deref(), line.counters());
                }
            }
            // Sealed after the reading was taken, whose open bucket contains it.
            LoggedPart::Bucket(block) if block.seal.seq.is_some_and(|seq| seq > through) => {}
            LoggedPart::Bucket(block) => sums.add_bucket(&block),
            LoggedPart::Damage(_) => sums.damages += 1,
        })?;
        Ok(sums)
    }

    /// Continues with a later day, of which no bucket was sealed yet: clears the sums of the old day, and at the turn of
    /// the month those of the old month.
    pub fn turn_to(&mut self, dates: Dates) {
        if dates == self.dates {
            return;
        }
        if dates.month != self.dates.month {
            self.ports.clear();
            self.users.clear();
            self.damages = 0;
        } else if dates.today != self.dates.today {
            let all = self.ports.values_mut().chain(self.users.values_mut());
            all.for_each(|usage| usage.today = Counters::default());
        }
        if dates.today != self.dates.today {
            self.refused.clear();
        }
        self.dates = dates;
    }

    /// Adds a bucket.
    pub fn add_bucket(&mut self, bucket: &HourBlock) {
        let day = bucket.seal.start.date_naive();
        for line in &bucket.lines {
            self.add(day, line.port, line.user.as_deref(), line.counters());
        }
        if day == self.dates.today {
            for (port, flow) in bucket.seal.blocked.iter() {
                let line = bucket.lines.binary_search_by_key(&port, |line| line.port).ok().map(|at| &bucket.lines[at]);
                if let Some(user) = line.and_then(|line| line.user.as_ref()) {
                    let sum = self.refused.entry(user.clone()).or_default();
                    *sum = sum.saturating_add(flow);
                }
            }
        }
    }

    /// Whether a bucket belongs to this month.
    fn has_in_month(&self, bucket: &HourBlock) -> bool {
        self.dates.is_in_month(bucket.seal.start.date_naive())
    }

    /// What each user moved this month, including `buckets`.
    pub fn users_with(&self, buckets: &[&HourBlock]) -> BTreeMap<String, Counters> {
        let mut users: BTreeMap<String, Counters> =
            self.users.iter().map(|(name, usage)| (name.clone(), usage.month)).collect();
        for bucket in buckets.iter().filter(|bucket| self.has_in_month(bucket)) {
            for line in &bucket.lines {
                if let Some(user) = &line.user {
                    let sum = users.entry(user.clone()).or_default();
                    *sum = sum.saturating_add(line.counters());
                }
            }
        }
        users
    }

    fn add(&mut self, day: NaiveDate, port: u16, user: Option<&str>, counters: Counters) {
        if !self.dates.is_in_month(day) {
            return;
        }
        let is_today = day == self.dates.today;
        let add = |usage: &mut RecentUsage| {
            usage.month = usage.month.saturating_add(counters);
            if is_today {
                usage.today = usage.today.saturating_add(counters);
            }
        };
        add(self.ports.entry(port).or_default());
        if let Some(user) = user {
            match self.users.get_mut(user) {
                Some(usage) => add(usage),
                None => add(self.users.entry(user.to_owned()).or_default()),
            }
        }
    }
}
