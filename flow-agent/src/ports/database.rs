//! EDGE files: reads a panel's SQLite database without ever blocking the panel.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime};

use std::os::unix::fs::MetadataExt as _;

use rusqlite::{Connection, OpenFlags};

use super::content::{MAX_BYTES, PortFileContent, Problem, TRANSACTION_LIMIT, content};
use super::formats::FormatError;
use super::formats::sqlite::{self, PanelTables};

const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// Returns what `tables` finds in the database at `path`.
///
/// A database without an open transaction consists of one file, which is read as it is, without a lock, so the panel
/// never waits. If there is a write-ahead log, SQLite must read both, but then readers do not block a writer. The
/// connection is not kept: while one is open, the log is not deleted when the panel ends, and `PRAGMA data_version`
/// would show no more than the times and sizes of the files, which are watched anyway.
pub fn read(path: &Path, tables: &dyn PanelTables) -> Result<PortFileContent, Problem> {
    let (log, journal) = (beside(path, "-wal"), beside(path, "-journal"));
    for _ in 0..TRANSACTION_LIMIT.as_millis() / BETWEEN_TRIES.as_millis() {
        if length(&log)? > 0 {
            let modified_at = modified_at(path).max(modified_at(&log));
            return Ok(PortFileContent { listed: with_log(path, tables)?, modified_at });
        }
        if !is_hot(&journal)? {
            let before = stamp(path)?;
            let bytes = content(path, &mut MAX_BYTES.clone())?;
            if length(&log)? == 0 && !is_hot(&journal)? && stamp(path)? == before {
                return Ok(PortFileContent { listed: sqlite::parse(&bytes, tables)?, modified_at: modified_at(path) });
            }
        }
        thread::sleep(BETWEEN_TRIES);
    }
    Err(Problem::Busy)
}

/// The path of a file that SQLite keeps beside a database.
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

fn with_log(path: &Path, tables: &dyn PanelTables) -> Result<super::Listed, FormatError> {
    let mut database =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    database.busy_timeout(TRANSACTION_LIMIT)?;
    sqlite::query(&mut database, tables)
}

/// The length of a file; zero if it does not exist.
fn length(path: &Path) -> Result<u64, Problem> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Whether a rollback journal holds what an open transaction overwrites. After a transaction the journal is gone,
/// empty, or begins with zeros, depending on the journal mode.
fn is_hot(journal: &Path) -> Result<bool, Problem> {
    let mut begin = [0; 8];
    match File::open(journal).and_then(|mut file| file.read(&mut begin)) {
        Ok(_) => Ok(begin != [0; 8]),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn modified_at(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn stamp(path: &Path) -> Result<[i64; 6], Problem> {
    let file = std::fs::metadata(path)?;
    let (inode, length) = (file.ino().cast_signed(), file.size().cast_signed());
    Ok([inode, length, file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()])
}

#[cfg(test)]
mod tests;
