//! Finds the days that have to be rolled up, because their hourly log may contain more than their seal in `daily/`
//! covers.
//!
//! Only the seals and the modification times of files are read, so that years of logs take a fraction of a second. The
//! exceptions are the newest hourly log and those before dates without one, whose last bucket may cover those dates.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fs;
use std::io;
use std::path::Path;

use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::Deserialize;

use super::blocks::{Blocks, Item};
use super::error::StoreError;
use super::hours;
use super::layout::StateDir;
use super::seal_lines;
use crate::ledger::block::Daily;
use crate::ledger::calendar;
use crate::ledger::month::Month;
use crate::ledger::record::Kind;

/// The necessary part of a day's seal. Readers of the day's figures check whether its block is intact.
#[derive(Clone, Debug, Deserialize)]
struct SealedDay {
    kind: Kind,
    day: NaiveDate,
    /// The time zone of the day.
    #[serde(default)]
    zone: String,
    /// When the day was rolled up. Missing in seals of earlier versions.
    #[serde(default)]
    at: Option<DateTime<Utc>>,
}

/// The days that have to be rolled up again: their hourly log was written to after they were sealed, they were sealed
/// before they were over or later than `now`, or they have no seal. The day of the newest log is always included: if the
/// clock was ahead when it was sealed, the times do not show what was written since. A day without a log is included
/// where a bucket of an earlier log covers it. The day after each of these is included if it has a log, because the last
/// bucket of a day may extend into the next. `zone` decides when a day is over.
///
/// # Errors
/// When a directory or a file cannot be read.
pub fn days(state: &StateDir, zone: Tz, now: DateTime<Utc>) -> Result<BTreeSet<NaiveDate>, StoreError> {
    let covered = hours::covered_dates(state)?;
    let mut months: BTreeMap<Month, MonthFile> = BTreeMap::new();
    let mut owed = BTreeSet::new();
    let newest = covered.values().max().copied();
    for (date, file) in &covered {
        let month = match months.entry(Month::of(*date)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(MonthFile::read(&state.daily(Month::of(*date)))?),
        };
        let written_at = modified_at(&state.hourly(*file))?;
        if Some(date) == newest.as_ref() || month.owes(*date, written_at, zone, now) {
            owed.insert(*date);
        }
    }
    let next = |date: &NaiveDate| date.checked_add_days(Days::new(1)).filter(|next| covered.contains_key(next));
    let following: Vec<NaiveDate> = owed.iter().filter_map(next).collect();
    owed.extend(following);
    Ok(owed)
}

/// Those of `days` that have no intact block in `daily/`, so that only the hourly log can tell what was counted on them.
/// Unlike [`days`], which looks at seals only, this verifies the checksums of the blocks.
///
/// # Errors
/// When a file cannot be read.
pub fn without_block(
    state: &StateDir,
    days: impl IntoIterator<Item = NaiveDate>,
) -> Result<BTreeSet<NaiveDate>, StoreError> {
    let mut missing: BTreeSet<NaiveDate> = days.into_iter().collect();
    let months: BTreeSet<Month> = missing.iter().map(|day| Month::of(*day)).collect();
    for month in months {
        for item in Blocks::<Daily>::open(&state.daily(month))?.into_iter().flatten() {
            if let Item::Block(found) = item? {
                missing.remove(&found.block.seal.day);
            }
        }
    }
    Ok(missing)
}

/// The seals in a file of `daily/`.
#[derive(Debug, Default)]
struct MonthFile {
    modified_at: Option<DateTime<Utc>>,
    seals: BTreeMap<NaiveDate, SealedDay>,
}

impl MonthFile {
    /// Reads the file, which need not exist.
    fn read(path: &Path) -> Result<Self, StoreError> {
        // The time is read first, so that what is written meanwhile is newer than it.
        let mut month = Self { modified_at: modified_at(path)?, seals: BTreeMap::new() };
        seal_lines::read(path, |seal: SealedDay| {
            if seal.kind == Kind::Seal {
                month.seals.insert(seal.day, seal);
            }
            true
        })?;
        Ok(month)
    }

    /// Whether `day`, whose hourly log was last written at `written_at`, has to be rolled up again. `zone` is that of the
    /// configuration.
    fn owes(&self, day: NaiveDate, written_at: Option<DateTime<Utc>>, zone: Tz, now: DateTime<Utc>) -> bool {
        let Some(seal) = self.seals.get(&day) else { return true };
        // After a change of the time zone, the day is what it was when it was sealed.
        let day_end = calendar::day_end(seal.zone.parse().unwrap_or(zone), day);
        // What is added to a compressed day goes to a new file. Otherwise it is enough that the day was over.
        let written_at = written_at.unwrap_or(day_end);
        match seal.at {
            // The times in seals are whole seconds.
            Some(at) => at < day_end || at > now || at.timestamp() < written_at.timestamp(),
            None => self.modified_at.is_none_or(|modified_at| modified_at < written_at.max(day_end)),
        }
    }
}

/// When the file was last written to; `None` if there is none.
fn modified_at(path: &Path) -> Result<Option<DateTime<Utc>>, StoreError> {
    match fs::metadata(path).and_then(|metadata| metadata.modified()) {
        Ok(modified_at) => Ok(Some(modified_at.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::io("inspect", path)(source)),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
