//! A node that is this machine: its files are copied as they lie.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::FetchError;
use super::{Fetching, LogFetcher, MOST_FILE_BYTES, file_name};
use crate::ledger::month::Month;

/// Fetches from a state directory on this machine.
#[derive(Clone, Debug)]
pub(super) struct LocalFetcher {
    pub(super) state_dir: PathBuf,
}

impl LogFetcher for LocalFetcher {
    fn fetch<'a>(&'a self, month: Month, target: &'a Path) -> Fetching<'a> {
        let source = self.state_dir.join("daily").join(file_name(month));
        Box::pin(async move { copy(&source, target) })
    }
}

fn copy(source: &Path, target: &Path) -> Result<(), FetchError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| FetchError::Io { action, path, source }
    };
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).expect("the kernel takes these flags as an int");
    let from = match OpenOptions::new().read(true).custom_flags(flags).open(source) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(FetchError::Absent { path: source.to_owned() });
        }
        other => other.map_err(failed("open", source))?,
    };
    if !from.metadata().map_err(failed("look at", source))?.is_file() {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "not a regular file");
        return Err(failed("read", source)(error));
    }
    let mut to = File::create_new(target).map_err(failed("make", target))?;
    let copied = io::copy(&mut from.take(MOST_FILE_BYTES + 1), &mut to).map_err(failed("copy", source))?;
    if copied > MOST_FILE_BYTES { Err(FetchError::TooLarge) } else { Ok(()) }
}
