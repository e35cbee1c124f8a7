//! Reads the hourly log: the buckets in a range of dates, as a stream, and the damage between them.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use super::blocks::{Blocks, Item};
use super::compressed;
use super::damage::Damage;
use super::error::StoreError;
use super::layout::StateDir;
use crate::ledger::block::{HourBlock, Hourly};
use crate::ledger::date;
use crate::ledger::distinct_buckets::DistinctBuckets;
use crate::ledger::month::Month;
use crate::ledger::rollup;

/// The next part of the hourly log.
#[derive(Debug)]
pub enum HourItem {
    /// A complete bucket, the first time that it appears in the range ([`DistinctBuckets`]).
    Bucket(Box<HourBlock>),
    /// Damaged lines, which are ignored.
    Damage(Damage),
    /// A bucket without a seal at the end of the newest file. Either an agent is writing it, or one died while writing
    /// it.
    Unfinished(Damage),
}

/// The buckets in a range of dates, in the order of the files. Keeps one bucket in memory at a time.
#[derive(Debug)]
pub struct Hours {
    files: std::vec::IntoIter<PathBuf>,
    newest: Option<PathBuf>,
    file: Option<Blocks<Hourly>>,
    /// The compressed file of a date if it was not there when it was looked for.
    absent: Option<PathBuf>,
    distinct: DistinctBuckets,
}

impl Hours {
    /// Reads the files with dates in `range`. A bucket is in the file of the date in its `start`.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn read(state: &StateDir, range: RangeInclusive<NaiveDate>) -> Result<Self, StoreError> {
        Self::read_after(state, range, DistinctBuckets::default())
    }

    /// The same after other parts of the log: buckets that are in `distinct` do not appear again.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn read_after(
        state: &StateDir,
        range: RangeInclusive<NaiveDate>,
        distinct: DistinctBuckets,
    ) -> Result<Self, StoreError> {
        let mut dates = dates(state)?;
        let newest = dates.last().map(|date| state.hourly(*date));
        dates.retain(|date| range.contains(date));
        let files: Vec<PathBuf> = dates.into_iter().flat_map(|date| files(state, date)).collect();
        Ok(Self { files: files.into_iter(), newest, file: None, absent: None, distinct })
    }

    /// The buckets that were read, and those that it began with.
    pub fn into_distinct(self) -> DistinctBuckets {
        self.distinct
    }

    /// Opens a file, if it is there. A date is compressed in two steps: the compressed file appears, then the plain one
    /// disappears. If neither was there when it was looked for, that has happened in between.
    fn open(&mut self, path: PathBuf) -> Result<Option<Blocks<Hourly>>, StoreError> {
        let file = Blocks::open(&path)?;
        let is_compressed = path.extension().is_some_and(|extension| extension == compressed::EXTENSION);
        match (self.absent.take(), file) {
            (Some(packed), None) if !is_compressed => Blocks::open(&packed),
            (_, None) if is_compressed => {
                self.absent = Some(path);
                Ok(None)
            }
            (_, file) => Ok(file),
        }
    }

    fn take(&mut self, item: Item<Hourly>) -> Option<HourItem> {
        let path = self.file.as_ref()?.path();
        match item {
            Item::Damage(damage) => Some(HourItem::Damage(Damage::of_block(path, &damage))),
            Item::Tail(tail) => {
                let damage = Damage::of_block(path, &tail.damage);
                let is_newest = self.newest.as_deref() == Some(path);
                Some(if is_newest { HourItem::Unfinished(damage) } else { HourItem::Damage(damage) })
            }
            Item::Block(found) => {
                let seal = &found.block.seal;
                match self.distinct.admit(seal) {
                    Ok(is_new) => is_new.then(|| HourItem::Bucket(Box::new(found.block))),
                    Err(conflict) => Some(HourItem::Damage(Damage {
                        path: path.to_owned(),
                        line: found.line,
                        lines: u64::from(seal.ports) + 1,
                        span: Some((seal.start, seal.end)),
                        what: conflict.to_string(),
                    })),
                }
            }
        }
    }
}

