//! What a reader could not use, by file and line, and how it is kept for a person to look at.

use std::fmt;
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::disk::{Disk, Replacement, open_to_read};
use super::error::StoreError;

/// Lines that do not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub path: PathBuf,
    /// From 1.
    pub first_line: u64,
    pub last_line: u64,
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.first_line)?;
        if self.last_line > self.first_line {
            write!(f, "-{}", self.last_line)?;
        }
        write!(f, ": {}", self.what)
    }
}

/// Copies bytes `from..to` of `path` to a file beside it, `NAME.torn` (or `NAME.2.torn` and so on), durably.
///
/// # Errors
/// When the copy cannot be made; nothing is left of it then.
pub fn set_aside(disk: &dyn Disk, path: &Path, from: u64, to: u64) -> Result<PathBuf, StoreError> {
    let aside = (1..)
        .map(|n| with_suffix(path, &if n == 1 { ".torn".into() } else { format!(".{n}.torn") }))
        .find(|aside| !aside.exists())
        .expect("there are fewer files than numbers");
    let copy = || -> io::Result<()> {
        let mut file = open_to_read(path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut replacement = Replacement::begin(disk, &aside)?;
        replacement.copy(&mut file, to.saturating_sub(from))?;
        replacement.commit()
    };
    copy().map_err(StoreError::io("write", &aside))?;
    Ok(aside)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
