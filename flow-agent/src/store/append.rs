//! A file that only grows, and what to do when growing fails: what was there stays, what failed leaves no trace.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{self, Disk, Replacement};
use super::error::StoreError;
use crate::guarded::open_to_read;

/// Appends whole pieces to one file. The file is opened anew for every piece: a file that was moved away or edited
/// meanwhile is noticed instead of written to.
#[derive(Debug)]
pub struct Appender {
    path: PathBuf,
    /// How many bytes are known to be whole.
    good: u64,
    /// A write failed: bytes after `good` are ours, and rubbish.
    rubbish: bool,
    /// A sync failed: the kernel may have dropped bytes of this file and would not tell again. It is written anew.
    poisoned: bool,
    /// The file's name is on disk.
    named: bool,
}

impl Appender {
    /// Goes on after the first `good` bytes of `path`, which are whole. The file need not exist.
    pub fn new(path: PathBuf, good: u64) -> Self {
        Self { path, good, rubbish: false, poisoned: false, named: false }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether something failed here that the next piece must make up for.
    pub fn is_hurt(&self) -> bool {
        self.rubbish || self.poisoned
    }

    /// Appends `bytes` and waits until they, and the file's name, are on disk.
    ///
    /// # Errors
    /// The file is then as before, or will be cut to that before the next piece: the same bytes may be tried again.
    /// [`StoreError::Changed`] when it is not as long as it was left; nothing was written.
    pub fn append(&mut self, disk: &dyn Disk, bytes: &[u8]) -> Result<(), StoreError> {
        if self.poisoned {
            return self.rewrite(disk, bytes);
        }
        let mut handle = self.open(disk)?;
        self.rubbish = true;
        if let Err(source) = handle.append(bytes) {
            // Where even the cut fails, it is made up for before the next piece.
            self.rubbish = handle.truncate(self.good).is_err();
            return Err(StoreError::io("append to", &self.path)(source));
        }
        if let Err(error) = handle.sync() {
            tracing::error!(path = %self.path.display(), %error, "the disk refused to keep what was written: the file is written anew");
            self.poisoned = true;
            // So that a reader does not take for sealed what may not be there tomorrow; best effort.
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

    /// Waits until what is there is on disk, for a file that another process may have left unsynced.
    ///
    /// # Errors
    /// When neither the file can be synced nor a new one be written in its place.
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
        let found = handle.length().map_err(StoreError::io("look at", &self.path))?;
        if found > self.good && self.rubbish {
            handle.truncate(self.good).map_err(StoreError::io("cut", &self.path))?;
        } else if found != self.good {
            return Err(StoreError::Changed { path: self.path.clone(), expected: self.good, found });
        }
        self.rubbish = false;
        Ok(handle)
    }

    /// Puts a new file with the good bytes and `bytes` in the place of the old.
    fn rewrite(&mut self, disk: &dyn Disk, bytes: &[u8]) -> Result<(), StoreError> {
        let io = || StoreError::io("write anew", &self.path);
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
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::crash_disk::{CrashDisk, Fault};
    use crate::testing::fixtures;

    /// A file of `one\n`, and what appends to it.
    fn begun() -> (tempfile::TempDir, CrashDisk, Appender) {
        let dir = fixtures::dir();
        let path = dir.path().join("log");
        fs::write(&path, "one\n").unwrap();
        let disk = CrashDisk::new(dir.path());
        (dir, disk, Appender::new(path, 4))
    }

    // The operations of an append: 0 open, 1 write, 2 sync, 3 sync the directory (once), or where one of them fails, what
    // mends it.

    #[test]
    fn a_write_that_fails_leaves_no_trace() {
        for fault in [Fault::Io, Fault::Full] {
            let (_dir, disk, mut appender) = begun();
            disk.plan(1, fault);
            appender.append(&disk, b"two\n").unwrap_err();
            assert_eq!(fs::read(appender.path()).unwrap(), b"one\n", "{fault:?}");
            disk.heal();
            appender.append(&disk, b"three\n").unwrap();
            assert_eq!(fs::read(appender.path()).unwrap(), b"one\nthree\n");
        }
    }

    #[test]
    fn a_cut_that_fails_as_well_is_made_up_for_by_the_next_piece() {
        let (_dir, disk, mut appender) = begun();
        disk.plan(1, Fault::Full);
        disk.plan_also(0, Fault::Io);
        appender.append(&disk, b"two\n").unwrap_err();
        assert_eq!(fs::read(appender.path()).unwrap(), b"one\ntw");
        assert!(appender.is_hurt());
        disk.heal();
        appender.append(&disk, b"three\n").unwrap();
        assert_eq!(fs::read(appender.path()).unwrap(), b"one\nthree\n");
        assert!(!appender.is_hurt());
    }

    #[test]
    fn what_was_not_synced_is_not_shown_to_a_reader() {
        // The sync fails, the cut works, and there is no space for a new file.
        let (_dir, disk, mut appender) = begun();
        disk.plan(2, Fault::Io);
        disk.plan_also(1, Fault::Full);
        assert!(appender.append(&disk, b"two\n").unwrap_err().is_full());
        assert_eq!(fs::read(appender.path()).unwrap(), b"one\n");
        disk.heal();
        appender.append(&disk, b"three\n").unwrap();
        assert_eq!(fs::read(appender.path()).unwrap(), b"one\nthree\n");
    }

    #[test]
    fn a_name_that_was_not_synced_takes_its_bytes_back() {
        let (_dir, disk, mut appender) = begun();
        disk.plan(3, Fault::Io);
        appender.append(&disk, b"two\n").unwrap_err();
        assert_eq!(fs::read(appender.path()).unwrap(), b"one\n");
        appender.append(&disk, b"three\n").unwrap();
        assert_eq!(fs::read(appender.path()).unwrap(), b"one\nthree\n");
    }

    #[test]
    fn a_file_that_others_cut_or_removed_is_not_written_to() {
        let (_dir, disk, mut appender) = begun();
        fs::write(appender.path(), "on").unwrap();
        let refused = appender.append(&disk, b"two\n").unwrap_err();
        assert!(matches!(refused, StoreError::Changed { expected: 4, found: 2, .. }), "{refused}");
        fs::remove_file(appender.path()).unwrap();
        let refused = appender.append(&disk, b"two\n").unwrap_err();
        assert!(matches!(refused, StoreError::Changed { expected: 4, found: 0, .. }), "{refused}");
        assert!(!appender.path().exists());
    }
}
