//! Compressed files of the hourly log: `2026-10-05.jsonl.zst` is a file of one zstd frame (RFC 8878) whose content is
//! that of `2026-10-05.jsonl`.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use super::disk::{Disk, Replacement};
use crate::guarded::open_to_read;

/// How the names of compressed files end.
pub const EXTENSION: &str = "zst";

/// The compressor's effort. A higher level gains little on these files, and takes several times the time and memory.
const LEVEL: i32 = 6;

/// The content of a file, compressed or not.
pub enum FileContent {
    Plain(File),
    Compressed(Box<zstd::Decoder<'static, BufReader<File>>>),
}

/// Opens a file for reading its content. It is compressed if its name says so: the content of a file that comes from
/// another machine is never searched for a frame, which could expand to any size.
///
/// # Errors
/// As open(2), and when it is not a regular file.
pub fn open(path: &Path) -> io::Result<FileContent> {
    let file = open_to_read(path)?;
    Ok(match path.extension().is_some_and(|extension| extension == EXTENSION) {
        false => FileContent::Plain(file),
        true => FileContent::Compressed(Box::new(zstd::Decoder::new(file)?)),
    })
}

impl FileContent {
    /// Goes on at `offset` of a plain file that is so long; else at the beginning. Where that is.
    ///
    /// # Errors
    /// When the file cannot be asked.
    pub fn skip_to(&mut self, offset: u64) -> io::Result<u64> {
        match self {
            Self::Plain(file) if offset <= file.metadata()?.len() => file.seek(SeekFrom::Start(offset)),
            Self::Plain(_) | Self::Compressed(_) => Ok(0),
        }
    }

    /// Whether reading failed because of the bytes of a compressed file, and not because the system refused.
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

/// Writes all that `content` gives into the compressed file `path`, durably and at once. Returns the number of bytes read.
///
/// # Errors
/// When reading or writing fails; `path` is then as before.
pub fn write(disk: &dyn Disk, path: &Path, mut content: impl Read) -> io::Result<u64> {
    let mut replacement = Replacement::begin(disk, path)?;
    let mut encoder = zstd::Encoder::new(&mut replacement, LEVEL)?;
    encoder.include_checksum(true)?;
    let length = io::copy(&mut content, &mut encoder)?;
    encoder.finish()?;
    replacement.commit()?;
    Ok(length)
}
