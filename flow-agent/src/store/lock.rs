//! Locks that give the right to write: one for each group of files, each with a type of its own.
//!
//! The locks are kernel locks (`flock`), so they are released when a process dies.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt};
use std::path::Path;

use super::disk;
use super::error::StoreError;
use super::layout::StateDir;
use crate::guarded;
use crate::holder::LockWait;

macro_rules! lock {
    ($(#[$doc:meta])* $name:ident, $file:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            state: StateDir,
            /// Open as long as the lock is held.
            file: File,
        }

        impl $name {
            pub(super) fn take(state: &StateDir) -> Result<Self, StoreError> {
                let path = state.root().join($file);
                state.create_dir(disk::parent(&path))?;
                Ok(Self { file: take(&path)?, state: state.clone() })
            }

            /// Whether the lock file that is held is still the one in the directory. It is not if the directory was
            /// moved, replaced or unmounted.
            ///
            /// # Errors
            /// When the lock file cannot be examined.
            pub fn is_in_place(&self) -> Result<bool, StoreError> {
                is_same(&self.file, &self.state.root().join($file))
            }

            /// Takes the lock in the directory that is there now, and releases the former one.
            ///
            /// # Errors
            /// The same as when it was first taken. The former lock is still held then.
            pub fn take_again(&mut self) -> Result<(), StoreError> {
                *self = Self::take(&self.state)?;
                Ok(())
            }

            /// The directory to which this lock gives the right to write.
            pub fn state(&self) -> &StateDir {
                &self.state
            }
        }
    };
}

lock! {
    /// `run.lock`: the right to write the hourly log, the checkpoint, the port list, and the instance.
    RunLock, "run.lock"
}

lock! {
    /// `daily.lock`: the right to write `daily/`.
    DailyLock, "daily.lock"
}

lock! {
    /// `report.lock`: the right to write `monthly/`, `nodes/`, `reports/`, and `sent.jsonl`.
    ReportLock, "report.lock"
}

lock! {
    /// `grants.lock`: the right to write `grants.jsonl`.
    GrantsLock, "grants.lock"
}

lock! {
    /// `notices.lock`: the right to write `notices.jsonl`, and to send notices.
    NoticesLock, "notices.lock"
}

lock! {
    /// `ship/ship.lock`: the right to send to ClickHouse and to write `ship/`.
    ShipLock, "ship/ship.lock"
}

impl StateDir {
    /// Takes `run.lock`: the right to write the hourly log, the checkpoint, the port list, and the instance.
    ///
    /// # Errors
    /// [`StoreError::Locked`] without waiting if another process holds it; other errors if the directory or the file
    /// cannot be created.
    pub fn lock_run(&self) -> Result<RunLock, StoreError> {
        RunLock::take(self)
    }

    /// Takes `daily.lock`: the right to write `daily/`.
    ///
    /// # Errors
    /// Like [`StateDir::lock_run`].
    pub fn lock_daily(&self) -> Result<DailyLock, StoreError> {
        DailyLock::take(self)
    }

    /// Takes `report.lock`: the right to write `monthly/`, `nodes/`, `reports/`, and `sent.jsonl`.
    ///
    /// # Errors
    /// Like [`StateDir::lock_run`].
    pub fn lock_report(&self) -> Result<ReportLock, StoreError> {
        ReportLock::take(self)
    }

    /// Takes `grants.lock`: the right to write `grants.jsonl`.
    ///
    /// # Errors
    /// Like [`StateDir::lock_run`].
    pub fn lock_grants(&self) -> Result<GrantsLock, StoreError> {
        GrantsLock::take(self)
    }

    /// Takes `notices.lock`: the right to write `notices.jsonl`, and to send notices.
    ///
    /// # Errors
    /// Like [`StateDir::lock_run`].
    pub fn lock_notices(&self) -> Result<NoticesLock, StoreError> {
        NoticesLock::take(self)
    }

    /// Takes `ship/ship.lock`: the right to send to ClickHouse and to write `ship/`.
    ///
    /// # Errors
    /// Like [`StateDir::lock_run`].
    pub fn lock_ship(&self) -> Result<ShipLock, StoreError> {
        ShipLock::take(self)
    }
}

/// Whether `path` is the open file `file`.
fn is_same(file: &File, path: &Path) -> Result<bool, StoreError> {
    let held = file.metadata().map_err(StoreError::io("inspect", path))?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((held.dev(), held.ino()) == (found.dev(), found.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(StoreError::io("inspect", path)(source)),
    }
}

fn take(path: &Path) -> Result<File, StoreError> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .custom_flags(guarded::flags())
        .open(path)
        .map_err(StoreError::io("open", path))?;
    let mut wait = LockWait::new();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(StoreError::io("lock", path)(source)),
        }
        let holder = holder(&mut file);
        if !wait.waits_for(holder) {
            return Err(StoreError::Locked { path: path.to_owned(), holder });
        }
    }
    write_pid(&mut file).map_err(StoreError::io("write", path))?;
    Ok(file)
}

/// The process recorded in the lock file. The lock itself is held in the kernel.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    match writeln!(file, "{}", std::process::id()) {
        // The lock is valid without the process id, and a full disk must not keep an agent from counting.
        Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
