//! What was counted on a range of days: from the daily log where it is complete, and otherwise from the hourly log. The
//! hours of older days may have been deleted because of `[retention]`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::RangeInclusive;

use chrono::{DateTime, NaiveDate, Utc};

use super::blocks::{Blocks, Item};
use super::damage::Damage;
use super::error::StoreError;
use super::hours::{self, HourItem, Hours};
use super::layout::StateDir;
use crate::ledger::block::{Daily, DayBlock, HourBlock};
use crate::ledger::month::Month;
use crate::ledger::record::DaySeal;

/// A part of what was counted on a day.
#[derive(Debug)]
pub enum LoggedPart {
    /// The whole day.
    Day(Box<DayBlock>),
    Bucket(Box<HourBlock>),
    /// A part of the hourly log that does not count.
    Damage(Damage),
}

/// Calls `take` with everything that was counted on each of these days. `today` is not over, so it is always read from
/// the hourly log, and so are later days.
///
/// # Errors
/// When a file cannot be read.
pub fn read(
    state: &StateDir,
    days: RangeInclusive<NaiveDate>,
    today: NaiveDate,
    mut take: impl FnMut(NaiveDate, LoggedPart),
) -> Result<(), StoreError> {
    let with_hours = hours::dates(state)?;
    let mut table: Option<(Month, BTreeMap<NaiveDate, DayBlock>)> = None;
    for day in days.start().iter_days().take_while(|day| day <= days.end()) {
        let month = Month::of(day);
        if day < today && table.as_ref().is_none_or(|(read, _)| *read != month) {
            table = Some((month, read_month(state, month)?));
        }
        let block = table.as_mut().filter(|_| day < today).and_then(|(_, blocks)| blocks.remove(&day));
        let has_hours = with_hours.binary_search(&day).is_ok();
        match block {
            Some(block) if !has_hours || is_complete(state, &block.seal, today)? => {
                take(day, LoggedPart::Day(block.into()))
            }
            Some(_) | None if has_hours => {
                for item in Hours::read(state, day..=day)? {
                    match item? {
                        HourItem::Bucket(bucket) => take(day, LoggedPart::Bucket(bucket)),
                        HourItem::Damage(damage) => take(day, LoggedPart::Damage(damage)),
                        HourItem::Unfinished(_) => {}
                    }
                }
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// The intact blocks in a file of `daily/`. Of a damaged day the hours are read instead, if they still exist.
fn read_month(state: &StateDir, month: Month) -> Result<BTreeMap<NaiveDate, DayBlock>, StoreError> {
    let mut blocks = BTreeMap::new();
    for item in Blocks::<Daily>::open(&state.daily(month))?.into_iter().flatten() {
        if let Item::Block(found) = item? {
            blocks.insert(found.block.seal.day, found.block);
        }
    }
    Ok(blocks)
}

/// Whether the day was made after it had ended and after its last bucket was written. A late bucket may be written after
/// the day was rolled up.
fn is_complete(state: &StateDir, seal: &DaySeal, today: NaiveDate) -> Result<bool, StoreError> {
    // If the clock was ahead, the time does not show what was written before it.
    if seal.at.is_some_and(|at| at.date_naive() > today) {
        return Ok(false);
    }
    let path = state.hourly(seal.day);
    let written_at: DateTime<Utc> = match fs::metadata(&path).and_then(|metadata| metadata.modified()) {
        Ok(at) => at.into(),
        // A day is compressed only after its roll-up is complete.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(seal.was_made_after_the_day()),
        Err(source) => return Err(StoreError::io("inspect", &path)(source)),
    };
    // Seals have whole seconds, so a day that was made in the second of the last write may lack what was written.
    let is_newer = seal.at.is_some_and(|at| at.timestamp() > written_at.timestamp());
    Ok(is_newer && seal.was_made_after_the_day())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
