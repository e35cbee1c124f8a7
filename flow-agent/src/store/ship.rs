//! `ship/ship.json`: how much of the hourly log ClickHouse has acknowledged.
//!
//! It has a directory of its own, because the process that sends may not write anything else.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use chrono::{DateTime, FixedOffset, NaiveDate};
use serde::{Deserialize, Serialize};

use super::document;
use super::error::StoreError;
use super::hours;
use super::layout::StateDir;
use super::lock::ShipLock;
use crate::ledger::record::{VERSION, optional_stamp};

/// The revision of a bucket that is sent for the first time.
pub const FIRST_REVISION: u64 = 1;

/// What has been acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShipState {
    pub v: u32,
    /// The file, number and revision of the bucket that was acknowledged last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<NaiveDate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<u64>,
    /// The end of the newest bucket that was acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_stamp")]
    pub newest: Option<DateTime<FixedOffset>>,
    /// The state of each day of the hourly log.
    #[serde(default)]
    pub files: BTreeMap<NaiveDate, ShippedFile>,
}

/// How much of one day of the hourly log has been acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShippedFile {
    /// The number of acknowledged buckets, counted from the beginning.
    pub buckets: u64,
    /// A chained digest: the SHA-256 of the digest of all earlier buckets and of the seal of the last acknowledged one.
    /// It shows whether an acknowledged bucket has changed since.
    pub digest: String,
    /// The revision under which the buckets of this day are sent.
    pub rev: u64,
    /// How many of these buckets ClickHouse cannot store and does not have.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refused: u64,
    /// The versions of the day's files at the time when all of its buckets had been acknowledged. While they stay the
    /// same, the files are not read again. Empty as long as buckets are left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub complete: Vec<FileVersion>,
}

impl Default for ShippedFile {
    fn default() -> Self {
        Self { buckets: 0, digest: String::new(), rev: FIRST_REVISION, refused: 0, complete: Vec::new() }
    }
}

/// The metadata by which a change of a file is detected without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileVersion {
    pub bytes: u64,
    pub inode: u64,
    /// The time of the last modification, in nanoseconds since 1970.
    pub modified_ns: i64,
}

impl Default for ShipState {
    fn default() -> Self {
        Self { v: VERSION, file: None, seq: None, rev: None, newest: None, files: BTreeMap::new() }
    }
}

/// The state that was stored last; the default if there is none.
///
/// # Errors
/// [`StoreError::Damaged`] if the file cannot be trusted; [`StoreError::Io`].
pub fn read(state: &StateDir) -> Result<ShipState, StoreError> {
    Ok(document::read(&state.ship())?.unwrap_or_default())
}

/// Durably replaces the stored state.
///
/// # Errors
/// When the file cannot be replaced. The former one may still be there.
pub fn write(lock: &ShipLock, shipped: &ShipState) -> Result<(), StoreError> {
    let state = lock.state();
    document::write(state.disk(), &state.ship(), shipped)
}

/// The versions of a day's files in the hourly log, in the order in which the files are read. Empty if there are none.
///
/// # Errors
/// When a file cannot be examined.
pub fn versions(state: &StateDir, date: NaiveDate) -> Result<Vec<FileVersion>, StoreError> {
    let mut versions = Vec::new();
    for path in hours::files(state, date) {
        match fs::symlink_metadata(&path) {
            Ok(found) => versions.push(FileVersion {
                bytes: found.len(),
                inode: found.ino(),
                modified_ns: found.mtime().saturating_mul(1_000_000_000).saturating_add(found.mtime_nsec()),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(StoreError::io("inspect", &path)(source)),
        }
    }
    Ok(versions)
}

/// The first day of the hourly log that is not known to be acknowledged completely, or of which ClickHouse cannot store a
/// bucket; `None` if there is none.
///
/// # Errors
/// When the log or the state cannot be read.
pub fn unsent_from(state: &StateDir) -> Result<Option<NaiveDate>, StoreError> {
    let shipped = read(state)?;
    for date in hours::dates(state)? {
        let versions = versions(state, date)?;
        if shipped.files.get(&date).is_none_or(|file| file.refused > 0 || file.complete != versions) {
            return Ok(Some(date));
        }
    }
    Ok(None)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
