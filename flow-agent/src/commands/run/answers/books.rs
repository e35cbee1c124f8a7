//! Sums over the log: of today, of this month, and of all time. The log is read once, and then only what is appended,
//! unless the clock is set back.

use chrono::{Days, NaiveDate};

use super::log_sums::{Dates, LogSums};
use super::recent_days::RecentDays;
use crate::ledger::block::{Daily, DayBlock, HourBlock, Hourly};
use crate::ledger::calendar::Month;
use crate::ledger::cumulative::Cumulative;
use crate::store::blocks::{Blocks, Item};
use crate::store::first_counted::FirstCounted;
use crate::store::hours::{self, HourItem, Hours};
use crate::store::{StateDir, StoreError, cumulative};

/// The sums behind the metrics are stored again after at least this many seconds of sealed time. What came later is
/// read from the log again at the next start.
const KEEP_EVERY_S: i64 = 600;

/// How many days back to look for a bucket that is not where the last one was.
const FAR_BACK: Days = Days::new(7);

/// The sums, and how far the log was read for them.
#[derive(Debug)]
pub struct Books {
    pub sums: LogSums,
    /// The days that forecasts are based on.
    pub recent: RecentDays,
    /// Created when somebody first asks for metrics.
    pub ever: Option<Cumulative>,
    /// When counting began, once somebody has asked.
    pub first_counted: FirstCounted,
    /// The file that was read last, and the offset at which its last block ended.
    position: (NaiveDate, u64),
    /// The newest day on which anything was sealed, or that was today.
    newest: NaiveDate,
    /// The end of the newest bucket in the sums that are stored on disk, in seconds since 1970.
    kept_until: i64,
}

