//! Writes days into the file of their calendar month.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, FixedOffset, NaiveDate, TimeDelta};

use super::{Keyed, Table};
use crate::ledger::block::{Daily, DayBlock};
use crate::ledger::month::Month;
use crate::ledger::record::DaySeal;
use crate::store::blocks::{Blocks, Item};
use crate::store::damage::Damage;
use crate::store::error::StoreError;
use crate::store::hours;
use crate::store::lock::{DailyLock, ReportLock};

impl Keyed for Daily {
    type Key = NaiveDate;

    fn key(seal: &DaySeal) -> NaiveDate {
        seal.day
    }
}

/// The outcome of writing a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayOutcome {
    Written,
    /// Written although it covers fewer seconds, because the node made it later than the existing one.
    Corrected {
        before: u32,
        now: u32,
    },
    /// The file already had the same content.
    Unchanged,
    /// The existing day was kept.
    Kept(KeepReason),
}

/// Why the existing day is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepReason {
    /// The new one covers fewer seconds, and nothing shows that it was made later.
    CoversMore { before: u32, now: u32 },
    /// The existing one was made at `before`, which is not earlier than the new one.
    MadeLater { before: DateTime<FixedOffset> },
    /// Its hourly file is gone, so it could not be made again.
    HourlyGone,
}

/// Writes days into `daily/`. A day replaces the existing one unless that would lose data; with `force`, a day that
/// covers fewer seconds may replace it too. Each file is replaced atomically. Returns the outcome of each day, and the
/// damage in the files, which is copied to separate files if a file is replaced.
///
/// A day with unchanged content is not written again, with one exception: the first roll-up after the end of the day
/// seals it once more, so that readers of the file know that the day was over.
///
/// # Errors
/// When a file cannot be read or replaced. Files of other months may have been replaced already.
pub fn put_days(
    lock: &DailyLock,
    days: Vec<DayBlock>,
    force: bool,
) -> Result<(BTreeMap<NaiveDate, DayOutcome>, Vec<Damage>), StoreError> {
    let state = lock.state();
    state.create_dir(&state.daily_dir())?;
    let mut months: BTreeMap<Month, Vec<DayBlock>> = BTreeMap::new();
    for day in days {
        months.entry(Month::of(day.seal.day)).or_default().push(day);
    }
    let (mut outcomes, mut damages) = (BTreeMap::new(), Vec::new());
    for (month, days) in months {
        let mut table = Table::<Daily>::open(state.daily(month))?;
        for day in days {
            let date = day.seal.day;
            let hourly_is_there = hours::has_file(state, date);
            let outcome = match reason_to_keep(table.seal(date), &day.seal, hourly_is_there, force) {
                Some(kept) => DayOutcome::Kept(kept),
                None if put_made(&mut table, day)? => DayOutcome::Written,
                None => DayOutcome::Unchanged,
            };
            outcomes.insert(date, outcome);
        }
        damages.extend(table.commit(state.disk())?);
    }
    Ok((outcomes, damages))
}

/// Inserts a day that was made on this node. Returns whether that changes the file.
///
/// # Errors
/// [`StoreError::TooLarge`] if readers would refuse the block.
fn put_made(table: &mut Table<Daily>, mut day: DayBlock) -> Result<bool, StoreError> {
    // This also writes the number and the checksum of the lines into the seal.
    let text = day.encode();
    let before = table.seal(day.seal.day);
    if before.is_some_and(|before| has_content_of(before, &day.seal) && !is_to_be_sealed_again(before, &day.seal)) {
        return Ok(false);
    }
    // Two roll-ups may fall into the same second, and the clock may have been set back, but a change must have a later
    // time.
    let text = match before.and_then(|before| before.at).filter(|before| day.seal.at.is_none_or(|at| at <= *before)) {
        None => text,
        Some(before) => {
            day.seal.at = Some(before + TimeDelta::seconds(1));
            day.encode()
        }
    };
    table.set_new(text, day.seal)?;
    Ok(true)
}

