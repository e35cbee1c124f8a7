//! Days for `show`: from the daily log if the day is over and the log has it, otherwise from the hourly log.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use super::period::ShowContext;
use super::read::{Log, ShownBlock};
use crate::exit::Failure;
use crate::ledger::block::{Block, BlockKind, Daily, DayBlock, MonthBlock, Monthly};
use crate::ledger::calendar::Month;
use crate::ledger::distinct_buckets::DistinctBuckets;
use crate::ledger::record::HourSeal;
use crate::ledger::rollup::{DayRollup, DayRules};
use crate::store::StoreError;
use crate::store::blocks::{Blocks, Item};
use crate::store::damage::Damage;
use crate::store::hours::{self, HourItem, Hours};
use crate::store::seals::{self, FoundSeal};

/// The places of the days in a file of the daily log.
#[derive(Debug)]
pub(super) struct MonthIndex {
    path: PathBuf,
    pub(super) days: BTreeMap<NaiveDate, FoundSeal<Daily>>,
}

impl MonthIndex {
    /// `None` if there is no such file, or if only reading all of it can tell what it holds.
    pub(super) fn read(path: PathBuf) -> Result<Option<Self>, Failure> {
        let Some(found) = seals::find::<Daily>(&path)? else { return Ok(None) };
        let count = found.len();
        let days: BTreeMap<_, _> = found.into_iter().map(|found| (found.seal.day, found)).collect();
        // Of a day that appears twice, the last one counts if it is not damaged.
        Ok((days.len() == count).then_some(Self { path, days }))
    }
}

/// The days of a calendar month in the daily log.
enum MonthOfDays {
    /// Their places in the file, so that only those that are needed are read, and one at a time.
    Index(Month, MonthIndex),
    Blocks(BTreeMap<NaiveDate, DayBlock>),
}

impl MonthOfDays {
    fn days(&self) -> Vec<NaiveDate> {
        match self {
            Self::Index(_, index) => index.days.keys().copied().collect(),
            Self::Blocks(blocks) => blocks.keys().copied().collect(),
        }
    }
}

