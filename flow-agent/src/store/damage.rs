//! Damaged parts of files by file and line, and copies of their bytes for a person to inspect.

use std::error::Error;
use std::fmt;
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Replacement};
use super::error::StoreError;
use crate::guarded::open_to_read;
use crate::ledger::block::{self, Span};

/// Lines that are ignored because they are damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub path: PathBuf,
    /// The number of the faulty line, from 1.
    pub line: u64,
    /// The number of lines that are lost with it, including itself.
    pub lines: u64,
    /// The time of the lost bucket, if its remains show it.
    pub span: Option<Span>,
    /// The reason with its causes.
    pub what: String,
}

impl Damage {
    /// The damage of a block in the file at `path`.
    pub fn of_block(path: &Path, damage: &block::BlockDamage) -> Self {
        let mut what = damage.fault.to_string();
        let mut cause = damage.fault.source();
        while let Some(error) = cause {
            what = format!("{what}: {error}");
            cause = error.source();
        }
        Self { path: path.to_owned(), line: damage.line, lines: damage.lines, span: damage.span, what }
    }
}

/// Writes `hourly/2026-10-05.jsonl:12: the seal's check does not hold (3 lines do not count)`.
impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.what)?;
        match self.lines {
            1 => Ok(()),
            lines => write!(f, " ({lines} lines do not count)"),
        }
    }
}

/// Durably copies the bytes of a torn tail to a new file beside `path`, `NAME.torn` (or `NAME.2.torn` and so on).
/// Returns its path.
///
/// # Errors
/// When the copy cannot be made. No partial copy is left.
pub fn keep_torn(disk: &dyn Disk, path: &Path, bytes: Range<u64>) -> Result<PathBuf, StoreError> {
    let aside = (1..)
        .map(|n| with_suffix(path, &if n == 1 { ".torn".into() } else { format!(".{n}.torn") }))
        .find(|aside| !aside.exists())
        .expect("there are fewer files than numbers");
    copy(disk, path, bytes, &aside)?;
    Ok(aside)
}

/// Durably copies damaged bytes from the middle of a file to `NAME.FROM-TO.damaged` beside it, unless that copy exists.
/// Returns its path.
///
/// # Errors
/// Like [`keep_torn`].
pub fn keep_damaged(disk: &dyn Disk, path: &Path, bytes: Range<u64>) -> Result<PathBuf, StoreError> {
    let aside = with_suffix(path, &format!(".{}-{}.damaged", bytes.start, bytes.end));
    if !aside.exists() {
        copy(disk, path, bytes, &aside)?;
    }
    Ok(aside)
}

fn copy(disk: &dyn Disk, path: &Path, bytes: Range<u64>, aside: &Path) -> Result<(), StoreError> {
    let copy = || -> io::Result<()> {
        let mut file = open_to_read(path)?;
        file.seek(SeekFrom::Start(bytes.start))?;
        let mut replacement = Replacement::begin(disk, aside)?;
        replacement.copy(&mut file, bytes.end.saturating_sub(bytes.start))?;
        replacement.commit()
    };
    copy().map_err(StoreError::io("write", aside))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
