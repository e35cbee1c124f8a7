//! Appends days to the file of their month, which is not read as a whole for that.
//!
//! A write that was cut off leaves lines without a seal at the end. They are no day: readers skip them, and the next
//! roll-up of the day replaces the file.

use std::path::Path;

use chrono::NaiveDate;

use crate::ledger::block::{self, Daily};
use crate::store::append::Appender;
use crate::store::disk::Disk;
use crate::store::error::StoreError;
use crate::store::seals;

/// The end of a file to which days are to be appended.
pub(super) struct MonthEnd {
    appender: Appender,
    days: Vec<(NaiveDate, String)>,
}

impl MonthEnd {
    /// The end of the file at `path`. `None` if the file has to be read and replaced instead: there is none, it has a day
    /// from `first` on, or a part of it is damaged or looks different from what this program writes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn before(path: &Path, first: NaiveDate) -> Result<Option<Self>, StoreError> {
        let Some(found) = seals::find::<Daily>(path)? else { return Ok(None) };
        let Some(last) = found.last().filter(|last| last.seal.day < first) else { return Ok(None) };
        let length = last.bytes.end;
        // This is done once a day and finds damage before a reader on another machine does.
        let are_in_order = found.is_sorted_by(|one, next| one.seal.day < next.seal.day);
        if !are_in_order || !seals::are_intact(path, &found)? {
            return Ok(None);
        }
        Ok(Some(Self { appender: Appender::new(path.to_owned(), length), days: Vec::new() }))
    }

    /// Notes the encoded block of a day.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] if readers would refuse the block.
    pub(super) fn add(&mut self, text: String, day: NaiveDate) -> Result<(), StoreError> {
        let path = self.appender.path().to_owned();
        block::check_size::<Daily>(&text).map_err(|source| StoreError::TooLarge { path, source })?;
        self.days.push((day, text));
        Ok(())
    }

    /// Appends the days in their order, and waits until they are on disk.
    ///
    /// # Errors
    /// Like [`Appender::append`]; the file is as before, or has lines without a seal at its end.
    pub(super) fn append(mut self, disk: &dyn Disk) -> Result<(), StoreError> {
        if self.days.is_empty() {
            return Ok(());
        }
        self.days.sort_by_key(|(day, _)| *day);
        let text: String = self.days.into_iter().map(|(_, text)| text).collect();
        self.appender.append(disk, text.as_bytes())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
