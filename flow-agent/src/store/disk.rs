//! The primitive operations behind every durable write, and the two compound operations that are made of them.
//!
//! After a power cut, the disk is only certain to have what was synced: a file's bytes by [`Handle::sync`] and its name
//! by [`Disk::sync_dir`]. Tests use a disk that fails or dies at any operation.

mod real;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

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

    /// Opens an existing regular file that another program has made, and gives it the mode of [`Disk::create`].
    ///
    /// # Errors
    /// Like [`Disk::open`] and chmod(2).
    fn adopt(&self, path: &Path) -> io::Result<Box<dyn Handle>>;

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

/// Durably creates all of `paths`, with one sync for each directory in which something was created.
///
/// # Errors
/// The first error. Directories created before it are kept.
pub fn create_all_dirs(disk: &dyn Disk, paths: &BTreeSet<PathBuf>) -> io::Result<()> {
    let mut changed = BTreeSet::new();
    for path in paths {
        create_unsynced(disk, path, &mut changed)?;
    }
    sync_dirs(disk, &changed)
}

fn create_unsynced(disk: &dyn Disk, path: &Path, changed: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent(path);
    create_unsynced(disk, parent, changed)?;
    match disk.create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other?,
    }
    changed.insert(parent.to_owned());
    Ok(())
}

/// Makes the names in all of these directories durable.
///
/// # Errors
/// Like fsync(2).
pub fn sync_dirs(disk: &dyn Disk, dirs: &BTreeSet<PathBuf>) -> io::Result<()> {
    many_at_once(dirs, |dir| disk.sync_dir(dir))
}

/// Does `work` for all of `items`, which mostly waits for a disk. A disk writes what many threads ask it to make durable
/// in one go: with 16 of them, an fsync takes a tenth of its time.
///
/// # Errors
/// The error of the first item that has one. The work of others is done nevertheless, or not begun.
pub fn many_at_once<T: Sync, E: Send>(
    items: impl IntoIterator<Item = T>,
    work: impl Fn(&T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    const THREADS: usize = 16;
    /// A thread is not worth starting for fewer.
    const EACH: usize = 8;
    let items: Vec<T> = items.into_iter().collect();
    let threads = (items.len() / EACH).min(THREADS);
    if threads < 2 {
        return items.iter().try_for_each(work);
    }
    let next = AtomicUsize::new(0);
    let mut failed = thread::scope(|scope| {
        let worker = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let error = work(items.get(at)?).err();
                if let Some(error) = error {
                    // The others stop as well.
                    next.store(items.len(), Ordering::Relaxed);
                    return Some((at, error));
                }
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let joined = workers.into_iter().map(|worker| worker.join().expect("the work does not panic"));
        joined.flatten().collect::<Vec<_>>()
    });
    failed.sort_by_key(|(at, _)| *at);
    failed.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
}

/// Replaces the file at `path` with `bytes`. Afterwards, and after a power cut at any moment, there is either the old
/// or the new file.
///
/// # Errors
/// When an operation fails. The old file is still there unless it was the last one (syncing the directory).
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_unsynced(disk, path, bytes)?;
    disk.sync_dir(parent(path))
}

/// The same, except that the new name is durable only after a sync of its directory.
///
/// # Errors
/// When an operation fails. The old file is still there.
pub fn replace_unsynced(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut replacement = Replacement::begin(disk, path)?;
    replacement.write(bytes)?;
    replacement.put_in_place()
}

/// Replaces a file that may be lost, and whose readers notice if it is not whole: nothing is synced.
///
/// # Errors
/// When an operation fails. The old file is still there.
pub fn replace_without_sync(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut replacement = Replacement::begin(disk, path)?;
    replacement.write(bytes)?;
    disk.rename(&replacement.aside, path)?;
    replacement.committed = true;
    Ok(())
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
        const CHUNK_BYTES: u64 = 1 << 20;
        let mut chunk = vec![0; usize::try_from(len.min(CHUNK_BYTES)).expect("at most a mebibyte")];
        let mut left = len;
        while left > 0 {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
            from.read_exact(&mut chunk[..part])?;
            self.handle.append(&chunk[..part])?;
            left -= part as u64;
        }
        Ok(())
    }

    /// Makes the new file durable and replaces the old file with it.
    ///
    /// # Errors
    /// When an operation fails. The old file is still there unless it was the last one (syncing the directory).
    pub fn commit(self) -> io::Result<()> {
        let (disk, path) = (self.disk, self.path.clone());
        self.put_in_place()?;
        disk.sync_dir(parent(&path))
    }

    /// The same, except that the new name is durable only after a sync of its directory.
    fn put_in_place(mut self) -> io::Result<()> {
        self.handle.sync()?;
        self.disk.rename(&self.aside, &self.path)?;
        self.committed = true;
        Ok(())
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
