//! Days: from the day's table where it is there and the day is over, else from the hours.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use chrono::{DateTime, FixedOffset, NaiveDate};

use super::period::{Here, Period};
use super::read::{Bucket, Line, Log};
use super::sum::plus;
use crate::exit::Failure;
use crate::ledger::block::{BlockKind, Daily, DayBlock, MonthBlock, Monthly};
use crate::ledger::calendar::{Month, seconds_in_day};
use crate::ledger::counters::Counters;
use crate::ledger::record::Gap;
use crate::store::blocks::{Blocks, Item};
use crate::store::damage::Damage;

/// What was counted on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Day {
    pub day: NaiveDate,
    pub lines: Vec<Line>,
    /// Of the whole day, that were seen.
    pub seconds_covered: u32,
    pub seconds_in_day: u32,
    /// The open bucket is in it.
    pub open: bool,
}

impl Log {
    /// Hands every day of `days` of which there is something to `take`, in order.
    ///
    /// # Errors
    /// When a file cannot be read, or `take` fails.
    pub fn days(
        &mut self,
        days: RangeInclusive<NaiveDate>,
        here: &Here,
        mut take: impl FnMut(Day) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut table: Option<(Month, BTreeMap<NaiveDate, DayBlock>)> = None;
        for day in days.start().iter_days().take_while(|day| day <= days.end()) {
            let month = Month::of(day);
            if table.as_ref().is_none_or(|(read, _)| *read != month) {
                table = Some((month, self.table(month)?));
            }
            // Today's is not whole yet.
            let tabled = table.as_mut().and_then(|(_, blocks)| blocks.remove(&day)).filter(|_| day < here.today());
            match tabled {
                Some(block) => take(Day::from(block))?,
                None => {
                    if let Some(day) = self.day_of_hours(day, here)? {
                        take(day)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn table(&mut self, month: Month) -> Result<BTreeMap<NaiveDate, DayBlock>, Failure> {
        let blocks = self.blocks::<Daily>(&self.state().daily(month))?;
        Ok(blocks.into_iter().map(|block| (block.seal.day, block)).collect())
    }

    /// The billing months of `year` that were reported here.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn reported_months(&mut self, year: i32) -> Result<Vec<MonthBlock>, Failure> {
        self.blocks::<Monthly>(&self.state().monthly(year))
    }

    fn blocks<K: BlockKind>(&mut self, path: &Path) -> Result<Vec<crate::ledger::block::Block<K>>, Failure> {
        let Some(items) = Blocks::<K>::open(path)? else { return Ok(Vec::new()) };
        let mut blocks = Vec::new();
        for item in items {
            match item? {
                Item::Block(found) => blocks.push(found.block),
                Item::Damage(damage) => self.note(&Damage::of_block(path, &damage)),
                Item::Tail(tail) => self.note(&Damage::of_block(path, &tail.damage)),
            }
        }
        Ok(blocks)
    }

    fn day_of_hours(&mut self, day: NaiveDate, here: &Here) -> Result<Option<Day>, Failure> {
        let mut lines: BTreeMap<(u16, Option<String>), Counters> = BTreeMap::new();
        let (mut covered, mut open, mut any) = (0, false, false);
        self.buckets(&Period::Days(day..=day), |bucket| {
            any = true;
            open |= bucket.quality.is_none();
            covered += seconds_seen(&bucket);
            for line in bucket.lines {
                let sum = lines.entry((line.port, line.user)).or_default();
                *sum = plus(*sum, line.counters);
            }
            Ok(true)
        })?;
        let lines = lines.into_iter().map(|((port, user), counters)| Line { port, user, counters }).collect();
        let seconds_in_day = seconds_in_day(here.zone, day);
        // A bucket that ends late is longer than what was left of its day.
        let seconds_covered = u32::try_from(covered).unwrap_or(u32::MAX).min(seconds_in_day);
        Ok(any.then_some(Day { day, lines, seconds_covered, seconds_in_day, open }))
    }
}

impl From<DayBlock> for Day {
    fn from(block: DayBlock) -> Self {
        let line =
            |line: crate::ledger::record::DayLine| Line { port: line.port, counters: line.counters(), user: line.user };
        Self {
            day: block.seal.day,
            lines: block.lines.into_iter().map(line).collect(),
            seconds_covered: block.seal.seconds_covered,
            seconds_in_day: block.seal.seconds_in_day,
            open: false,
        }
    }
}

/// Seconds of a bucket less its gaps, each second of them once: two interfaces can be unseen at the same time.
fn seconds_seen(bucket: &Bucket) -> i64 {
    let mut gaps: Vec<(DateTime<FixedOffset>, DateTime<FixedOffset>)> =
        bucket.gaps.iter().map(|Gap { start, end, .. }| (*start.max(&bucket.start), *end.min(&bucket.end))).collect();
    gaps.sort_unstable();
    let (mut unseen, mut until) = (0, bucket.start);
    for (start, end) in gaps {
        let start = start.max(until);
        if start < end {
            unseen += (end - start).num_seconds();
            until = end;
        }
    }
    (bucket.end - bucket.start).num_seconds() - unseen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::counters::Others;

    #[test]
    fn seconds_that_two_interfaces_missed_are_missed_once() {
        let at = |text: &str| DateTime::parse_from_rfc3339(&format!("2026-10-05T{text}+08:00")).unwrap();
        let gap = |start: &str, end: &str| Gap {
            start: at(start),
            end: at(end),
            interface: "eth0".to_owned(),
            why: "gone".to_owned(),
        };
        let bucket = |gaps| Bucket {
            start: at("13:00:00"),
            end: at("14:00:00"),
            quality: None,
            lines: Vec::new(),
            other: Others::default(),
            gaps,
        };
        assert_eq!(seconds_seen(&bucket(Vec::new())), 3_600);
        let gaps = vec![
            gap("13:10:00", "13:20:00"),
            gap("13:00:10", "13:00:20"),
            gap("13:15:00", "13:25:00"),
            gap("13:16:00", "13:17:00"),
            // Known to be unseen since before this bucket.
            gap("12:00:00", "13:00:05"),
        ];
        // 5 + 10 seconds and 15 minutes.
        assert_eq!(seconds_seen(&bucket(gaps)), 3_600 - 915);
    }
}
