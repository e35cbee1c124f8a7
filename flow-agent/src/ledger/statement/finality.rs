//! When the figures of a month are final.
//!
//! A node's part of a month is whole when none of its days can still grow. A statement is final when every node that
//! concerns it is whole, or when missing data was waited for long enough (`report.final_after`). Until then it is
//! provisional, and its letter names the day on which it becomes final if no more data arrives.

use chrono::{DateTime, FixedOffset, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{Finality, sum::NodeMonth};
use crate::ledger::calendar;
use crate::ledger::month::Month;
use crate::ledger::record::{DaySeal, Gap};
use crate::ledger::rollup::{self, MOST_GAPS};

/// How long the report of a month waits for missing data, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// How long to wait after the first report that was made after the month's end.
    pub patience: TimeDelta,
    /// When that first report was made; `None` if this one is the first.
    pub since: Option<DateTime<FixedOffset>>,
    /// The end of the wait that earlier letters announced. It applies even if the configuration has changed since.
    pub promised: Option<DateTime<FixedOffset>>,
}

impl Waiting {
    /// When everything becomes final, whatever is missing, for a report made at `now`.
    ///
    /// That is the beginning of a day, unless it is less than a day after the first report. Letters name the day, and
    /// the first run on it asks for the data one last time and closes the month.
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

/// How complete a node's part of a month is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Completeness {
    /// Every day is present, and none can still grow.
    Whole,
    /// More data may arrive, and is waited for.
    CanGrow,
    /// More data may arrive, but the wait is over.
    Overdue,
}

/// The days of a node's month for which more data may arrive, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenDays {
    /// Days that are over and have no data.
    pub missing: Vec<NaiveDate>,
    /// Days that are not over, or whose data may still grow.
    pub growing: Vec<NaiveDate>,
}

impl OpenDays {
    /// The completeness of the node's month. `is_overdue` says that the wait is over.
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
/// `is_gathered` says that all files of the node were fetched this time, the newest first. Otherwise the file of one
/// calendar month may be older than that of the next, so that a day in the later file does not show that the earlier
/// one is complete.
pub fn open_days(
    figures: &NodeMonth<'_>,
    is_gathered: bool,
    zone: Tz,
    month: Month,
    month_start_day: u32,
    now: DateTime<Utc>,
) -> OpenDays {
    let mut open = OpenDays::default();
    // A date that the zone skipped has no seconds that could be missing.
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

/// Whether the node has a day that may still grow, but would be complete if the node had counted on a later day.
pub fn depends_on_later_days(figures: &NodeMonth<'_>) -> bool {
    let newest = figures.newest_counted_day();
    figures.seals.values().any(|seal| can_grow(seal, newest) && !can_grow(seal, Some(NaiveDate::MAX)))
}

/// Whether the node may still seal more of this day. `newest_counted` is its newest day, of any month, on which
/// something was counted.
///
/// Buckets are written in order, so nothing is added to a day after a bucket that began later. A day that is covered up
/// to its end, or that is followed by a day with buckets, is therefore complete if it was sealed after its end. A seal
/// that does not say when it was made is trusted only if it covers the whole day, and one that says so only if every
/// second is either covered or in a gap.
pub fn can_grow(seal: &DaySeal, newest_counted: Option<NaiveDate>) -> bool {
    let zone: Option<Tz> = seal.zone.parse().ok();
    let seconds_in_day = zone.map_or(seal.seconds_in_day, |zone| calendar::seconds_in_day(zone, seal.day));
    // If the clock was ahead, a day may seem to be covered, or to have been over, when it was not.
    if seal.was_made_before_the_end() {
        return true;
    }
    if seal.seconds_covered >= seconds_in_day {
        return false;
    }
    if !seal.was_made_after_the_day() || !rollup::accounts_for_the_day(seal) {
        return true;
    }
    let is_followed = newest_counted.is_some_and(|newest| newest > seal.day);
    !is_followed && !is_covered_to_its_end(seal)
}

/// Whether a bucket reaches the end of the day. The seal lists the times without a bucket in order, and the end of the
/// day must not be among them.
fn is_covered_to_its_end(seal: &DaySeal) -> bool {
    let Some(end) = seal.day_end() else { return false };
    let ends_uncovered = |gap: &Gap| gap.interface == Gap::EVERY_INTERFACE && gap.end >= end;
    seal.seconds_covered > 0 && seal.gaps.len() < MOST_GAPS && !seal.gaps.iter().any(ends_uncovered)
}

/// The state of a statement. `is_over` says that the month has ended, `waits` that a node which concerns the statement
/// is not whole, and `is_overdue` that the wait is over.
pub fn state(is_over: bool, waits: bool, is_overdue: bool) -> Finality {
    match (is_over, waits, is_overdue) {
        (false, _, _) => Finality::InProgress,
        (true, true, false) => Finality::Provisional,
        (true, false, _) | (true, true, true) => Finality::Final,
    }
}

#[cfg(test)]
mod tests;
