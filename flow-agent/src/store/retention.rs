//! What becomes of the old days of the hourly log: they are compressed when they are over, and deleted when they are older
//! than the configuration wants them kept. The daily logs that were made of them stay.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use chrono::{Days, Months, NaiveDate};
use chrono_tz::Tz;

use super::compressed;
use super::disk;
use super::error::StoreError;
use super::hours;
use super::layout::StateDir;
use super::lock::DailyLock;
use super::owed;
use crate::guarded;

/// So many of the newest dates stay as they are, whatever their age: the agent starts from the newest files, and appends
/// to them.
const NEWEST_KEPT: usize = 3;

/// An age in calendar units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    Days(u32),
    Months(u32),
}

impl Age {
    /// Reads `7 days`, `13 months` or `2 years`, at least one of them; the singular is as good, and `d`, `w`, `y` are
    /// short for days, weeks and years.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
        let number: u32 = number.parse().ok().filter(|number| (1..=10_000).contains(number))?;
        Some(match unit.trim() {
            "d" | "day" | "days" => Self::Days(number),
            "w" | "week" | "weeks" => Self::Days(7 * number),
            "month" | "months" => Self::Months(number),
            "y" | "year" | "years" => Self::Months(12 * number),
            _ => return None,
        })
    }

    /// The first date that is not older than this on the day `today`.
    fn reaches_back_to(self, today: NaiveDate) -> NaiveDate {
        let first = match self {
            Self::Days(days) => today.checked_sub_days(Days::new(days.into())),
            Self::Months(months) => today.checked_sub_months(Months::new(months)),
        };
        first.unwrap_or(NaiveDate::MIN)
    }
}

/// The settings in `[retention]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Days of the hourly log older than this are compressed; `None`: none are.
    pub compress_after: Option<Age>,
    /// Days of the hourly log older than this are deleted; `None`: none are.
    pub hours: Option<Age>,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { compress_after: Some(Age::Days(35)), hours: None }
    }
}

/// What is to be done with one day of the hourly log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionStep {
    pub date: NaiveDate,
    pub action: RetentionAction,
    /// The size of the day's files now.
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionAction {
    Compress,
    Delete,
}

impl fmt::Display for RetentionAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Compress => "compress",
            Self::Delete => "delete",
        })
    }
}

/// What `config` wants done on the day `today`, in the order of the dates. A day is left alone unless it is over, its
/// daily log is complete, and it is not one of the newest. From `unsent_from` on, days are not deleted, because their
/// hours are still to be sent somewhere.
///
/// # Errors
/// When a directory or a file cannot be read.
pub fn plan(
    state: &StateDir,
    zone: Tz,
    today: NaiveDate,
    config: RetentionConfig,
    unsent_from: Option<NaiveDate>,
) -> Result<Vec<RetentionStep>, StoreError> {
    let older_than = |age: Option<Age>| age.map_or(NaiveDate::MIN, |age| age.reaches_back_to(today));
    let delete_before = older_than(config.hours).min(unsent_from.unwrap_or(NaiveDate::MAX));
    let compress_before = older_than(config.compress_after);
    let mut dates = hours::dates(state)?;
    dates.truncate(dates.len().saturating_sub(NEWEST_KEPT));
    dates.retain(|date| *date < delete_before || *date < compress_before && state.hourly(*date).exists());
    if dates.is_empty() {
        return Ok(Vec::new());
    }
    let owed = owed::days(state, zone)?;
    // A day takes part in the roll-up of the next one, into which its last bucket may reach.
    let is_owed = |date: &NaiveDate| owed.contains(date) || date.succ_opt().is_some_and(|next| owed.contains(&next));
    let action = |date| if date < delete_before { RetentionAction::Delete } else { RetentionAction::Compress };
    let step = |date| RetentionStep { date, action: action(date), bytes: size(state, date) };
    Ok(dates.into_iter().filter(|date| !is_owed(date)).map(step).collect())
}

/// The size of a day's files.
fn size(state: &StateDir, date: NaiveDate) -> u64 {
    hours::files(state, date).iter().filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.len()).sum()
}

/// Does one step of the plan. Returns the size of the day's files afterwards. No more than one process may do so, and none
/// that appends to these days may run beside it, which the lock and [`plan`] see to.
///
/// # Errors
/// When a file cannot be read, written or removed. What the day holds can be read as before.
pub fn carry_out(lock: &DailyLock, step: RetentionStep) -> Result<u64, StoreError> {
    let state = lock.state();
    match step.action {
        RetentionAction::Compress => compress(state, step.date)?,
        RetentionAction::Delete => {
            for path in hours::files(state, step.date) {
                remove(state, &path)?;
            }
        }
    }
    Ok(size(state, step.date))
}

/// Replaces the file of a date by a compressed one with the same content. A compressed file that is there already, because
/// lines were added to the day after it had been compressed, goes into the new one first.
fn compress(state: &StateDir, date: NaiveDate) -> Result<(), StoreError> {
    let (plain, packed) = (state.hourly(date), state.hourly_compressed(date));
    let content = || -> io::Result<Box<dyn Read>> {
        let added = guarded::open_to_read(&plain)?;
        Ok(match compressed::open(&packed) {
            Ok(before) => Box::new(before.chain(added)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Box::new(added),
            Err(error) => return Err(error),
        })
    };
    let length = fs::metadata(&plain).map_err(StoreError::io("look at", &plain))?.len();
    // A new file beside the old one, which stays until the new one was read back.
    let fresh = packed.with_extension("zst-new.zst");
    let source = content().map_err(StoreError::io("read", &plain))?;
    let outcome = compressed::write(state.disk(), &fresh, source).and_then(|_| {
        let is_same = disk::same_bytes(compressed::open(&fresh)?, content()?)?;
        is_same.then_some(()).ok_or_else(|| io::Error::other("what was written reads back differently"))
    });
    if let Err(source) = outcome {
        // Nothing reads a file of this name; the next attempt replaces it.
        let _ = state.disk().remove(&fresh);
        return Err(StoreError::io("compress", &plain)(source));
    }
    state.disk().rename(&fresh, &packed).map_err(StoreError::io("rename", &fresh))?;
    sync_dir(state)?;
    // Somebody may have added to the day since it was read. Then both files stay, and the next attempt joins them.
    if fs::metadata(&plain).map_err(StoreError::io("look at", &plain))?.len() != length {
        return Ok(());
    }
    remove(state, &plain)
}

fn remove(state: &StateDir, path: &Path) -> Result<(), StoreError> {
    match state.disk().remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(StoreError::io("remove", path)(source)),
        Ok(()) => sync_dir(state),
    }
}

fn sync_dir(state: &StateDir) -> Result<(), StoreError> {
    let dir = state.hourly_dir();
    state.disk().sync_dir(&dir).map_err(StoreError::io("sync the directory", &dir))
}

#[cfg(test)]
mod tests;