impl Books {
    /// Reads the log of this month, up to the bucket `through`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn open(state: &StateDir, dates: Dates, through: u64) -> Result<Self, StoreError> {
        let newest = hours::dates(state)?.last().copied().unwrap_or(dates.today).max(dates.today);
        let sums = LogSums::read(state, dates, through)?;
        Ok(Self {
            sums,
            recent: RecentDays::default(),
            ever: None,
            first_counted: FirstCounted::default(),
            position: (dates.today, 0),
            newest,
            kept_until: 0,
        })
    }

    /// Adds the buckets that were appended since, up to `through`.
    ///
    /// # Errors
    /// When a file cannot be read; what was read until then is included.
    pub fn go_on(&mut self, state: &StateDir, dates: Dates, through: u64) -> Result<(), StoreError> {
        // If the clock is set back, or forward to a day that it has shown before, buckets were sealed on that day and in
        // its month that are not in the sums any more.
        let has_been = dates != self.sums.dates && dates.today <= self.newest;
        if !has_been {
            self.sums.turn_to(dates);
            self.newest = self.newest.max(dates.today);
        }
        self.catch_up(state, dates.today, through)?;
        if has_been {
            self.sums = LogSums::read(state, dates, through)?;
        }
        Ok(())
    }

    fn catch_up(&mut self, state: &StateDir, today: NaiveDate, through: u64) -> Result<(), StoreError> {
        if self.sums.through >= through {
            return Ok(());
        }
        let from = self.position.0;
        self.read_appended(state, from, through)?;
        if self.sums.through < through {
            // The file was repaired in the meantime and its blocks have moved, or the bucket began long ago, or the
            // clock was set back and the log continued in an older file.
            self.position.1 = 0;
            self.read_appended(state, from.min(today) - FAR_BACK, through)?;
        }
        Ok(())
    }

    fn read_appended(&mut self, state: &StateDir, first: NaiveDate, through: u64) -> Result<(), StoreError> {
        let (last_read, offset) = self.position;
        for date in hours::dates(state)?.into_iter().filter(|date| *date >= first) {
            let offset = if date == last_read { offset } else { 0 };
            let Some(mut blocks) = Blocks::<Hourly>::open_at(&state.hourly(date), offset)? else { continue };
            let begin = blocks.begin();
            while let Some(item) = blocks.next().transpose()? {
                let Item::Block(found) = item else { continue };
                match found.block.seal.seq {
                    Some(seq) if seq > through => break,
                    Some(seq) if seq > self.sums.through => {
                        self.take(&found.block, seq, date);
                        self.position = (date, begin + found.bytes.end);
                    }
                    Some(_) | None => {}
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, bucket: &HourBlock, seq: u64, date: NaiveDate) {
        self.sums.add_bucket(bucket);
        self.sums.through = seq;
        if let Some(ever) = &mut self.ever {
            ever.add_bucket(bucket);
            (ever.seq, ever.day) = (seq, date);
        }
    }

    /// The sums of all time. `sealed_until` is the end of the newest sealed bucket in seconds since 1970; it decides
    /// whether the sums are stored again.
    ///
    /// # Errors
    /// When a file cannot be read, or when the sums cannot be stored the first time, because they might then decrease
    /// after a restart.
    pub fn ever(&mut self, state: &StateDir, sealed_until: i64) -> Result<&Cumulative, StoreError> {
        let (through, today) = (self.sums.through, self.sums.dates.today);
        let (ever, must_keep) = match self.ever.take() {
            Some(ever) => (ever, sealed_until - self.kept_until >= KEEP_EVERY_S),
            None => {
                let kept = cumulative::read(state).unwrap_or_else(|error| {
                    tracing::warn!(%error, "the sums behind the metrics are recomputed from the log");
                    None
                });
                // If the sums go further than the log, this directory has another history, such as that of an older
                // backup.
                match kept.filter(|kept| kept.seq <= through) {
                    Some(kept) => (caught_up(kept, state, today, through)?, true),
                    None => (from_log(state, today, through)?, true),
                }
            }
        };
        if must_keep {
            cumulative::write(state, &ever)?;
            self.kept_until = sealed_until;
        }
        Ok(self.ever.insert(ever))
    }
}

/// `kept` with the buckets after it added, up to `through`.
fn caught_up(mut kept: Cumulative, state: &StateDir, today: NaiveDate, through: u64) -> Result<Cumulative, StoreError> {
    // A long bucket may have begun in an older file, and the clock may have been set back.
    let (begun_after, first) = (kept.seq, kept.day.min(today) - FAR_BACK);
    for date in hours::dates(state)?.into_iter().filter(|date| *date >= first) {
        for hour in Hours::read(state, date..=date)? {
            if let HourItem::Bucket(bucket) = hour?
                && let Some(seq) = bucket.seal.seq.filter(|seq| (begun_after + 1..=through).contains(seq))
            {
                kept.add_bucket(&bucket);
                (kept.seq, kept.day) = (seq, date);
            }
        }
    }
    kept.seq = through;
    Ok(kept)
}

/// Everything in the log up to `through`: rolled-up days from the daily log, the others from the hourly log.
fn from_log(state: &StateDir, today: NaiveDate, through: u64) -> Result<Cumulative, StoreError> {
    let mut ever = Cumulative::begin(through, today);
    let mut counted = hours::dates(state)?;
    for month in hours::tabled_months(state)? {
        each_day(state, month, |day| {
            let date = day.seal.day;
            if date < today && (day.seal.was_made_after_the_day() || !counted.contains(&date)) {
                ever.add_day(&day);
                counted.retain(|counted| *counted != date);
            }
        })?;
    }
    for date in counted {
        for hour in Hours::read(state, date..=date)? {
            if let HourItem::Bucket(bucket) = hour?
                && bucket.seal.seq.is_none_or(|seq| seq <= through)
            {
                ever.add_bucket(&bucket);
            }
        }
    }
    Ok(ever)
}

fn each_day(state: &StateDir, month: Month, mut take: impl FnMut(DayBlock)) -> Result<(), StoreError> {
    let Some(items) = Blocks::<Daily>::open(&state.daily(month))? else { return Ok(()) };
    for item in items {
        if let Item::Block(found) = item? {
            take(found.block);
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
