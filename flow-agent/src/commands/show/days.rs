//! Days for `show`: from the daily log if the day is over and the log has it, otherwise from the hourly log.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

use chrono::NaiveDate;

use super::period::ShowContext;
use super::read::{Log, ShownBlock};
use crate::exit::Failure;
use crate::ledger::block::{Block, BlockKind, Daily, DayBlock, MonthBlock, Monthly};
use crate::ledger::calendar::Month;
use crate::ledger::rollup::{DayRollup, DayRules};
use crate::store::blocks::{Blocks, Item};
use crate::store::damage::Damage;
use crate::store::hours::{self, HourItem, Hours};

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
        let mut table: Option<(Month, BTreeMap<NaiveDate, DayBlock>)> = None;
        for day in days.start().iter_days().take_while(|day| day <= days.end()) {
            let month = Month::of(day);
            if table.as_ref().is_none_or(|(read, _)| *read != month) {
                table = Some((month, self.table(month)?));
            }
            // Today's entry is not complete yet.
            let tabled = table
                .as_mut()
                .and_then(|(_, blocks)| blocks.remove(&day))
                .filter(|_| day < context.today() || self.nodes().is_some());
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
            let blocks = self.table(month)?.into_iter();
            for (_, mut block) in blocks.filter(|(day, _)| days.contains(day) && !counted.contains(day)) {
                self.narrow().days(&mut block);
                take(block);
            }
            month = month.next();
        }
        Ok(())
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
        for hour in Hours::read(self.state(), before..=day)? {
            match hour? {
                HourItem::Bucket(block) if self.is_in_open(&block) => {}
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
}
