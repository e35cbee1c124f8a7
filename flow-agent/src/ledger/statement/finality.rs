//! When the figures of a month are final.
//!
//! A node's part of a month is whole when none of its days can still grow. A statement is final when every node that
//! concerns it is whole, or when what is missing was waited for long enough (`report.final_after`). Until then it is
//! provisional, and its letter names the day on which it becomes final if nothing comes.

use chrono::{DateTime, FixedOffset, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{State, sum::NodeMonth};
use crate::ledger::calendar;
use crate::ledger::month::Month;
use crate::ledger::record::{DaySeal, Gap};
use crate::ledger::rollup::MOST_GAPS;

/// How long a month waits for what is missing, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// How long, from the first report of the month that was made after its end.
    pub patience: TimeDelta,
    /// When that first report was made; `None` where this one is the first.
    pub since: Option<DateTime<FixedOffset>>,
    /// Until when letters have said that it waits. It holds even if the configuration has changed since.
    pub promised: Option<DateTime<FixedOffset>>,
}

impl Waiting {
    /// When everything becomes final, whatever is missing, in a report that is made at `now`.
    ///
    /// That is the beginning of a day, unless it is less than a day from the first report: letters name the day, and
    /// whichever run comes first on it looks for the last time and closes the month.
    pub fn ends_at(&self, zone: Tz, now: DateTime<FixedOffset>) -> DateTime<FixedOffset> {
        self.promised.unwrap_or_else(|| {
            let since = self.since.unwrap_or(now);
            let end = calendar::local(zone, (since + self.patience).to_utc());
            match self.patience >= TimeDelta::days(1) {
                true => calendar::local(zone, calendar::day_start(zone, end.date_naive())),
                false => end,
            }
        })
    }
}

/// How much of a node's part of a month is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Completeness {
    /// Every day is there, and none of them can grow any more.
    Whole,
    /// More may come, and is waited for.
    CanGrow,
    /// More may come, but it was waited for long enough.
    Overdue,
}

/// The days of a node's month of which more may come, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenDays {
    /// Those that are over and of which there is nothing.
    pub missing: Vec<NaiveDate>,
    /// Those that are not over, or of which there is something that may grow.
    pub growing: Vec<NaiveDate>,
}

impl OpenDays {
    /// What that makes of the node's month. `is_overdue`: the time for waiting has passed.
    pub fn completeness(&self, is_overdue: bool) -> Completeness {
        match self.missing.is_empty() && self.growing.is_empty() {
            true => Completeness::Whole,
            false if is_overdue => Completeness::Overdue,
            false => Completeness::CanGrow,
        }
    }
}

/// The open days of `figures` at `now`. `zone` decides when a day that has no seal is over.
///
/// `is_gathered`: all files of the node were fetched this time, the newest first. Else the file of one calendar month may be
/// older than that of the next, and does not say what came before it.
pub fn open_days(
    figures: &NodeMonth<'_>,
    is_gathered: bool,
    zone: Tz,
    month: Month,
    month_start_day: u32,
    now: DateTime<Utc>,
) -> OpenDays {
    let mut open = OpenDays::default();
    // A date that the zone skipped has no second that could be missed.
    let exists = |day: &NaiveDate| calendar::seconds_in_day(zone, *day) > 0;
    let newest = |day| match is_gathered {
        true => figures.newest_counted_day(),
        false => figures.newest_counted_beside(day),
    };
    for day in month.days(month_start_day).filter(exists) {
        match figures.seal(day) {
            Some(seal) if can_grow(seal, newest(day)) => open.growing.push(day),
            Some(_) => {}
            None if calendar::day_end(zone, day) <= now => open.missing.push(day),
            None => open.growing.push(day),
        }
    }
    open
}

/// Whether there is a day of which a later day, if the node has one, would show that it cannot grow any more.
pub fn depends_on_later_days(figures: &NodeMonth<'_>) -> bool {
    let newest = figures.newest_counted_day();
    figures.seals.values().any(|seal| can_grow(seal, newest) && !can_grow(seal, Some(NaiveDate::MAX)))
}

/// Whether the node may still seal more of this day. `newest_counted` is its newest day, of any month, of which something
/// was counted.
///
/// Buckets are written one after another, so nothing is added to a day once one is there that began after it: a day that
/// is covered up to its end, or followed by one that has buckets, is as full as it will be, provided that it was sealed
/// after its end. A seal that does not say when it was made is trusted only where the whole day is covered.
pub fn can_grow(seal: &DaySeal, newest_counted: Option<NaiveDate>) -> bool {
    let zone: Option<Tz> = seal.zone.parse().ok();
    let seconds_in_day = zone.map_or(seal.seconds_in_day, |zone| calendar::seconds_in_day(zone, seal.day));
    if seal.seconds_covered >= seconds_in_day {
        return false;
    }
    if !seal.was_made_after_the_day() {
        return true;
    }
    let is_followed = newest_counted.is_some_and(|newest| newest > seal.day);
    !is_followed && !is_covered_to_its_end(seal)
}

/// Whether the seal says that a bucket reaches to the end of the day: it lists the times that none covers, in order, and
/// this is no such time.
fn is_covered_to_its_end(seal: &DaySeal) -> bool {
    let Some(end) = seal.day_end() else { return false };
    let ends_uncovered = |gap: &Gap| gap.interface == Gap::EVERY_INTERFACE && gap.end >= end;
    seal.seconds_covered > 0 && seal.gaps.len() < MOST_GAPS && !seal.gaps.iter().any(ends_uncovered)
}

/// What a statement is. `is_over`: the month has ended; `waits`: a node that concerns it is not whole; `is_overdue`: the
/// time for waiting has passed.
pub fn state(is_over: bool, waits: bool, is_overdue: bool) -> State {
    match (is_over, waits, is_overdue) {
        (false, _, _) => State::InProgress,
        (true, true, false) => State::Provisional,
        (true, false, _) | (true, true, true) => State::Final,
    }
}

#[cfg(test)]
mod tests;
