//! EDGE files: one agent a network namespace and interface.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::BackendError;
use crate::holder::Patience;

const DIRECTORY: &str = "/run/flow-agent";

/// Held while an agent counts on an interface; the kernel lets go of it however the agent ends.
#[derive(Debug)]
pub struct InterfaceLock {
    path: PathBuf,
    /// Closing it lets go of the lock.
    _file: File,
}

impl InterfaceLock {
    /// Takes the lock of the device `index` in the network namespace `netns`.
    ///
    /// # Errors
    /// [`BackendError::Busy`] when another agent holds it, who says who it is; [`BackendError::Lock`] when it cannot be
    /// tried.
    pub fn take(netns: u64, index: u32, interface: &str, instance: &str) -> Result<Self, BackendError> {
        let path = Path::new(DIRECTORY).join(format!("{netns}-{index}.lock"));
        let locked = lock(&path).map_err(|source| BackendError::Lock { path: path.clone(), source })?;
        match locked {
            Ok(mut file) => {
                let holder = format!("process {} of instance {instance}", std::process::id());
                write_holder(&mut file, &holder).map_err(|source| BackendError::Lock { path: path.clone(), source })?;
                Ok(Self { path, _file: file })
            }
            Err(holder) => Err(BackendError::Busy { interface: interface.to_owned(), holder }),
        }
    }
}

impl Drop for InterfaceLock {
    fn drop(&mut self) {
        // While it is held, so that whoever opened it meanwhile sees that it is not the one in the directory any more.
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "the lock file stays");
        }
    }
}

/// The locked file, or who holds it.
fn lock(path: &Path) -> io::Result<Result<File, String>> {
    match DirBuilder::new().mode(0o755).create(DIRECTORY) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut patience = Patience::new();
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o644);
        let mut file = options.custom_flags(libc::O_NOFOLLOW).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder)?;
                let pid = holder.split_whitespace().nth(1).and_then(|pid| pid.parse().ok());
                if !patience.waits_for(pid) {
                    return Ok(Err(holder.trim().to_owned()));
                }
                continue;
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // The one who held it may have removed it between our opening and our locking.
        if fs::metadata(path).is_ok_and(|present| file.metadata().is_ok_and(|ours| ours.ino() == present.ino())) {
            return Ok(Ok(file));
        }
    }
}

fn write_holder(file: &mut File, holder: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(holder.as_bytes())
}
