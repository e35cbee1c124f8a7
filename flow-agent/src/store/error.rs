//! Errors of the state directory's files.

use std::io;
use std::path::{Path, PathBuf};

use crate::ledger::block::TooLarge;

/// The reason why something in the state directory could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A system call failed.
    #[error("failed to {action} `{}`", path.display())]
    Io {
        /// Completes the sentence "failed to … `path`".
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Another process holds the lock.
    #[error("another flow-agent{} holds `{}`", holder.map_or(String::new(), |pid| format!(" (pid {pid})")), path.display())]
    Locked {
        path: PathBuf,
        /// The process that is recorded in the lock file. `None` if the file does not say.
        holder: Option<u32>,
    },
    /// A file to which only we append does not have the length with which we left it.
    #[error("`{}` has {found} bytes, not {expected}: another program changed it", path.display())]
    Changed { path: PathBuf, expected: u64, found: u64 },
    /// The log contains a bucket with a higher number than this agent has written.
    #[error(
        "the hourly log continues to bucket {found}, but this agent has only written up to {written}: another agent \
         wrote there"
    )]
    Ahead { found: u64, written: u64 },
    /// The state directory has been exchanged for one of another instance.
    #[error("`{}` belongs to instance {found}, not to {expected}", path.display())]
    OtherInstance { path: PathBuf, found: String, expected: String },
    /// Buckets are appended in order, each only once.
    #[error("bucket {seq} is already in the hourly log: the next is {next}")]
    Numbered { seq: u64, next: u64 },
    /// A block of a derived file is so large that readers would refuse it. The file stays unchanged.
    #[error("`{}` was not changed: the new block is too large", path.display())]
    TooLarge {
        path: PathBuf,
        #[source]
        source: TooLarge,
    },
    /// A small file (checkpoint, port list, instance) has invalid content.
    #[error("`{}` is damaged: {what}", path.display())]
    Damaged {
        path: PathBuf,
        what: &'static str,
        #[source]
        source: Option<serde_json::Error>,
    },
}

impl StoreError {
    /// Makes a [`StoreError::Io`] from an [`io::Error`], for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }

    /// What the reader can do about the error, if there is anything.
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::Locked { .. } => "stop that one first, or choose another directory with --state-dir".to_owned(),
            Self::Io { .. } if self.is_full() => "free some space on that file system, or raise its quota".to_owned(),
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run as the user that owns the state directory, or choose another with --state-dir".to_owned()
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::NotADirectory => {
                "choose a directory with --state-dir or `state_dir`; there is a file in its place".to_owned()
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                "mount that file system read-write, or choose another directory with --state-dir".to_owned()
            }
            Self::OtherInstance { .. } => {
                "restore the state directory, or restart the agent to use the one that is there".to_owned()
            }
            Self::TooLarge { .. } => "watch fewer ports, or give users shorter names".to_owned(),
            Self::Io { .. } | Self::Changed { .. } | Self::Numbered { .. } | Self::Ahead { .. } => return None,
            Self::Damaged { path, .. } => format!("restore `{}` from a backup, or move it away", path.display()),
        };
        Some(help)
    }

    /// Whether another agent or another history has taken the place of ours, so that trying again cannot help.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Locked { .. } | Self::Ahead { .. } | Self::OtherInstance { .. })
    }

    /// Whether the disk or the user's disk quota is full. The write may succeed later.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

#[cfg(test)]
mod tests;
