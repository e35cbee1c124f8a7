//! `hourly/`: the authoritative record. Buckets are appended and synced one at a time, and a start repairs what a crash
//! left.

mod recovery;
mod scan;
mod tail;

use std::collections::BTreeMap;
use std::path::Path;

use recovery::{Cut, recover};
pub use recovery::{DoubleCountRisk, Recovery};
use scan::scan;

use super::append::Appender;
use super::damage::{keep_damaged, keep_torn};
use super::error::StoreError;
use super::layout::StateDir;
use super::lock::RunLock;
use crate::ledger::block::HourBlock;
use crate::ledger::record::Quality;

/// The hourly log, opened for writing by the holder of `run.lock`.
#[derive(Debug)]
pub struct Journal {
    state: StateDir,
    next_seq: u64,
    /// The appenders of the last bucket's file, and of any other file in which a write failed.
    appenders: Vec<Appender>,
}

impl Journal {
    /// Opens the log. An unfinished tail is durably copied to a separate file and then cut off. Damage in the middle is
    /// copied too, but stays in place. The last seal is synced, because its writer may have died before it could.
    ///
    /// # Errors
    /// When the log cannot be read or repaired. A full disk is not an error here: the unfinished tail is then left for
    /// the next append.
    pub fn open(lock: &RunLock) -> Result<(Self, Recovery), StoreError> {
        let state = lock.state().clone();
        state.create_dir(&state.hourly_dir())?;
        let (mut recovery, repairs) = recover(&state)?;
        let mut journal = Self { state, next_seq: recovery.next_seq, appenders: Vec::new() };
        for Cut { path, bytes } in &repairs.damaged {
            if let Err(error) = keep_damaged(journal.state.disk(), path, bytes.clone()) {
                tracing::warn!(
                    path = %path.display(), %error,
                    "failed to copy damaged lines; they stay where they are"
                );
            }
        }
        let mut waits = false;
        for cut in &repairs.cuts {
            match journal.cut(cut) {
                Ok(kept) => recovery.kept.push(kept),
                Err(error) if error.is_full() => {
                    tracing::warn!(
                        path = %cut.path.display(), %error,
                        "an unfinished bucket is kept until there is space"
                    );
                    waits |= repairs.newest.as_ref().is_some_and(|(newest, _)| *newest == cut.path);
                }
                Err(error) => return Err(error),
            }
        }
        if let Some((path, length)) = repairs.newest.filter(|_| !waits) {
            let mut appender = Appender::new(path, length);
            appender.settle(journal.state.disk())?;
            journal.appenders.push(appender);
        }
        Ok((journal, recovery))
    }

    /// The number of the next bucket.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Appends a bucket to the file of the date in its `start`, and waits until it is on disk. A bucket without a
    /// number gets the next one; imported buckets stay without, because they do not come from counters. If somebody
    /// else changed the file, it is verified first.
    ///
    /// # Errors
    /// Like [`Journal::append_unchanged`], except [`StoreError::Changed`].
    pub fn append(&mut self, bucket: &mut HourBlock) -> Result<(), StoreError> {
        match self.append_unchanged(bucket) {
            Err(StoreError::Changed { path, .. }) => {
                tracing::warn!(path = %path.display(), "another program changed the hourly log: verifying it again");
                self.appenders.retain(|appender| appender.path() != path);
                self.append_unchanged(bucket)
            }
            other => other,
        }
    }

    /// Like [`Journal::append`], but fails if somebody else changed the file.
    ///
    /// # Errors
    /// [`StoreError::Numbered`] if the bucket's number is used already; [`StoreError::Changed`] if the file was
    /// changed. After any error the log is as before, so the same bucket may be tried again, or another in its place.
    /// [`StoreError::is_full`] tells whether only space is missing.
    pub fn append_unchanged(&mut self, bucket: &mut HourBlock) -> Result<(), StoreError> {
        bucket.seal.seq = match bucket.seal.seq {
            _ if bucket.seal.quality == Quality::Import => None,
            Some(seq) if seq < self.next_seq => return Err(StoreError::Numbered { seq, next: self.next_seq }),
            seq => seq.or(Some(self.next_seq)),
        };
        let text = bucket.encode();
        let path = self.state.hourly(bucket.seal.start.date_naive());
        self.try_append(&path, text.as_bytes())?;
        if let Some(seq) = bucket.seal.seq {
            self.next_seq = seq + 1;
        }
        // Files of other dates are finished, except those in which a failure has to be repaired.
        self.appenders.retain(|appender| appender.path() == path || appender.is_hurt());
        Ok(())
    }

    /// Reads the log again after somebody else changed it, and returns the last bucket that it still has for each
    /// epoch. The next bucket will be appended to the files as they are now.
    ///
    /// # Errors
    /// When the log cannot be read; [`StoreError::Ahead`] if it contains buckets after the last one appended here.
    pub fn look_again(&mut self) -> Result<BTreeMap<String, HourBlock>, StoreError> {
        let (recovery, _) = recover(&self.state)?;
        let written = self.next_seq.saturating_sub(1);
        match recovery.last().and_then(|bucket| bucket.seal.seq) {
            Some(found) if found > written => return Err(StoreError::Ahead { found, written }),
            Some(_) | None => {}
        }
        self.appenders.clear();
        Ok(recovery.epochs)
    }

    /// Appends a bucket that replaces those that the log has lost, from the bucket's number on.
    ///
    /// # Errors
    /// Like [`Journal::append`].
    pub fn append_again(&mut self, bucket: &mut HourBlock) -> Result<(), StoreError> {
        let next_seq = self.next_seq;
        self.next_seq = bucket.seal.seq.unwrap_or(next_seq).min(next_seq);
        let appended = self.append_unchanged(bucket);
        self.next_seq = next_seq;
        appended
    }

    fn try_append(&mut self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let known = self.appenders.iter().position(|appender| appender.path() == path);
        let index = match known {
            Some(index) => index,
            None => {
                let appender = self.verified(path)?;
                self.appenders.push(appender);
                self.appenders.len() - 1
            }
        };
        self.appenders[index].append(self.state.disk(), bytes)
    }

    /// Makes sure that `path` ends with the complete line of a seal, or does not exist.
    fn verified(&mut self, path: &Path) -> Result<Appender, StoreError> {
        let Some(scan) = scan(path)? else {
            self.state.create_dir(&self.state.hourly_dir())?;
            return Ok(Appender::new(path.to_owned(), 0));
        };
        let end = scan.unsealed.unwrap_or(scan.length);
        if end < scan.length {
            self.cut(&Cut { path: path.to_owned(), bytes: end..scan.length })?;
        }
        Ok(Appender::new(path.to_owned(), end))
    }

    fn cut(&self, Cut { path, bytes }: &Cut) -> Result<std::path::PathBuf, StoreError> {
        let disk = self.state.disk();
        let kept = keep_torn(disk, path, bytes.clone())?;
        let mut handle = disk.open(path).map_err(StoreError::io("open", path))?;
        handle.truncate(bytes.start).map_err(StoreError::io("cut", path))?;
        tracing::warn!(path = %path.display(), bytes = bytes.end - bytes.start, kept = %kept.display(), "an unfinished bucket was cut");
        Ok(kept)
    }
}

#[cfg(test)]
mod tests;
