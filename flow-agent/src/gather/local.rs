//! Handles a node that is this machine: its files are simply copied.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::spawn_blocking;

use super::error::FetchError;
use super::{Fetching, LogFetcher, MOST_FILE_BYTES};
use crate::guarded::{self, FileIdentity};

/// How much is copied before checking whether the copy is still wanted.
const CHUNK_BYTES: usize = 1 << 20;

/// Fetches from a state directory on this machine.
#[derive(Clone, Debug)]
pub(super) struct LocalFetcher {
    pub(super) state_dir: PathBuf,
}

impl LogFetcher for LocalFetcher {
    fn fetch<'a>(&'a self, name: &'a str, target: &'a Path) -> Fetching<'a> {
        let (source, target) = (self.state_dir.join("daily").join(name), target.to_owned());
        Box::pin(async move {
            // The disk may be slow, and the tasks of the other nodes must not wait for it, so the copy runs on another
            // thread.
            let waiter = Waiter::default();
            let is_given_up = Arc::clone(&waiter.is_given_up);
            let copied = spawn_blocking(move || copy(&source, &target, &is_given_up));
            copied.await.expect("copying does not panic and is not cancelled")
        })
    }
}

/// Whoever waits for a copy. It is dropped with the future, which ends the copy.
#[derive(Debug, Default)]
struct Waiter {
    is_given_up: Arc<AtomicBool>,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.is_given_up.store(true, Ordering::Relaxed);
    }
}

fn copy(source: &Path, target: &Path, is_given_up: &AtomicBool) -> Result<Option<FileIdentity>, FetchError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| FetchError::Io { action, path, source }
    };
    let mut from = match guarded::open_to_read(source) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(FetchError::Absent { path: source.to_owned() });
        }
        other => other.map_err(failed("open", source))?,
    };
    let identity = |file: &File| file.metadata().map(|file| FileIdentity::of(&file));
    let before = identity(&from).map_err(failed("examine", source))?;
    let mut to = File::create_new(target).map_err(failed("make", target))?;
    let (mut chunk, mut copied) = (vec![0; CHUNK_BYTES], 0);
    while !is_given_up.load(Ordering::Relaxed) {
        let read = match from.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other.map_err(failed("read", source))?,
        };
        if read == 0 {
            let after = identity(&from).map_err(failed("examine", source))?;
            let now = identity(&to).map_err(failed("examine", target))?.changed;
            return Ok(Some(after).filter(|after| *after == before && after.was_settled(now)));
        }
        copied += read as u64;
        if copied > MOST_FILE_BYTES {
            return Err(FetchError::TooLarge);
        }
        to.write_all(&chunk[..read]).map_err(failed("write", target))?;
    }
    let error = io::Error::new(io::ErrorKind::TimedOut, "no longer needed");
    Err(failed("copy", source)(error))
}
