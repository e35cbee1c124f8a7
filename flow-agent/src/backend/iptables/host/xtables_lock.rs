//! EDGE files: the lock that every program takes to change legacy rules.
#![expect(clippy::disallowed_methods, reason = "edge: files, environment and clock")]

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::error::iptables::IptablesError;

/// Held while legacy rules are read. It is taken by polling, as iptables itself does when it waits with a timeout.
#[derive(Debug)]
pub struct XtablesLock {
    /// Closing this file releases the lock.
    _file: File,
}

const PAUSE: Duration = Duration::from_millis(20);

impl XtablesLock {
    /// The path of the lock file, as iptables determines it.
    pub fn path() -> PathBuf {
        std::env::var_os("XTABLES_LOCKFILE").map_or_else(|| "/run/xtables.lock".into(), PathBuf::from)
    }

    /// Takes the lock as soon as nobody else holds it.
    ///
    /// # Errors
    /// [`IptablesError::Locked`] after `secs` seconds.
    pub fn take(secs: u64) -> Result<Self, IptablesError> {
        let path = Self::path();
        let error = |source| IptablesError::Path { action: "lock", path: path.clone(), source };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(error)?;
        let deadline = Instant::now() + Duration::from_secs(secs);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return Err(IptablesError::Locked { path, secs }),
                Err(TryLockError::Error(source)) => return Err(error(source)),
            }
        }
    }
}
