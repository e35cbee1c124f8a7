//! Why a node's file was not taken.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;

use super::MOST_FILE_BYTES;
use crate::ledger::block::{Fault, MAX_LINE_BYTES};
use crate::ledger::statement::SumError;

/// Why a node's files were not taken, or not all of them.
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
    /// The time for all nodes together was over before this one was done.
    #[error("all nodes together took longer than {}", humantime::format_duration(*.deadline))]
    DeadlineOfAll { deadline: Duration },
}

/// Why a file could not be had.
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
    /// Somebody else answers at its address, or it was installed anew.
    #[error("its host key is not the one that was enrolled")]
    HostKeyChanged,
    #[error("its host key is not known")]
    HostKeyUnknown,
    #[error("nobody there shows a host key")]
    NoHostKey,
    #[error("it does not accept our key ({said})")]
    KeyRefused { said: String },
    #[error("more than {MOST_FILE_BYTES} bytes")]
    TooLarge,
    #[error("scp failed ({said})")]
    Scp {
        /// What it said, in one line, harmless to print.
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

/// What is wrong with a file that was fetched.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    #[error("line {line}")]
    Line {
        line: u64,
        #[source]
        fault: Fault,
    },
    #[error("line {line}: it says that it is of node {found:?}")]
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
            Self::Fetch(FetchError::HostKeyChanged) => {
                Some(format!("find out why; if the node was installed anew, run `flow-agent check --enroll {name}`"))
            }
            Self::Fetch(FetchError::KeyRefused { .. }) => {
                Some("check `user` and `identity_file`, and the node's authorized_keys".to_owned())
            }
            Self::Fetch(FetchError::Absent { .. }) => {
                Some(
                "check its `state_dir` here, and on the node that flow-agent runs and that our user may enter `daily/`: sftp says \
                 the same of what it may not enter (`flow-agent check --enroll-main` there puts that right)"
                    .to_owned(),
            )
            }
            Self::Fetch(FetchError::Start { program, .. }) => Some(format!("install `{program}` (openssh-client)")),
            Self::Rejected { .. } => Some("run `flow-agent rollup` on the node".to_owned()),
            Self::Fetch(FetchError::NoHostKey) => Some("check `host` and `port`, and that its sshd runs".to_owned()),
            Self::Fetch(FetchError::TooLarge | FetchError::Scp { .. } | FetchError::Io { .. })
            | Self::Deadline { .. }
            | Self::DeadlineOfAll { .. } => None,
        }
    }
}
