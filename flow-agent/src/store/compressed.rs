//! Compressed files of the hourly log: `2026-10-05.jsonl.zst` is a file of one zstd frame (RFC 8878) whose content is
//! that of `2026-10-05.jsonl`.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use super::disk::{Disk, Replacement};
use crate::guarded::open_to_read;

/// The extension of compressed files.
pub const EXTENSION: &str = "zst";

/// The compression level. A higher level gains little on these files and takes several times the time and memory.
const LEVEL: i32 = 6;

/// The content of a file, compressed or not.
pub enum FileContent {
    Plain(File),
    Compressed(Box<zstd::Decoder<'static, BufReader<File>>>),
}

/// Opens a file to read its content. Only its name decides whether it is compressed: the content of a file from another
/// machine is never tested for a compressed frame, which could expand to any size.
///
/// # Errors
/// Like open(2); also when it is not a regular file.
pub fn open(path: &Path) -> io::Result<FileContent> {
    let file = open_to_read(path)?;
    Ok(match path.extension().is_some_and(|extension| extension == EXTENSION) {
        false => FileContent::Plain(file),
        true => FileContent::Compressed(Box::new(zstd::Decoder::new(file)?)),
    })
}

impl FileContent {
    /// Skips to `offset` in a plain file that is long enough, and otherwise stays at the beginning. Returns the new
    /// position.
    ///
    /// # Errors
    /// When the file's length cannot be read, or seeking fails.
    pub fn skip_to(&mut self, offset: u64) -> io::Result<u64> {
        match self {
            Self::Plain(file) if offset <= file.metadata()?.len() => file.seek(SeekFrom::Start(offset)),
            Self::Plain(_) | Self::Compressed(_) => Ok(0),
        }
    }

    /// Whether reading failed because a compressed file is damaged, and not because the system refused.
    pub fn is_damaged(&self, error: &io::Error) -> bool {
        matches!(self, Self::Compressed(_)) && error.raw_os_error().is_none()
    }
}

impl Read for FileContent {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Compressed(decoder) => decoder.read(buffer),
        }
    }
}

impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Compressed(_) => "Compressed",
        })
    }
}

/// Atomically and durably writes everything from `content` to the compressed file `path`. Returns the number of bytes
/// read.
///
/// # Errors
/// When reading or writing fails. `path` is unchanged then.
pub fn write(disk: &dyn Disk, path: &Path, mut content: impl Read) -> io::Result<u64> {
    let mut replacement = Replacement::begin(disk, path)?;
    let mut encoder = zstd::Encoder::new(&mut replacement, LEVEL)?;
    encoder.include_checksum(true)?;
    let length = io::copy(&mut content, &mut encoder)?;
    encoder.finish()?;
    replacement.commit()?;
    Ok(length)
}
