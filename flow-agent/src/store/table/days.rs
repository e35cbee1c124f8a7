//! Writes days into the file of their calendar month.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::month_end::MonthEnd;
use super::open_days::OpenDays;
use super::replace::{DayOutcome, Written, encoded_after, is_enough, newer};
use super::{Keyed, Table};
use crate::ledger::block::{Daily, DayBlock};
use crate::ledger::month::Month;
use crate::ledger::record::DaySeal;
use crate::store::damage::Damage;
use crate::store::error::StoreError;
use crate::store::layout::StateDir;
use crate::store::lock::DailyLock;

impl Keyed for Daily {
    type Key = NaiveDate;

    fn key(seal: &DaySeal) -> NaiveDate {
        seal.day
    }
}

/// Writes days into `daily/`: those that are over into the files of their months, and a day that was made before it was
/// over into [`StateDir::open_day`]. A day replaces the existing one, in either file, unless that would lose data; with
/// `force`, a day that covers fewer seconds may replace it too. Returns the outcome of each day, and the damage in the
/// files, which is copied to separate files if a file is replaced.
///
/// A day that is later than all others of its month is appended. Otherwise the file of the month is replaced atomically,
/// and so is that of the open day.
///
/// A day with unchanged content is not written again, with one exception: the first roll-up after the end of the day
/// seals it once more, so that readers of the file know that the day was over.
///
/// # Errors
/// When a file cannot be read or written. Other files may have been written already.
pub fn put_days(
    lock: &DailyLock,
    days: Vec<DayBlock>,
    force: bool,
) -> Result<(BTreeMap<NaiveDate, DayOutcome>, Vec<Damage>), StoreError> {
    let state = lock.state();
    state.create_dir(&state.daily_dir())?;
    let mut open = OpenDays::read(state)?;
    let (mut of_months, mut unfinished) = (BTreeMap::<Month, Vec<DayBlock>>::new(), Vec::new());
    for day in days {
        // If the clock was set back into a day that is over, the day stays where it is.
        if day.seal.was_made_before_the_end() && !open.is_over(state, day.seal.day)? {
            unfinished.push(day);
        } else {
            of_months.entry(Month::of(day.seal.day)).or_default().push(day);
        }
    }
    let mut written = Written::new(force);
    // Readers fetch the open day first. A day is therefore in its month before it disappears from there.
    for (month, days) in of_months {
        put_into_month(state, month, days, &open, &mut written)?;
    }
    open.put(state, unfinished, &mut written)?;
    Ok((written.outcomes, written.damages))
}

fn put_into_month(
    state: &StateDir,
    month: Month,
    days: Vec<DayBlock>,
    open: &OpenDays,
    written: &mut Written,
) -> Result<(), StoreError> {
    let path = state.daily(month);
    let first = days.iter().map(|day| day.seal.day).min();
    if let Some(mut end) = first.map(|first| MonthEnd::before(&path, first)).transpose()?.flatten() {
        for mut day in days {
            let before = open.seal(day.seal.day);
            if written.may_replace(state, before, &day.seal) {
                if let Some(text) = encoded_after(before, &mut day, |_| Ok(false))? {
                    end.add(text, day.seal.day)?;
                }
                written.note(day.seal.day, true);
            }
        }
        return end.append(state.disk());
    }
    let mut table = Table::<Daily>::open(path)?;
    for mut day in days {
        let date = day.seal.day;
        let before = newer(table.seal(date), open.seal(date)).cloned();
        if !written.may_replace(state, before.as_ref(), &day.seal) {
            continue;
        }
        let has = |now: &DaySeal| Ok(table.seal(date).is_some_and(|before| is_enough(before, now)));
        let text = encoded_after(before.as_ref(), &mut day, has)?;
        written.note(date, text.is_some());
        text.map(|text| table.set_new(text, day.seal)).transpose()?;
    }
    written.damages.extend(table.commit(state.disk())?);
    Ok(())
}
