//! EDGE files: opens files that others may have put in place, without following a symlink or waiting for a FIFO.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

/// The flags for this, for [`OpenOptionsExt::custom_flags`](std::os::unix::fs::OpenOptionsExt::custom_flags).
pub fn flags() -> i32 {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    i32::try_from(flags.bits()).expect("the kernel takes these flags as an int")
}

/// Opens a regular file for reading.
///
/// # Errors
/// As for open(2); [`io::ErrorKind::InvalidInput`] if it is not a regular file.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().read(true).custom_flags(flags()).open(path)?)
}

/// Returns the file if it is a regular one.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if it is not.
pub fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// What tells whether a file is still the one that it was: the file itself, its size, and when it was changed. The kernel
/// sets the time of the last change; no program can set it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    /// Seconds since 1970, and nanoseconds.
    pub modified: (i64, i64),
    /// The same for the last change of the file or of what is known about it.
    pub changed: (i64, i64),
}

impl FileIdentity {
    /// That of the file of this metadata.
    pub fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }

    /// That of the file at `path`; `None` if there is no regular file.
    pub fn at(path: &Path) -> Option<Self> {
        path.symlink_metadata().ok().filter(Metadata::is_file).map(|file| Self::of(&file))
    }

    /// Whether it had not been changed for two seconds at `now`, so that every later change shows: within a tick of its
    /// clock, the kernel gives changes the same time.
    pub fn was_settled(&self, now: (i64, i64)) -> bool {
        self.changed.0 + 2 <= now.0
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
