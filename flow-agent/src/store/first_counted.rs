//! Finds the day on which flow-agent began to count. What was imported from the logs of an older program was not counted
//! by flow-agent, however old it is.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::NaiveDate;
use serde::Deserialize;

use super::error::StoreError;
use super::hours;
use super::layout::StateDir;
use super::seal_lines;
use super::seals;
use crate::ledger::block::Daily;
use crate::ledger::record::{DaySeal, Kind, Quality};

/// The necessary part of a bucket's seal.
#[derive(Debug, Deserialize)]
struct SealedHour {
    kind: Kind,
    quality: Quality,
}

/// The first day in the log of this machine on which something was counted; `None` if nothing was counted yet. The daily
/// log is read too, because `[retention]` may have deleted the hours.
///
/// # Errors
/// When a file cannot be read.
pub fn day(state: &StateDir) -> Result<Option<NaiveDate>, StoreError> {
    let Sealed { first, imported } = read_daily(&state.daily_dir())?;
    let dates = hours::dates(state)?.into_iter().filter(|date| !imported.contains(date));
    for date in dates.take_while(|date| first.is_none_or(|first| *date < first)) {
        for path in hours::files(state, date) {
            let mut is_counted = false;
            seal_lines::read(&path, |seal: SealedHour| {
                is_counted = seal.kind == Kind::Seal && seal.quality != Quality::Import;
                !is_counted
            })?;
            if is_counted {
                return Ok(Some(date));
            }
        }
    }
    Ok(first)
}

/// The first day in a directory of daily logs, such as those gathered from a node, on which something was counted.
///
/// # Errors
/// When a file cannot be read.
pub fn day_in(directory: &Path) -> Result<Option<NaiveDate>, StoreError> {
    Ok(read_daily(directory)?.first)
}

/// The result of a search that is made again only as long as it finds nothing: once counting has begun, only an import
/// could change the answer, and imports do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstCounted(Option<NaiveDate>);

impl FirstCounted {
    /// As [`day`].
    ///
    /// # Errors
    /// As [`day`].
    pub fn day(&mut self, state: &StateDir) -> Result<Option<NaiveDate>, StoreError> {
        if self.0.is_none() {
            self.0 = day(state)?;
        }
        Ok(self.0)
    }
}

/// What the seals of days say.
struct Sealed {
    first: Option<NaiveDate>,
    /// Days before `first` on which nothing was counted and to which nothing can be added any more.
    imported: BTreeSet<NaiveDate>,
}

fn read_daily(directory: &Path) -> Result<Sealed, StoreError> {
    let mut sealed = Sealed { first: None, imported: BTreeSet::new() };
    for month in hours::months_in(directory)? {
        let path = directory.join(format!("{month}.jsonl"));
        let mut take = |seal: DaySeal| {
            if seal.kind != Kind::Seal {
                return true;
            }
            // A day on which no bucket began, because a longer one covers it, says nothing.
            if seal.quality.keys().any(|quality| *quality != Quality::Import) {
                sealed.first = sealed.first.into_iter().chain([seal.day]).min();
            } else if seal.was_made_after_the_day() {
                sealed.imported.insert(seal.day);
            }
            true
        };
        // The lines between the seals of a month are megabytes.
        match seals::find::<Daily>(&path)? {
            Some(found) => found.into_iter().for_each(|found| _ = take(found.seal)),
            None => seal_lines::read(&path, take)?,
        }
        if sealed.first.is_some() {
            break;
        }
    }
    Ok(sealed)
}

#[cfg(test)]
mod tests;
