//! Writes days into the file of their calendar month.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDate;

use super::month_end::MonthEnd;
use super::open_days::OpenDays;
use super::replace::{DayOutcome, KeepReason, Written, encoded_after, has_content_of, is_enough, newer};
use super::{Keyed, Table};
use crate::ledger::block::{Daily, DayBlock};
use crate::ledger::month::Month;
use crate::ledger::record::DaySeal;
use crate::store::blocks::{Blocks, Item};
use crate::store::damage::Damage;
use crate::store::error::StoreError;
use crate::store::layout::StateDir;
use crate::store::lock::{DailyLock, ReportLock};

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
