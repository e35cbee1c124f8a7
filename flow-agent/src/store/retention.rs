//! What is done with old days of the hourly log: they are compressed some time after they are over, and deleted when
//! they are older than the configured age. The daily logs made from them are kept.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use chrono::{DateTime, Days, Months, NaiveDate, Utc};
use chrono_tz::Tz;

use super::blocks::{Blocks, Item};
use super::compressed;
use super::disk;
use super::error::StoreError;
use super::hours;
use super::layout::StateDir;
use super::lock::DailyLock;
use super::owed;
use crate::guarded;
use crate::ledger::block::Hourly;

/// How many of the newest dates are left as they are, whatever their age, because the agent starts from the newest
/// files and appends to them.
const NEWEST_KEPT: usize = 3;

/// An age in calendar units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    Days(u32),
    Months(u32),
}

impl Age {
    /// Parses `7 days`, `13 months` or `2 years`. The number is at least 1. The singular is accepted too, and `d`, `w`
    /// and `y` stand for days, weeks and years.
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

    /// The first date that is not older than this age on the day `today`.
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
    /// Days of the hourly log older than this are compressed. With `None`, none are.
    pub compress_after: Option<Age>,
    /// Days of the hourly log older than this are deleted. With `None`, none are.
    pub hours: Option<Age>,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { compress_after: Some(Age::Days(35)), hours: None }
    }
}

/// What to do with one day of the hourly log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionStep {
    pub date: NaiveDate,
    pub action: RetentionAction,
    /// The present size of the day's files in bytes.
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

/// What is to be done with the hourly log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionPlan {
    /// By date.
    pub steps: Vec<RetentionStep>,
    /// Days that are over but have no intact block in `daily/`, although hours that are old enough to be deleted are
    /// needed for it. These hours are kept, and the days must be rolled up again.
    pub damaged: BTreeSet<NaiveDate>,
}

/// The steps that `config` requires on the day `today`. A day is left alone unless it is over, its daily log is
/// complete, and it is not one of the newest. It is deleted only if its daily log is also intact. Days from
/// `unsent_from` on are not deleted, because their hours have not all been sent to ClickHouse yet.
///
/// # Errors
/// When a directory or a file cannot be read.
pub fn plan(
    state: &StateDir,
    zone: Tz,
    today: NaiveDate,
    config: RetentionConfig,
    unsent_from: Option<NaiveDate>,
) -> Result<RetentionPlan, StoreError> {
    let all = hours::dates(state)?;
    // If the clock is ahead, the log shows it: ages count from the day after its newest one at most.
    let after_newest = all.last().and_then(|newest| newest.succ_opt());
    let from = after_newest.map_or(today, |after| today.min(after));
    let older_than = |age: Option<Age>| age.map_or(NaiveDate::MIN, |age| age.reaches_back_to(from));
    let delete_before = older_than(config.hours).min(unsent_from.unwrap_or(NaiveDate::MAX));
    let compress_before = older_than(config.compress_after);
    let mut dates = all[..all.len().saturating_sub(NEWEST_KEPT)].to_vec();
    dates.retain(|date| *date < delete_before || *date < compress_before && state.hourly(*date).exists());
    if dates.is_empty() {
        return Ok(RetentionPlan::default());
    }
    // A day that was sealed by a clock that was ahead is owed to the agent, and old days are not.
    let owed = owed::days(state, zone, DateTime::<Utc>::MAX_UTC)?;
    let covered = hours::covered_dates(state)?;
    let next = |date: NaiveDate| all.get(all.partition_point(|other| *other <= date)).copied();
    // Apart from its own day, a file contributes to later ones into which its last bucket extends: those without a file,
    // and the next one with a file.
    let made_from = |date: NaiveDate| {
        let own = covered.iter().filter(move |(_, file)| **file == date).map(|(day, _)| *day);
        own.chain(next(date))
    };
    let is_owed = |date: &NaiveDate| made_from(*date).any(|day| owed.contains(&day));
    // What is deleted cannot be rolled up again, so there a seal is not enough: the blocks must be intact.
    let to_delete = dates.iter().filter(|date| **date < delete_before);
    let damaged = owed::without_block(state, to_delete.flat_map(|date| made_from(*date)))?;
    let is_kept = |date: &NaiveDate| *date < delete_before && made_from(*date).any(|day| damaged.contains(&day));
    let action = |date| if date < delete_before { RetentionAction::Delete } else { RetentionAction::Compress };
    let step = |date| RetentionStep { date, action: action(date), bytes: size(state, date) };
    let steps = dates.into_iter().filter(|date| !is_owed(date) && !is_kept(date)).map(step).collect();
    // A day that is not over need not have a block yet.
    Ok(RetentionPlan { steps, damaged: damaged.into_iter().filter(|day| *day < today).collect() })
}

