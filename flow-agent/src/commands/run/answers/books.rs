//! What the log says: sums of today, of the month, and of all time. The log is read once; after that, only what is appended.

use chrono::{Days, NaiveDate};

use super::log_sums::{Dates, LogSums};
use super::recent_days::RecentDays;
use crate::ledger::block::{Daily, DayBlock, HourBlock, Hourly};
use crate::ledger::calendar::Month;
use crate::ledger::cumulative::Cumulative;
use crate::store::blocks::{Blocks, Item};
use crate::store::hours::{self, HourItem, Hours};
use crate::store::{StateDir, StoreError, cumulative};

/// The sums behind the metrics are kept after so many more seconds of sealed time, at least: what came since is read again
/// from the log at the next start.
const KEEP_EVERY_S: i64 = 600;

/// How far back a bucket is looked for that is not where the last one was.
const FAR_BACK: Days = Days::new(7);

/// The sums, and how far the log was read for them.
#[derive(Debug)]
pub struct Books {
    pub sums: LogSums,
    /// What forecasts look back at.
    pub recent: RecentDays,
    /// Made when somebody first asks for metrics.
    pub ever: Option<Cumulative>,
    /// The file that was read last, and where its last block ended.
    position: (NaiveDate, u64),
    /// The end of the last bucket in `ever` that is kept on disk.
    kept_until: i64,
}

