//! Whether a version of a day may replace another, and what was done.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, NaiveDate, TimeDelta};

use crate::ledger::block::DayBlock;
use crate::ledger::record::DaySeal;
use crate::store::damage::Damage;
use crate::store::error::StoreError;
use crate::store::hours;
use crate::store::layout::StateDir;

/// The outcome of writing a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayOutcome {
    Written,
    /// Written although it covers fewer seconds, because the node made it later than the existing one.
    Corrected {
        before: u32,
        now: u32,
    },
    /// Written although it has fewer bytes, because the node made it later than the existing one.
    Decreased {
        bytes_before: u64,
        bytes: u64,
        seconds_before: u32,
        seconds: u32,
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
    /// The new one lacks buckets of counters that the existing one was made from.
    HasMoreBuckets { before: u32, now: u32 },
    /// Its hourly file is gone, so it could not be made again.
    HourlyGone,
}

/// What was done with the days.
pub(super) struct Written {
    force: bool,
    pub(super) outcomes: BTreeMap<NaiveDate, DayOutcome>,
    pub(super) damages: Vec<Damage>,
}

impl Written {
    pub(super) fn new(force: bool) -> Self {
        Self { force, outcomes: BTreeMap::new(), damages: Vec::new() }
    }

    /// Whether `day` may replace `before`; otherwise notes that it is kept.
    pub(super) fn may_replace(&mut self, state: &StateDir, before: Option<&DaySeal>, day: &DaySeal) -> bool {
        let kept = reason_to_keep(before, day, hours::has_file(state, day.day), self.force);
        self.outcomes.extend(kept.map(|kept| (day.day, DayOutcome::Kept(kept))));
        kept.is_none()
    }

    pub(super) fn note(&mut self, day: NaiveDate, is_changed: bool) {
        self.outcomes.insert(day, if is_changed { DayOutcome::Written } else { DayOutcome::Unchanged });
    }
}

/// Of two versions of a day the one that was made later. Only versions that say when are ever in the file of the open
/// day.
pub(super) fn newer<'a>(in_month: Option<&'a DaySeal>, open: Option<&'a DaySeal>) -> Option<&'a DaySeal> {
    in_month.into_iter().chain(open).reduce(|in_month, open| if open.at > in_month.at { open } else { in_month })
}

/// The text of a day that was made on this node, and that replaces `before`; `None` if its file has the same content
/// already, according to `has`. This also writes the number and the checksum of the lines into the seal.
///
/// # Errors
/// Those of `has`.
pub(super) fn encoded_after(
    before: Option<&DaySeal>,
    day: &mut DayBlock,
    has: impl FnOnce(&DaySeal) -> Result<bool, StoreError>,
) -> Result<Option<String>, StoreError> {
    let text = day.encode();
    if has(&day.seal)? {
        return Ok(None);
    }
    // Two roll-ups may fall into the same second, and the clock may have been set back, but a change must have a later
    // time.
    Ok(Some(match before.and_then(|before| before.at).filter(|before| day.seal.at.is_none_or(|at| at <= *before)) {
        None => text,
        Some(before) => {
            day.seal.at = Some(before + TimeDelta::seconds(1));
            day.encode()
        }
    }))
}

/// Whether the file need not be changed for `now`, because it has the same content already.
pub(super) fn is_enough(before: &DaySeal, now: &DaySeal) -> bool {
    has_content_of(before, now) && !is_to_be_sealed_again(before, now)
}

/// Whether both have the same content, apart from the time at which they were made.
pub(super) fn has_content_of(left: &DaySeal, right: &DaySeal) -> bool {
    let undated = |seal: &DaySeal| DaySeal { at: None, ..seal.clone() };
    undated(left) == undated(right)
}

/// Whether `now` shows that the day was over and `before` does not.
fn is_to_be_sealed_again(before: &DaySeal, now: &DaySeal) -> bool {
    before.at.is_none() && now.at.is_some() || !before.was_made_after_the_day() && now.was_made_after_the_day()
}

/// The reason to keep the existing day, if there is one. A day with more buckets of its own always replaces it, because
/// their bytes are nowhere else.
fn reason_to_keep(before: Option<&DaySeal>, now: &DaySeal, hourly_is_there: bool, force: bool) -> Option<KeepReason> {
    let before = before?;
    if before.buckets_sealed > 0 && !hourly_is_there {
        return Some(KeepReason::HourlyGone);
    }
    if force {
        return None;
    }
    let (counted_before, counted) = (before.buckets_counted(), now.buckets_counted());
    // In another zone, the day is another span of time, of which its file may have a part only. What was made in the
    // zone of that time stays.
    if now.seconds_covered < before.seconds_covered && counted <= counted_before {
        return Some(KeepReason::CoversMore { before: before.seconds_covered, now: now.seconds_covered });
    }
    // What covers more, or another time, may still lack bytes.
    let is_other = before.zone != now.zone || now.buckets_imported() > before.buckets_imported();
    (is_other && counted < counted_before)
        .then_some(KeepReason::HasMoreBuckets { before: counted_before, now: counted })
}

#[cfg(test)]
mod tests;