/// The size of a day's files in bytes.
fn size(state: &StateDir, date: NaiveDate) -> u64 {
    hours::files(state, date).iter().filter_map(|path| fs::metadata(path).ok()).map(|metadata| metadata.len()).sum()
}

/// Carries out one step of the plan. Returns the size of the day's files afterwards. Only one process may do this at a
/// time, which the lock ensures. Nobody may append to the day meanwhile: [`plan`] leaves out the newest days, to which
/// the agent appends, and an import cannot run at the same time as an agent.
///
/// # Errors
/// When a file cannot be read, written or removed. The content of the day can still be read as before.
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

/// Replaces the file of a date with a compressed one that has the same content. If there is a compressed file already,
/// because lines were added to the day after it had been compressed, the new file starts with its content.
fn compress(state: &StateDir, date: NaiveDate) -> Result<(), StoreError> {
    let (plain, packed) = (state.hourly(date), state.hourly_compressed(date));
    let content = || -> io::Result<Box<dyn Read>> {
        let added = guarded::open_to_read(&plain)?;
        Ok(match compressed::open(&packed) {
            // Otherwise a line that is cut off at its end would take the next bucket with it.
            Ok(before) if ends_with_a_line(&packed)? => Box::new(before.chain(added)),
            Ok(before) => Box::new(before.chain(&b"\n"[..]).chain(added)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Box::new(added),
            Err(error) => return Err(error),
        })
    };
    let length = fs::metadata(&plain).map_err(StoreError::io("inspect", &plain))?.len();
    // The new file is written beside the old one, which stays until the new one has been read back.
    let fresh = packed.with_extension("zst-new.zst");
    let source = content().map_err(StoreError::io("read", &plain))?;
    let outcome = compressed::write(state.disk(), &fresh, source).and_then(|_| {
        let is_same = disk::same_bytes(compressed::open(&fresh)?, content()?)?;
        is_same.then_some(()).ok_or_else(|| io::Error::other("what was written reads back differently"))
    });
    let outcome = outcome.map_err(StoreError::io("compress", &plain)).and_then(|()| {
        let is_whole = buckets(&[&fresh])? == buckets(&[&packed, &plain])?;
        let lost = || io::Error::other("what was written does not have the same buckets");
        is_whole.then_some(()).ok_or_else(|| StoreError::io("compress", &plain)(lost()))
    });
    if let Err(error) = outcome {
        // Nothing reads a file with this name, and the next attempt replaces it.
        let _ = state.disk().remove(&fresh);
        return Err(error);
    }
    state.disk().rename(&fresh, &packed).map_err(StoreError::io("rename", &fresh))?;
    sync_dir(state)?;
    // If somebody has added to the day since it was read, both files are kept and the next attempt merges them.
    if fs::metadata(&plain).map_err(StoreError::io("inspect", &plain))?.len() != length {
        return Ok(());
    }
    remove(state, &plain)
}

/// Whether the content of a file ends with a line feed, or is empty.
fn ends_with_a_line(path: &Path) -> io::Result<bool> {
    let mut content = compressed::open(path)?;
    let (mut buffer, mut last) = (vec![0; 64 << 10], b'\n');
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(last == b'\n'),
            Ok(read) => last = buffer[read - 1],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The checksums of the intact buckets in files of a day, each once.
fn buckets(paths: &[&Path]) -> Result<BTreeSet<String>, StoreError> {
    let mut found = BTreeSet::new();
    for path in paths {
        for item in Blocks::<Hourly>::open(path)?.into_iter().flatten() {
            if let Item::Block(block) = item? {
                found.insert(block.block.seal.sha256);
            }
        }
    }
    Ok(found)
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
