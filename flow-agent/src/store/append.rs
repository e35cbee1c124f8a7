//! A file that only grows. If appending fails, the earlier content stays and the failed attempt leaves no trace.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{self, Disk, Replacement};
use super::error::StoreError;
use crate::guarded::open_to_read;

/// Appends complete pieces to one file. The file is opened again for every piece, so that a file which was moved away
/// or edited meanwhile is detected instead of written to.
#[derive(Debug)]
pub struct Appender {
    path: PathBuf,
    /// The number of bytes at the beginning of the file that are known to be complete.
    good: u64,
    /// A write failed: the bytes after `good` are ours and have to be cut off.
    rubbish: bool,
    /// A sync failed: the kernel may have dropped bytes of this file and would not report it again, so the file is
    /// rewritten.
    poisoned: bool,
    /// The file's name is durable.
    named: bool,
}

impl Appender {
    /// Continues after the first `good` bytes of `path`, which are complete. The file need not exist.
    pub fn new(path: PathBuf, good: u64) -> Self {
        Self { path, good, rubbish: false, poisoned: false, named: false }
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether an earlier failure has to be repaired before the next piece.
    pub fn is_hurt(&self) -> bool {
        self.rubbish || self.poisoned
    }

    /// Appends `bytes` and waits until they and the file's name are on disk.
    ///
    /// # Errors
    /// The file is as before, or will be restored to that before the next piece, so the same bytes may be tried again.
    /// [`StoreError::Changed`] if the file does not have the length with which it was left; nothing was written then.
    pub fn append(&mut self, disk: &dyn Disk, bytes: &[u8]) -> Result<(), StoreError> {
        if self.poisoned {
            return self.rewrite(disk, bytes);
        }
        let mut handle = self.open(disk)?;
        self.rubbish = true;
        if let Err(source) = handle.append(bytes) {
            // If the truncation fails too, it is repeated before the next piece.
            self.rubbish = handle.truncate(self.good).is_err();
            return Err(StoreError::io("append to", &self.path)(source));
        }
        if let Err(error) = handle.sync() {
            tracing::error!(
                path = %self.path.display(), %error,
                "the disk failed to keep what was written: rewriting the file"
            );
            self.poisoned = true;
            // A reader should not see as sealed what may be gone tomorrow. This may fail too; it is only an attempt.
            self.rubbish = handle.truncate(self.good).is_err();
            drop(handle);
            return self.rewrite(disk, bytes);
        }
        if !self.named {
            if let Err(source) = disk.sync_dir(disk::parent(&self.path)) {
                self.rubbish = handle.truncate(self.good).is_err();
                return Err(StoreError::io("sync the directory of", &self.path)(source));
            }
            self.named = true;
        }
        self.rubbish = false;
        self.good += bytes.len() as u64;
        Ok(())
    }

    /// Waits until the present content is on disk. Needed if another process may have left the file unsynced.
    ///
    /// # Errors
    /// When neither the file can be synced nor a new one can be written in its place.
    pub fn settle(&mut self, disk: &dyn Disk) -> Result<(), StoreError> {
        let mut handle = self.open(disk)?;
        if handle.sync().is_err() {
            self.poisoned = true;
            drop(handle);
            return self.rewrite(disk, &[]);
        }
        disk.sync_dir(disk::parent(&self.path)).map_err(StoreError::io("sync the directory of", &self.path))?;
        self.named = true;
        Ok(())
    }

    fn open(&mut self, disk: &dyn Disk) -> Result<Box<dyn disk::Handle>, StoreError> {
        let opened = match disk.open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.good == 0 => {
                self.named = false;
                disk.create(&self.path)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StoreError::Changed { path: self.path.clone(), expected: self.good, found: 0 });
            }
            other => other,
        };
        let mut handle = opened.map_err(StoreError::io("open", &self.path))?;
        let found = handle.length().map_err(StoreError::io("inspect", &self.path))?;
        if found > self.good && self.rubbish {
            handle.truncate(self.good).map_err(StoreError::io("cut", &self.path))?;
        } else if found != self.good {
            return Err(StoreError::Changed { path: self.path.clone(), expected: self.good, found });
        }
        self.rubbish = false;
        Ok(handle)
    }

    /// Replaces the file with a new one that contains the good bytes and `bytes`.
    fn rewrite(&mut self, disk: &dyn Disk, bytes: &[u8]) -> Result<(), StoreError> {
        let io = || StoreError::io("rewrite", &self.path);
        let changed = |found| StoreError::Changed { path: self.path.clone(), expected: self.good, found };
        let mut old = match open_to_read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(changed(0)),
            other => other.map_err(io())?,
        };
        let found = old.metadata().map_err(io())?.len();
        if found < self.good {
            return Err(changed(found));
        }
        let mut fresh = || -> io::Result<()> {
            let mut replacement = Replacement::begin(disk, &self.path)?;
            replacement.copy(&mut old, self.good)?;
            replacement.write(bytes)?;
            replacement.commit()
        };
        fresh().map_err(io())?;
        self.good += bytes.len() as u64;
        (self.poisoned, self.rubbish, self.named) = (false, false, true);
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