impl Iterator for Hours {
    type Item = Result<HourItem, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.file.as_mut().and_then(Blocks::next) {
                Some(Ok(item)) => {
                    if let Some(hour) = self.take(item) {
                        return Some(Ok(hour));
                    }
                }
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    let path = self.files.next()?;
                    match self.open(path) {
                        // `None` if the file was removed after the directory was read.
                        Ok(file) => self.file = file,
                        Err(error) => return Some(Err(error)),
                    }
                }
            }
        }
    }
}

/// The files that may contain the buckets of a date. Both may exist: buckets that are added after the file was
/// compressed go to a new file beside it.
pub fn files(state: &StateDir, date: NaiveDate) -> [PathBuf; 2] {
    [state.hourly_compressed(date), state.hourly(date)]
}

/// Whether there is a file for this date, compressed or not.
pub fn has_file(state: &StateDir, date: NaiveDate) -> bool {
    files(state, date).iter().any(|path| path.exists())
}

/// The dates on which some time may be covered by a bucket. Apart from those that have a file, these are the following
/// ones into which the last bucket of a file extends: when no agent ran for days while the counters went on, one bucket
/// covers all of them. Returns, for each date, the date of the file with that bucket.
///
/// # Errors
/// When the directory or a file cannot be read.
pub fn covered_dates(state: &StateDir) -> Result<BTreeMap<NaiveDate, NaiveDate>, StoreError> {
    let dates = dates(state)?;
    let mut covered: BTreeMap<NaiveDate, NaiveDate> = dates.iter().map(|date| (*date, *date)).collect();
    for (position, date) in dates.iter().enumerate() {
        let next = dates.get(position + 1);
        if next.is_some() && date.succ_opt().as_ref() == next {
            continue;
        }
        for item in Hours::read(state, *date..=*date)? {
            if let HourItem::Bucket(bucket) = item? {
                let days = rollup::dates_of(&bucket.seal).into_iter();
                covered.extend(
                    days.filter(|day| day > date && next.is_none_or(|next| day < next)).map(|day| (day, *date)),
                );
            }
        }
    }
    Ok(covered)
}

/// The dates that have a file, compressed or not, in ascending order.
///
/// # Errors
/// When the directory cannot be read. It is not an error if there is none.
pub fn dates(state: &StateDir) -> Result<Vec<NaiveDate>, StoreError> {
    let dir = state.hourly_dir();
    let entries = match fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(StoreError::io("read", &dir))?,
    };
    let mut dates = Vec::new();
    for entry in entries {
        let name = entry.map_err(StoreError::io("read", &dir))?.file_name();
        dates.extend(name.to_str().and_then(date_of));
    }
    dates.sort_unstable();
    dates.dedup();
    Ok(dates)
}

/// The calendar months that have a daily log, in ascending order.
///
/// # Errors
/// Like [`dates`].
pub fn tabled_months(state: &StateDir) -> Result<Vec<Month>, StoreError> {
    months_in(&state.daily_dir())
}

/// The calendar months that have a file in a directory of daily logs, in ascending order.
///
/// # Errors
/// Like [`dates`].
pub fn months_in(dir: &Path) -> Result<Vec<Month>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(StoreError::io("read", dir))?,
    };
    let mut months = Vec::new();
    for entry in entries {
        let name = entry.map_err(StoreError::io("read", dir))?.file_name();
        months.extend(name.to_str().and_then(|name| name.strip_suffix(".jsonl")?.parse::<Month>().ok()));
    }
    months.sort_unstable();
    Ok(months)
}

/// Parses `2026-10-05.jsonl` or `2026-10-05.jsonl.zst`, and nothing that only looks similar.
fn date_of(name: &str) -> Option<NaiveDate> {
    let plain = name.strip_suffix(compressed::EXTENSION).and_then(|name| name.strip_suffix('.')).unwrap_or(name);
    plain.strip_suffix(".jsonl").and_then(date::parse)
}

#[cfg(test)]
mod tests;
