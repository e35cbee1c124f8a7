//! Days, put into the file of their calendar month.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDate;

use super::{Keyed, Table};
use crate::ledger::block::{Daily, DayBlock};
use crate::ledger::month::Month;
use crate::ledger::record::DaySeal;
use crate::store::blocks::{Blocks, Item};
use crate::store::damage::Damage;
use crate::store::error::StoreError;
use crate::store::lock::{DailyLock, ReportLock};

impl Keyed for Daily {
    type Key = NaiveDate;

    fn key(seal: &DaySeal) -> NaiveDate {
        seal.day
    }
}

/// What became of a day that was to be put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    Written,
    /// It was there already, byte for byte.
    Unchanged,
    /// The one that was there is the better one.
    Kept(Kept),
}

/// Why the day that was there stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The new one covers fewer seconds.
    CoversMore { before: u32, now: u32 },
    /// Its hourly file is gone: it cannot be made again.
    HourlyGone,
}

/// Puts days into `daily/`, each in place of the one that is there, if that is no loss; `force` lets a day that covers
/// fewer seconds take the place. A file is replaced whole. Gives what became of each day, and what could not be read
/// (and was copied aside) in the files that were replaced.
///
/// # Errors
/// When a file cannot be read or replaced; the files of other months may have been.
pub fn put_days(
    lock: &DailyLock,
    days: Vec<DayBlock>,
    force: bool,
) -> Result<(BTreeMap<NaiveDate, Day>, Vec<Damage>), StoreError> {
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
            let hourly_is_there = state.hourly(date).exists();
            let outcome = match better(table.seal(date), &day.seal, hourly_is_there, force) {
                Some(kept) => Day::Kept(kept),
                None if table.put(day)? => Day::Written,
                None => Day::Unchanged,
            };
            outcomes.insert(date, outcome);
        }
        damages.extend(table.commit(state.disk())?);
    }
    Ok((outcomes, damages))
}

/// Takes the days of `fetched`, a daily file of a node, over into `nodes/NAME/daily/`, each where it covers no fewer
/// seconds than the one that is there. What is not whole in it is passed over: the one who fetched it has named it.
///
/// # Errors
/// When a file cannot be read or replaced.
pub fn put_gathered(
    lock: &ReportLock,
    node: &str,
    month: Month,
    fetched: &Path,
) -> Result<(BTreeMap<NaiveDate, Day>, Vec<Damage>), StoreError> {
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
        let outcome = match better(table.seal(date), &found.block.seal, true, false) {
            Some(kept) => Day::Kept(kept),
            None if table.put_from(fetched, found)? => Day::Written,
            None => Day::Unchanged,
        };
        outcomes.insert(date, outcome);
    }
    let damages = table.commit(state.disk())?;
    Ok((outcomes, damages))
}

/// Why the day that is there must stay, if it must.
fn better(before: Option<&DaySeal>, now: &DaySeal, hourly_is_there: bool, force: bool) -> Option<Kept> {
    let before = before?;
    if before.buckets_sealed > 0 && !hourly_is_there {
        return Some(Kept::HourlyGone);
    }
    let (before, now) = (before.seconds_covered, now.seconds_covered);
    (now < before && !force).then_some(Kept::CoversMore { before, now })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixtures::day_seal;

    #[test]
    fn a_day_gives_way_only_to_one_that_is_no_loss() {
        let (full, half) = (day_seal("2026-10-05", 86_400), day_seal("2026-10-05", 43_200));
        let fewer = Some(Kept::CoversMore { before: 86_400, now: 43_200 });
        let cases = [
            (None, &half, true, false, None),
            (None, &half, false, false, None),
            (Some(&half), &full, true, false, None),
            (Some(&full), &full, true, false, None),
            (Some(&full), &half, true, false, fewer),
            (Some(&full), &half, true, true, None),
            (Some(&full), &full, false, false, Some(Kept::HourlyGone)),
            (Some(&full), &half, false, true, Some(Kept::HourlyGone)),
        ];
        for (before, now, hourly_is_there, force, expected) in cases {
            assert_eq!(better(before, now, hourly_is_there, force), expected, "{before:?} {now:?} {force}");
        }
        // Nothing of this day was in a file of its own.
        let late = DaySeal { buckets_sealed: 0, ..full };
        assert_eq!(better(Some(&late), &late, false, false), None);
    }
}