impl Books {
    /// Reads the log of this month, up to the bucket `through`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn open(state: &StateDir, dates: Dates, through: u64) -> Result<Self, StoreError> {
        let sums = LogSums::read(state, dates, through)?;
        Ok(Self { sums, recent: RecentDays::default(), ever: None, position: (dates.today, 0), kept_until: 0 })
    }

    /// Adds the buckets that were appended since, up to `through`.
    ///
    /// # Errors
    /// When a file cannot be read; what was read so far counts.
    pub fn go_on(&mut self, state: &StateDir, dates: Dates, through: u64) -> Result<(), StoreError> {
        self.sums.turn_to(dates);
        if self.sums.through >= through {
            return Ok(());
        }
        let from = self.position.0;
        self.read_appended(state, from, through)?;
        if self.sums.through < through {
            // The file was mended meanwhile, and its blocks lie elsewhere; or the bucket began long ago, or the clock was set
            // back, and the log went on in an older file.
            self.position.1 = 0;
            self.read_appended(state, from - FAR_BACK, through)?;
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

    /// The sums of all time, with the end of the newest sealed bucket, in seconds since 1970, to know when to keep them.
    ///
    /// # Errors
    /// When a file cannot be read, or the sums cannot be kept the first time: they might fall after a restart.
    pub fn ever(&mut self, state: &StateDir, sealed_until: i64) -> Result<&Cumulative, StoreError> {
        let through = self.sums.through;
        let (ever, must_keep) = match self.ever.take() {
            Some(ever) => (ever, sealed_until - self.kept_until >= KEEP_EVERY_S),
            None => {
                let kept = cumulative::read(state).unwrap_or_else(|error| {
                    tracing::warn!(%error, "the sums behind the metrics are made again from the log");
                    None
                });
                // Another history of this directory, such as an older backup, is no base.
                match kept.filter(|kept| kept.seq <= through) {
                    Some(kept) => (caught_up(kept, state, through)?, true),
                    None => (from_log(state, self.sums.dates.today, through)?, true),
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

/// `kept`, and the buckets after it, up to `through`.
fn caught_up(mut kept: Cumulative, state: &StateDir, through: u64) -> Result<Cumulative, StoreError> {
    // A bucket that is long may have begun in an older file.
    let (begun_after, first) = (kept.seq, kept.day - FAR_BACK);
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

/// All that the log says, up to `through`: days that are rolled up from the daily log, the others from the hourly log.
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
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;
    use crate::ledger::counters::{Counters, Flow};
    use crate::store::journal::Journal;
    use crate::testing::fixtures::{bucket, dir, instant};

    const REFUSED: Flow = Flow { in_bytes: 90, in_packets: 2, out_bytes: 40, out_packets: 1 };

    fn dates(now: &str) -> Dates {
        let now: DateTime<Utc> = instant(now).to_utc();
        Dates::of(chrono_tz::Asia::Hong_Kong, 1, now)
    }

    /// Appends the hour that begins at `start`, in which port 443 took in the bytes from `before` to `total`.
    fn append(journal: &mut Journal, start: &str, before: u64, total: u64) {
        let mut hour = bucket(start, "boot-1", before, total);
        hour.seal.seq = Some(journal.next_seq());
        hour.seal.other.non_ip.in_bytes = 7;
        hour.seal.blocked = [(443, REFUSED), (8388, REFUSED)].into_iter().collect();
        journal.append(&mut hour).unwrap();
    }

    fn of_443(books: &Books) -> (u64, u64) {
        let usage = books.sums.ports[&443];
        (usage.today.in_bytes(), usage.month.in_bytes())
    }

    #[test]
    fn what_is_appended_is_added_and_midnight_ends_a_day() {
        let directory = dir();
        let state = StateDir::new(directory.path());
        let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
        append(&mut journal, "2026-10-05T12:00:00+08:00", 0, 10);
        append(&mut journal, "2026-10-05T13:00:00+08:00", 10, 30);
        let afternoon = dates("2026-10-05T14:30:00+08:00");
        // The second was sealed after the reading: it is in the open bucket still.
        let mut books = Books::open(&state, afternoon, 1).unwrap();
        assert_eq!(of_443(&books), (10, 10));
        books.go_on(&state, afternoon, 2).unwrap();
        assert_eq!(of_443(&books), (30, 30));
        append(&mut journal, "2026-10-05T23:00:00+08:00", 30, 100);
        append(&mut journal, "2026-10-06T00:00:00+08:00", 100, 500);
        books.go_on(&state, dates("2026-10-06T01:00:00+08:00"), 4).unwrap();
        assert_eq!(of_443(&books), (400, 500));
        assert_eq!(books.sums.users["acct-8388"].month, books.sums.ports[&8388].month);
        // Of today alone, and only what has a user.
        assert_eq!(books.sums.refused, [("acct-8388".to_owned(), REFUSED)].into());
        // Of another month nothing is known of the one before.
        books.go_on(&state, dates("2026-11-01T00:30:00+08:00"), 4).unwrap();
        assert_eq!(books.sums.ports.get(&443), None);
        // Whoever reads all of it anew finds the same.
        let anew = Books::open(&state, dates("2026-10-06T01:00:00+08:00"), 4).unwrap();
        assert_eq!(of_443(&anew), (400, 500));
    }

    #[test]
    fn a_log_that_was_mended_is_read_from_its_beginning_and_nothing_counts_twice() {
        let directory = dir();
        let state = StateDir::new(directory.path());
        let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
        append(&mut journal, "2026-10-05T12:00:00+08:00", 0, 10);
        let now = dates("2026-10-05T15:00:00+08:00");
        let mut books = Books::open(&state, now, 0).unwrap();
        books.go_on(&state, now, 1).unwrap();
        append(&mut journal, "2026-10-05T13:00:00+08:00", 10, 30);
        let path = state.hourly("2026-10-05".parse().unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        // A line of nobody before all others: every block lies elsewhere.
        std::fs::write(&path, format!("nobody's\n{text}")).unwrap();
        books.go_on(&state, now, 2).unwrap();
        assert_eq!((of_443(&books), books.sums.through), ((30, 30), 2));
    }

    #[test]
    fn the_sums_of_all_time_go_on_where_they_stood() {
        let directory = dir();
        let state = StateDir::new(directory.path());
        let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
        append(&mut journal, "2026-09-30T12:00:00+08:00", 0, 10);
        append(&mut journal, "2026-10-05T13:00:00+08:00", 10, 30);
        let now = dates("2026-10-05T15:00:00+08:00");
        let mut books = Books::open(&state, now, 2).unwrap();
        let stands = |ever: &Cumulative| (ever.port(443).in_bytes(), ever.other.non_ip.in_bytes, ever.seq);
        assert_eq!(stands(books.ever(&state, 0).unwrap()), (30, 14, 2));
        append(&mut journal, "2026-10-05T14:00:00+08:00", 30, 100);
        books.go_on(&state, now, 3).unwrap();
        assert_eq!(stands(books.ever(&state, 0).unwrap()), (100, 21, 3));
        // The next agent finds what was kept, and what came after it; also where the older hours were moved away.
        std::fs::remove_file(state.hourly("2026-09-30".parse().unwrap())).unwrap();
        let mut after = Books::open(&state, now, 3).unwrap();
        assert_eq!(stands(after.ever(&state, 0).unwrap()), (100, 21, 3));
        // A log that ends before what was kept is another history.
        let mut older = Books::open(&state, now, 1).unwrap();
        assert_eq!(older.ever(&state, 0).unwrap().port(443), Counters::default());
    }
}
