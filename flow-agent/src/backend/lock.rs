//! EDGE files: allows one agent for each network namespace and interface.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::BackendError;
use crate::guarded;
use crate::holder::LockWait;

const DIRECTORY: &str = "/run/flow-agent";

/// Held while an agent counts on an interface. The kernel releases it however the agent ends.
#[derive(Debug)]
pub struct InterfaceLock {
    path: PathBuf,
    /// Describes us to an agent that finds the lock taken.
    holder: String,
    /// Closing this file releases the lock.
    file: File,
    /// Whether the loss of the lock has been logged.
    is_lost: bool,
}

impl InterfaceLock {
    /// Takes the lock of device `index` in the network namespace `netns`.
    ///
    /// # Errors
    /// [`BackendError::Busy`] when another agent holds it, with that agent's description; [`BackendError::Lock`] when
    /// locking fails.
    pub fn take(netns: u64, index: u32, interface: &str, instance: &str) -> Result<Self, BackendError> {
        let path = Path::new(DIRECTORY).join(format!("{netns}-{index}.lock"));
        let holder = format!("process {} of instance {instance}", std::process::id());
        match take(&path, &holder).map_err(|source| BackendError::Lock { path: path.clone(), source })? {
            Ok(file) => Ok(Self { path, holder, file, is_lost: false }),
            Err(holder) => Err(BackendError::Busy { interface: interface.to_owned(), holder }),
        }
    }

    /// Takes the lock again if somebody removed its file or directory, because otherwise a second agent would not
    /// notice us. If another agent has taken it meanwhile, that agent keeps it and we go on counting: the two agents
    /// have separate logs, and neither log counts anything twice.
    pub fn keep(&mut self, interface: &str) {
        if self.is_in_place() {
            return;
        }
        let path = self.path.display();
        match take(&self.path, &self.holder) {
            Ok(Ok(file)) => {
                tracing::warn!(interface, %path, "somebody removed the lock file: it was re-created");
                (self.file, self.is_lost) = (file, false);
            }
            Ok(Err(holder)) if !self.is_lost => {
                tracing::error!(interface, holder, "somebody removed our lock file, and another agent took the lock");
                self.is_lost = true;
            }
            Err(error) if !self.is_lost => {
                tracing::error!(
                    interface, %path, %error,
                    "somebody removed the lock file, and it cannot be re-created"
                );
                self.is_lost = true;
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }

    /// Whether the file that we locked is still the one at the path.
    fn is_in_place(&self) -> bool {
        is_same(&self.file, &self.path)
    }
}

impl Drop for InterfaceLock {
    fn drop(&mut self) {
        // After our file was removed, somebody else may have locked a new one, which must stay.
        if !self.is_in_place() {
            return;
        }
        // The file is removed while it is locked. So whoever has opened it meanwhile notices that it is no longer in
        // the directory.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "failed to remove the lock file");
        }
    }
}

/// Locks the file and writes `holder` into it, or returns who holds it.
fn take(path: &Path, holder: &str) -> io::Result<Result<File, String>> {
    let mut locked = lock(path)?;
    if let Ok(file) = &mut locked {
        file.set_len(0)?;
        file.write_all(holder.as_bytes())?;
    }
    Ok(locked)
}

/// Locks the file, or returns who holds it.
fn lock(path: &Path) -> io::Result<Result<File, String>> {
    match DirBuilder::new().mode(0o755).create(DIRECTORY) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut wait = LockWait::new();
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o644);
        let mut file = options.custom_flags(guarded::flags()).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder)?;
                let pid = holder.split_whitespace().nth(1).and_then(|pid| pid.parse().ok());
                if !wait.waits_for(pid) {
                    return Ok(Err(holder.trim().to_owned()));
                }
                continue;
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // A former holder may have removed the file after we opened it and before we locked it.
        if is_same(&file, path) {
            return Ok(Ok(file));
        }
    }
}

fn is_same(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let ours = file.metadata().map(identity);
    ours.is_ok_and(|ours| fs::symlink_metadata(path).map(identity).is_ok_and(|present| ours == present))
}
