//! The primitive operations behind every durable write, and the two compound operations that are made of them.
//!
//! After a power cut, the disk is only certain to have what was synced: a file's bytes by [`Handle::sync`] and its name
//! by [`Disk::sync_dir`]. Tests use a disk that fails or dies at any operation.

mod real;

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

pub use real::RealDisk;

/// Primitive operations on directories and names. Each may fail, and the process may die before any of them.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Creates a directory with mode 0750. Its parent must exist.
    ///
    /// # Errors
    /// Like mkdir(2); [`io::ErrorKind::AlreadyExists`] if something has that name.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Creates an empty file with mode 0640, opened for appending.
    ///
    /// # Errors
    /// Like open(2); [`io::ErrorKind::AlreadyExists`] if something has that name, including a dangling symlink.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Handle>>;

    /// Opens an existing regular file for appending. A symlink is not followed and a FIFO is not waited for: both are
    /// errors.
    ///
    /// # Errors
    /// Like open(2).
    fn open(&self, path: &Path) -> io::Result<Box<dyn Handle>>;

    /// Renames a file, and replaces whatever has the new name.
    ///
    /// # Errors
    /// Like rename(2).
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Like unlink(2).
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// Like fsync(2).
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// A file opened for appending.
pub trait Handle: Send {
    /// The length of the file in bytes.
    ///
    /// # Errors
    /// Like fstat(2).
    fn length(&self) -> io::Result<u64>;

    /// Writes all of `bytes` at the end of the file. After an error any part of them may have been written.
    ///
    /// # Errors
    /// Like write(2).
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes the bytes durable. After an error this file must not be synced again: the kernel may have dropped the
    /// bytes and would report success.
    ///
    /// # Errors
    /// Like fsync(2).
    fn sync(&mut self) -> io::Result<()>;

    /// Truncates the file to `len` bytes.
    ///
    /// # Errors
    /// Like ftruncate(2).
    fn truncate(&mut self, len: u64) -> io::Result<()>;
}

/// Durably creates `path` and every missing directory above it.
///
/// # Errors
/// The first error. Directories created before it are kept.
pub fn create_dirs(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent(path);
    create_dirs(disk, parent)?;
    match disk.create_dir(path) {
        // Another process was faster. If a file has that name, its next use as a directory will fail.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    disk.sync_dir(parent)
}

/// Replaces the file at `path` with `bytes`. Afterwards, and after a power cut at any moment, there is either the old
/// or the new file.
///
/// # Errors
/// When an operation fails. The old file is still there unless it was the last one (syncing the directory).
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut replacement = Replacement::begin(disk, path)?;
    replacement.write(bytes)?;
    replacement.commit()
}

/// A new file that is written beside the old one and then replaces it. If it is dropped without a commit, it is
/// removed.
pub struct Replacement<'disk> {
    disk: &'disk dyn Disk,
    path: PathBuf,
    aside: PathBuf,
    handle: Box<dyn Handle>,
    committed: bool,
}

impl<'disk> Replacement<'disk> {
    /// Creates a new file beside `path`, named `.NAME.new`. There must be only one writer at a time: the caller holds a
    /// lock.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn begin(disk: &'disk dyn Disk, path: &Path) -> io::Result<Self> {
        let name = path.file_name().expect("a file that is replaced has a name");
        let mut aside_name = std::ffi::OsString::from(".");
        aside_name.push(name);
        aside_name.push(".new");
        let aside = path.with_file_name(aside_name);
        let handle = match disk.create(&aside) {
            // A process that died has left it behind.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.remove(&aside)?;
                disk.create(&aside)?
            }
            other => other?,
        };
        Ok(Self { disk, path: path.to_owned(), aside, handle, committed: false })
    }

    /// Appends `bytes` to the new file.
    ///
    /// # Errors
    /// Like write(2).
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.handle.append(bytes)
    }

    /// Appends exactly `len` bytes of `from`, starting at its current position.
    ///
    /// # Errors
    /// Like read(2) and write(2); [`io::ErrorKind::UnexpectedEof`] if `from` has fewer bytes.
    pub fn copy(&mut self, from: &mut File, len: u64) -> io::Result<()> {
        let copied = io::copy(&mut from.take(len), &mut Appending(self.handle.as_mut()))?;
        if copied == len { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Makes the new file durable and replaces the old file with it.
    ///
    /// # Errors
    /// When an operation fails. The old file is still there unless it was the last one (syncing the directory).
    pub fn commit(mut self) -> io::Result<()> {
        self.handle.sync()?;
        self.disk.rename(&self.aside, &self.path)?;
        self.committed = true;
        self.disk.sync_dir(parent(&self.path))
    }
}

impl Write for Replacement<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.handle.append(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        if !self.committed
            && let Err(error) = self.disk.remove(&self.aside)
        {
            tracing::debug!(
                path = %self.aside.display(), %error,
                "failed to remove an unfinished file; the next write replaces it"
            );
        }
    }
}

struct Appending<'handle>(&'handle mut dyn Handle);

impl Write for Appending<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether both have the same content.
///
/// # Errors
/// Like read(2).
pub fn same_bytes(left: impl Read, right: impl Read) -> io::Result<bool> {
    const CHUNK_BYTES: usize = 64 << 10;
    let mut left = BufReader::with_capacity(CHUNK_BYTES, left);
    let mut right = BufReader::with_capacity(CHUNK_BYTES, right);
    loop {
        let (one, other) = (left.fill_buf()?, right.fill_buf()?);
        let common = one.len().min(other.len());
        if one[..common] != other[..common] {
            return Ok(false);
        }
        if common == 0 {
            return Ok(one.is_empty() && other.is_empty());
        }
        left.consume(common);
        right.consume(common);
    }
}

/// The directory of `path`. For a bare file name, the current directory.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
