//! Why a node's file was not used.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;

use super::MOST_FILE_BYTES;
use crate::ledger::block::{Fault, MAX_LINE_BYTES};
use crate::ledger::statement::SumError;

/// Why a node's files were not used, or only some of them.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("{name} was rejected")]
    Rejected {
        /// `daily/2026-10.jsonl`
        name: String,
        #[source]
        source: Rejected,
    },
    #[error("it took longer than {}", humantime::format_duration(*.deadline))]
    Deadline { deadline: Duration },
    /// The time limit for all nodes together passed before this node was finished.
    #[error("all nodes together took longer than {}", humantime::format_duration(*.deadline))]
    DeadlineOfAll { deadline: Duration },
}

/// Why a file could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("it has no `{}`", path.display())]
    Absent { path: PathBuf },
    #[error("failed to start `{program}`")]
    Start {
        program: &'static str,
        #[source]
        source: io::Error,
    },
    /// Another machine answers at its address, or the node was installed anew.
    #[error("its host key is not the one that was enrolled")]
    HostKeyChanged,
    #[error("its host key is not known")]
    HostKeyUnknown,
    #[error("no host key was offered there")]
    NoHostKey,
    #[error("it does not accept our key ({said})")]
    KeyRefused { said: String },
    #[error("its sshd offers no SFTP ({said})")]
    NoSftp { said: String },
    /// Output of the login shell precedes the first message of SFTP.
    #[error("something there prints text where SFTP should begin ({said})")]
    Chatter { said: String },
    #[error("no permission to read it there ({said})")]
    NotReadable { said: String },
    #[error("it cannot be reached ({said})")]
    Unreachable { said: String },
    #[error("more than {MOST_FILE_BYTES} bytes")]
    TooLarge,
    #[error("scp failed ({said})")]
    Scp {
        /// What it printed, on one line and safe to print.
        said: String,
    },
    #[error("failed to {action} `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// What is wrong with a fetched file.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    #[error("line {line}")]
    Line {
        line: u64,
        #[source]
        fault: Fault,
    },
    #[error("line {line}: it says that it is from node {found:?}")]
    OtherNode { line: u64, found: String },
    #[error("line {line}: {day} is not a day of this file")]
    OtherMonth { line: u64, day: NaiveDate },
    #[error("line {line}: {day} comes after {after}")]
    Order { line: u64, day: NaiveDate, after: NaiveDate },
    #[error("line {line}")]
    Figures {
        line: u64,
        #[source]
        source: SumError,
    },
    #[error("a line of more than {MAX_LINE_BYTES} bytes")]
    LongLine,
    #[error("it is empty")]
    Empty,
    #[error("it cannot be read")]
    Io(#[source] io::Error),
}

impl GatherError {
    /// What a person can do about it, for node `name`.
    pub fn help(&self, name: &str) -> Option<String> {
        match self {
            Self::Fetch(FetchError::HostKeyUnknown) => Some(format!("run `flow-agent check --enroll {name}`")),
            Self::Fetch(FetchError::HostKeyChanged) => Some(format!(
                "if the node was reinstalled or its keys were replaced, run `flow-agent check --enroll {name}`; \
                 otherwise another machine answers at its address"
            )),
            Self::Fetch(FetchError::KeyRefused { .. }) => {
                Some("check `user` and `identity_file`, and the node's authorized_keys".to_owned())
            }
            // sftp reports missing files and inaccessible directories in the same way.
            Self::Fetch(FetchError::Absent { .. }) => Some(
                "check its `state_dir` here, and on the node that flow-agent is running and that our user may enter \
                 `daily/` (`flow-agent check --enroll-main` there takes care of that)"
                    .to_owned(),
            ),
            Self::Fetch(FetchError::NoSftp { .. }) => {
                Some("add `Subsystem sftp internal-sftp` to its sshd_config, and reload its sshd".to_owned())
            }
            Self::Fetch(FetchError::Chatter { .. }) => Some(
                "make sure that no startup file of its `user`'s shell (.bashrc, .profile) prints anything, or set \
                 `ForceCommand internal-sftp -R` for that user"
                    .to_owned(),
            ),
            Self::Fetch(FetchError::NotReadable { .. }) => {
                Some("give its `user` permission to read `daily/` and its files".to_owned())
            }
            Self::Fetch(FetchError::Unreachable { .. }) => {
                Some("check `host` and `port`, that its sshd is running, and that no firewall is in between".to_owned())
            }
            Self::Fetch(FetchError::Start { program, .. }) => Some(format!("install `{program}` (openssh-client)")),
            Self::Rejected { .. } => Some("run `flow-agent rollup` on the node".to_owned()),
            Self::Fetch(FetchError::NoHostKey) => {
                Some("check `host` and `port`, and that its sshd is running".to_owned())
            }
            Self::Deadline { .. } | Self::DeadlineOfAll { .. } => {
                Some("find out why the node is slow or silent, or give it more time with `report.deadline`".to_owned())
            }
            Self::Fetch(FetchError::TooLarge | FetchError::Scp { .. } | FetchError::Io { .. }) => None,
        }
    }
}
