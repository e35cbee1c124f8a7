//! EDGE files: opens files that others may have put in place, without following a symlink or waiting for a FIFO.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

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
