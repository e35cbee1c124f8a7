//! The sums of a day that is not over, which a running agent keeps in memory. An hourly roll-up then reads the hour that
//! was appended instead of the whole day.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use chrono::NaiveDate;

use crate::ledger::block::{DayBlock, Hourly};
use crate::ledger::calendar;
use crate::ledger::distinct_buckets::DistinctBuckets;
use crate::ledger::reading::Moment;
use crate::ledger::rollup::{DayRollup, DayRules};
use crate::store::blocks::{Blocks, Item};
use crate::store::hours::{HourItem, Hours};
use crate::store::{StateDir, StoreError, seals};

/// The sums of one day, or none yet.
#[derive(Debug, Default)]
pub struct DaySoFar(Option<Sums>);

/// The sums of the buckets that were read.
#[derive(Debug)]
struct Sums {
    rules: DayRules,
    day: NaiveDate,
    /// The newest file before that of the day, which nothing is appended to any more, normally.
    before: Option<(NaiveDate, FileState)>,
    inode: u64,
    /// The end of the last bucket that was read from the file of the day.
    position: u64,
    rollup: DayRollup,
    distinct: DistinctBuckets,
}

/// Tells whether a file that only grows has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileState {
    inode: u64,
    length: u64,
}

impl DaySoFar {
    /// Whether these are sums of `day`.
    pub fn is_of(&self, day: NaiveDate) -> bool {
        self.0.as_ref().is_some_and(|sums| sums.day == day)
    }

    /// Adds what was appended to the log of `day`, and makes the day. The file is read from its beginning if it is not
    /// the one that was read before. `dates` are those that have a file.
    ///
    /// `None` if the log has to be read by somebody who names and skips what is wrong with it: something in it is
    /// damaged, occurs twice, or is compressed.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn make(
        &mut self,
        rules: &DayRules,
        state: &StateDir,
        dates: &[NaiveDate],
        day: NaiveDate,
        now: Moment,
    ) -> Result<Option<DayBlock>, StoreError> {
        let Some(file) = file_state(&state.hourly(day))?.filter(|_| !state.hourly_compressed(day).exists()) else {
            self.0 = None;
            return Ok(None);
        };
        let before = match dates.iter().copied().filter(|date| *date < day).max() {
            Some(date) => file_state(&state.hourly(date))?.map(|file| (date, file)),
            None => None,
        };
        let known = self.0.take().filter(|sums| {
            let is_the_same = sums.day == day && sums.rules == *rules && sums.before == before;
            is_the_same && sums.inode == file.inode && sums.position <= file.length
        });
        let sums = match known {
            Some(sums) => Some(sums),
            None => Sums::begin(rules, state, dates, day, before, file.inode)?,
        };
        let Some(mut sums) = sums else { return Ok(None) };
        let is_newest = dates.last() == Some(&day);
        if !sums.read_on(state, is_newest)? {
            return Ok(None);
        }
        Ok(Some(self.0.insert(sums).rollup.finish(now.wall)))
    }
}

impl Sums {
    /// Begins with what the newest file before covers of the day; `None` if that is not intact.
    fn begin(
        rules: &DayRules,
        state: &StateDir,
        dates: &[NaiveDate],
        day: NaiveDate,
        before: Option<(NaiveDate, FileState)>,
        inode: u64,
    ) -> Result<Option<Self>, StoreError> {
        let (mut rollup, mut distinct) = (DayRollup::new(rules.clone(), day), DistinctBuckets::default());
        let day_start = calendar::day_start(rules.zone, day);
        if let Some(date) = dates.iter().copied().filter(|date| *date < day).max() {
            match seals::of_date(state, date)? {
                // The usual case: none of its buckets extends into the day, so only their identities matter.
                Some(found) if found.iter().all(|found| found.seal.end.to_utc() <= day_start) => {
                    for found in found {
                        if found.seal.start.date_naive() == day || distinct.admit(&found.seal) != Ok(true) {
                            return Ok(None);
                        }
                    }
                }
                Some(_) | None => {
                    for hour in Hours::read(state, date..=date)? {
                        let HourItem::Bucket(bucket) = hour? else { return Ok(None) };
                        if distinct.admit(&bucket.seal) != Ok(true) {
                            return Ok(None);
                        }
                        rollup.take(&bucket);
                    }
                }
            }
        }
        Ok(Some(Self { rules: rules.clone(), day, before, inode, position: 0, rollup, distinct }))
    }

    /// Adds the buckets after the position. Returns whether all of them are intact and new.
    fn read_on(&mut self, state: &StateDir, is_newest: bool) -> Result<bool, StoreError> {
        let Some(mut blocks) = Blocks::<Hourly>::open_at(&state.hourly(self.day), self.position)? else {
            return Ok(false);
        };
        let begin = blocks.begin();
        if begin != self.position {
            return Ok(false);
        }
        while let Some(item) = blocks.next().transpose()? {
            match item {
                Item::Block(found) if self.distinct.admit(&found.block.seal) == Ok(true) => {
                    self.rollup.take(&found.block);
                    self.position = begin + found.bytes.end;
                }
                Item::Block(_) | Item::Damage(_) => return Ok(false),
                // The agent is writing it right now, or will repair it when it next starts.
                Item::Tail(_) => return Ok(is_newest),
            }
        }
        Ok(true)
    }
}

fn file_state(path: &Path) -> Result<Option<FileState>, StoreError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(FileState { inode: metadata.ino(), length: metadata.len() })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::io("inspect", path)(source)),
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
