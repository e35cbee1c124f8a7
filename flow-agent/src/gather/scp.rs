//! Fetches a node's files over ssh, with the system's scp or, where that is too old, its sftp.

mod arguments;
mod client;
mod outcome;

use std::path::{Path, PathBuf};

pub use arguments::Remote;
pub use client::{CopyProgram, client};

use super::error::FetchError;
use super::ssh;
use super::{Fetching, LogFetcher};

/// Fetches with scp over SFTP, or with sftp.
#[derive(Clone, Debug)]
pub(super) struct ScpFetcher {
    pub(super) client: CopyProgram,
    pub(super) remote: Remote,
    /// The state directory on the node.
    pub(super) state_dir: PathBuf,
}

impl LogFetcher for ScpFetcher {
    fn fetch<'a>(&'a self, name: &'a str, target: &'a Path) -> Fetching<'a> {
        Box::pin(async move {
            let source = self.state_dir.join("daily").join(name);
            let ended = match self.client {
                CopyProgram::Scp => ssh::run("scp", &arguments::scp(&self.remote, &source, target), None).await?,
                CopyProgram::Sftp => {
                    let batch = arguments::batch(&source, target);
                    ssh::run("sftp", &arguments::sftp(&self.remote), Some(&batch)).await?
                }
            };
            match outcome::failure(&ended, &source) {
                Some(error) => Err(error),
                None if tokio::fs::try_exists(target).await.unwrap_or(false) => Ok(None),
                None => Err(FetchError::Scp { said: "it reported success, but there is no file".to_owned() }),
            }
        })
    }
}