impl Log {
    /// Passes every day of `days` that has data to `take`, in order, until `take` returns `false`.
    ///
    /// # Errors
    /// When a file cannot be read, or `take` fails.
    pub fn days(
        &mut self,
        days: RangeInclusive<NaiveDate>,
        context: &ShowContext,
        mut take: impl FnMut(ShownBlock<Daily>) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let counted = if self.nodes().is_some() { Vec::new() } else { hours::dates(self.state())? };
        let mut table: Option<(Month, MonthOfDays)> = None;
        for day in days.start().iter_days().take_while(|day| day <= days.end()) {
            let month = Month::of(day);
            if table.as_ref().is_none_or(|(read, _)| *read != month) {
                table = Some((month, self.month_of_days(month)?));
            }
            // Today's entry is not complete yet.
            let is_complete = day < context.today() || self.nodes().is_some();
            let tabled = match table.as_mut().filter(|_| is_complete) {
                Some((_, of_month)) => self.tabled(of_month, day)?,
                None => None,
            };
            let shown = match tabled {
                Some(block) => Some(ShownBlock { block, open: false }),
                None if self.nodes().is_some() => None,
                None => self.day_of_hours(day, &counted, context)?,
            };
            if let Some(mut shown) = shown {
                self.narrow().days(&mut shown.block);
                if !take(shown)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Passes to `take` those days of `days` whose hourly logs no longer exist.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn days_without_hours(
        &mut self,
        days: &RangeInclusive<NaiveDate>,
        mut take: impl FnMut(DayBlock),
    ) -> Result<(), Failure> {
        let counted = if self.nodes().is_some() { Vec::new() } else { hours::dates(self.state())? };
        let mut month = Month::of(*days.start());
        while month <= Month::of(*days.end()) {
            let mut of_month = self.month_of_days(month)?;
            for day in of_month.days().into_iter().filter(|day| days.contains(day) && !counted.contains(day)) {
                if let Some(mut block) = self.tabled(&mut of_month, day)? {
                    self.narrow().days(&mut block);
                    take(block);
                }
            }
            month = month.next();
        }
        Ok(())
    }

    /// What is known of the days of `month` without reading all of them.
    fn month_of_days(&mut self, month: Month) -> Result<MonthOfDays, Failure> {
        if self.nodes().is_none()
            && let Some(index) = MonthIndex::read(self.state().daily(month))?
        {
            return Ok(MonthOfDays::Index(month, index));
        }
        Ok(MonthOfDays::Blocks(self.table(month)?))
    }

    /// Takes a day out of its month.
    fn tabled(&mut self, of_month: &mut MonthOfDays, day: NaiveDate) -> Result<Option<DayBlock>, Failure> {
        if let MonthOfDays::Index(month, index) = of_month {
            let Some(found) = index.days.remove(&day) else { return Ok(None) };
            if let Some(block) = seals::block(&index.path, &found)? {
                return Ok(Some(block));
            }
            // The whole file is read, so that its damage is named with the number of the line.
            *of_month = MonthOfDays::Blocks(self.table(*month)?);
        }
        let MonthOfDays::Blocks(blocks) = of_month else { return Ok(None) };
        Ok(blocks.remove(&day))
    }

    /// Notes the damage in the daily log of `month`.
    pub(super) fn note_damage_of(&mut self, month: Month) -> Result<(), Failure> {
        self.table(month).map(drop)
    }

    fn table(&mut self, month: Month) -> Result<BTreeMap<NaiveDate, DayBlock>, Failure> {
        let Some(nodes) = self.nodes().cloned() else {
            let blocks = self.blocks::<Daily>(&self.state().daily(month))?;
            return Ok(blocks.into_iter().map(|block| (block.seal.day, block)).collect());
        };
        let mut tables = Vec::new();
        for node in &nodes.names {
            tables.push((node.clone(), self.blocks::<Daily>(&self.state().node_daily(node, month))?));
        }
        Ok(nodes.together(tables))
    }

    /// The billing months of `year` that were reported here.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn reported_months(&mut self, year: i32) -> Result<Vec<MonthBlock>, Failure> {
        self.blocks::<Monthly>(&self.state().monthly(year))
    }

    fn blocks<K: BlockKind>(&mut self, path: &Path) -> Result<Vec<Block<K>>, Failure> {
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

    /// Makes `day` from the hourly logs, which exist for the dates in `counted`; `None` if there is no data for it.
    fn day_of_hours(
        &mut self,
        day: NaiveDate,
        counted: &[NaiveDate],
        context: &ShowContext,
    ) -> Result<Option<ShownBlock<Daily>>, Failure> {
        let open = self.open().filter(|open| open.seal.start.date_naive() == day).cloned();
        if !counted.contains(&day) && open.is_none() {
            return Ok(None);
        }
        let rules = DayRules { node: self.settings().node.clone(), zone: context.zone, bucket: self.settings().bucket };
        let mut rollup = DayRollup::new(rules, day);
        // The last bucket of the previous file may end in this day.
        let before = counted.iter().copied().filter(|date| *date < day).max().unwrap_or(day);
        let mut distinct = DistinctBuckets::default();
        let seals = if self.wants_yesterday() { None } else { self.seals_before(before, day)? };
        let first = if seals.is_some() { day } else { before };
        for seal in seals.into_iter().flatten() {
            // Each is new.
            drop(distinct.admit(&seal));
            rollup.take_summary(&seal, 0);
        }
        for hour in Hours::read_after(self.state(), first..=day, distinct)? {
            match hour? {
                HourItem::Bucket(block) if self.is_in_open(&block.seal) => {}
                HourItem::Bucket(block) => {
                    self.remember(&block);
                    rollup.take(&block);
                }
                HourItem::Unfinished(_) => {}
                HourItem::Damage(damage) => {
                    if let Some(span) = damage.span {
                        rollup.reject(span, &damage.what);
                    }
                    self.note(&damage);
                }
            }
        }
        if let Some(open) = &open {
            self.remember(open);
            rollup.take(open);
        }
        Ok(Some(ShownBlock { block: rollup.finish(context.now), open: open.is_some() }))
    }

    /// The seals of the buckets in the file of the date `before`, for the part of `day` that they cover: no byte of them
    /// belongs to `day`. `None` if their lines have to be read.
    fn seals_before(&self, before: NaiveDate, day: NaiveDate) -> Result<Option<Vec<HourSeal>>, Failure> {
        if before == day {
            return Ok(None);
        }
        let Some(found) = seals::of_date(self.state(), before)? else { return Ok(None) };
        let mut distinct = DistinctBuckets::default();
        for found in &found {
            let seal = &found.seal;
            let is_before = seal.end.date_naive() < day;
            // A bucket covers something only if its lines are whole.
            let is_whole = || Ok::<_, StoreError>(seals::block(&self.state().hourly(before), found)?.is_some());
            let is_of_day = seal.start.date_naive() == day;
            if is_of_day || self.is_in_open(seal) || distinct.admit(seal) != Ok(true) || !is_before && !is_whole()? {
                return Ok(None);
            }
        }
        Ok(Some(found.into_iter().map(|found| found.seal).collect()))
    }
}