/// Whether both have the same content, apart from the time at which they were made.
fn has_content_of(left: &DaySeal, right: &DaySeal) -> bool {
    let undated = |seal: &DaySeal| DaySeal { at: None, ..seal.clone() };
    undated(left) == undated(right)
}

/// Whether `now` shows that the day was over and `before` does not.
fn is_to_be_sealed_again(before: &DaySeal, now: &DaySeal) -> bool {
    before.at.is_none() && now.at.is_some() || !before.was_made_after_the_day() && now.was_made_after_the_day()
}

/// Copies the days of `fetched`, a daily file of a node, into `nodes/NAME/daily/`. A day replaces an existing one if it
/// was made later. If the seals do not say so, the seconds that each covers decide. Damaged parts of the file are
/// skipped: the caller has verified the file and reported them.
///
/// # Errors
/// When a file cannot be read or replaced.
pub fn put_gathered(
    lock: &ReportLock,
    node: &str,
    month: Month,
    fetched: &Path,
) -> Result<(BTreeMap<NaiveDate, DayOutcome>, Vec<Damage>), StoreError> {
    let state = lock.state();
    state.create_dir(&state.node_daily_dir(node))?;
    let mut table = Table::<Daily>::open(state.node_daily(node, month))?;
    let mut outcomes = BTreeMap::new();
    for item in Blocks::<Daily>::open(fetched)?.into_iter().flatten() {
        let Item::Block(found) = item? else { continue };
        let date = found.block.seal.day;
        if Month::of(date) != month {
            continue;
        }
        let outcome = outcome_of(table.seal(date), &found.block.seal);
        match outcome {
            DayOutcome::Written | DayOutcome::Corrected { .. } => table.put_from(fetched, found),
            DayOutcome::Unchanged | DayOutcome::Kept(_) => {}
        }
        outcomes.insert(date, outcome);
    }
    let damages = table.commit(state.disk())?;
    Ok((outcomes, damages))
}

/// The outcome for a gathered day `now`, given the existing day `before`.
fn outcome_of(before: Option<&DaySeal>, now: &DaySeal) -> DayOutcome {
    let Some(before) = before else { return DayOutcome::Written };
    if has_content_of(before, now) {
        return if now.at > before.at { DayOutcome::Written } else { DayOutcome::Unchanged };
    }
    let covers_more = now.seconds_covered > before.seconds_covered;
    let covers_less = now.seconds_covered < before.seconds_covered;
    let (seconds_before, seconds_now) = (before.seconds_covered, now.seconds_covered);
    let kept = DayOutcome::Kept(KeepReason::CoversMore { before: seconds_before, now: seconds_now });
    match (before.at, now.at) {
        (Some(before), Some(now)) if now <= before => DayOutcome::Kept(KeepReason::MadeLater { before }),
        // Only newer versions record when a day was sealed, so the dated seal is the later one.
        (Some(_) | None, Some(_)) if covers_less => DayOutcome::Corrected { before: seconds_before, now: seconds_now },
        (Some(_) | None, Some(_)) => DayOutcome::Written,
        // This is an old copy, or the node was downgraded. Only a day that covers more is certainly the later one.
        (Some(_), None) if covers_more => DayOutcome::Written,
        (Some(_), None) if covers_less => kept,
        (Some(before), None) => DayOutcome::Kept(KeepReason::MadeLater { before }),
        (None, None) if covers_less => kept,
        (None, None) => DayOutcome::Written,
    }
}

/// The reason to keep the existing day, if there is one.
fn reason_to_keep(before: Option<&DaySeal>, now: &DaySeal, hourly_is_there: bool, force: bool) -> Option<KeepReason> {
    let before = before?;
    if before.buckets_sealed > 0 && !hourly_is_there {
        return Some(KeepReason::HourlyGone);
    }
    let (before, now) = (before.seconds_covered, now.seconds_covered);
    (now < before && !force).then_some(KeepReason::CoversMore { before, now })
}

#[cfg(test)]
mod tests;
