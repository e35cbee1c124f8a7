//! EDGE files: the content of a port file, or the reason why it cannot be used.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Listed;
use super::formats::FormatError;
use super::settle::SETTLED_AFTER;
use crate::ledger::units::count;

/// Far more than 65,535 users take up.
pub const MAX_BYTES: u64 = 64 << 20;

/// A folder of configurations has at most a few dozen files.
pub const MAX_FILES: usize = 1_000;

/// How long reading and parsing a file may take. Counting continues meanwhile, but nothing else does.
pub const TIME_LIMIT: Duration = Duration::from_secs(5);

/// How long to wait for a transaction of a panel that is writing its database.
#[cfg(feature = "sqlite")]
pub const TRANSACTION_LIMIT: Duration = Duration::from_millis(2_000);

/// What is wrong with a port file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Reading a pipe would block.
    #[error("not a regular file")]
    NotAFile,
    #[error("a folder, and this format is a single file")]
    Folder,
    #[error("no file in this folder ends in {}", endings(expected))]
    EmptyFolder { expected: &'static [&'static str] },
    #[error("more than {MAX_FILES} files")]
    TooMany,
    #[error("larger than {} MiB", MAX_BYTES >> 20)]
    TooLarge,
    #[error("reading it takes longer than {} s", TIME_LIMIT.as_secs())]
    TooSlow,
    /// A bug of ours, which is no reason to stop counting.
    #[error("its reader panicked: please report this, with the file if you can")]
    Panicked,
    #[error("it lists {after} instead of {}: it will be used if it stays so for {} s", count(*before, "port"), SETTLED_AFTER.as_secs())]
    Shrunk { before: usize, after: usize },
    #[cfg(feature = "sqlite")]
    #[error("a transaction has been open for {} ms", TRANSACTION_LIMIT.as_millis())]
    Busy,
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error("`{}`", file.display())]
    Part {
        file: PathBuf,
        #[source]
        source: FormatError,
    },
}

fn endings(expected: &[&str]) -> String {
    expected
        .iter()
        .filter(|ending| !ending.is_empty())
        .map(|ending| format!(".{ending}"))
        .collect::<Vec<_>>()
        .join(" or ")
}

/// The present content of a port file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortFileContent {
    pub listed: Listed,
    /// When it was last changed, if the file system knows.
    pub modified_at: Option<SystemTime>,
}

/// The content of a file. `left` is how many bytes may still be read, over all files of a folder.
pub fn content(path: &Path, left: &mut u64) -> Result<Vec<u8>, Problem> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(Problem::NotAFile);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(*left + 1).read_to_end(&mut bytes)?;
    *left = left.checked_sub(bytes.len() as u64).ok_or(Problem::TooLarge)?;
    Ok(bytes)
}
