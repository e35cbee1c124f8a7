//! Why a configuration is rejected: where, what was found, and what was expected.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::errors::nearest;
use crate::ledger::units::Written;

/// A position in a file, in the form that editors and terminals understand: `FILE:LINE:COLUMN`, both counted from one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePosition {
    pub path: PathBuf,
    pub line: usize,
    pub column: usize,
}

/// Finds positions in one file. Where its lines begin is searched once, because a file of thousands of users has tens of
/// thousands of values whose position is needed.
#[derive(Debug)]
pub(super) struct Positions<'a> {
    path: &'a Path,
    text: &'a str,
    line_starts: Vec<usize>,
}

impl<'a> Positions<'a> {
    /// Of `text`, the content of `path`.
    pub(super) fn new(path: &'a Path, text: &'a str) -> Self {
        let after_line_feeds = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1);
        Self { path, text, line_starts: std::iter::once(0).chain(after_line_feeds).collect() }
    }

    /// The path of the file.
    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    /// The position of byte `at`; that of the end if there is no such byte. Columns are counted in characters.
    pub(super) fn of(&self, at: usize) -> FilePosition {
        let at = if self.text.is_char_boundary(at) { at } else { self.text.len() };
        let line = self.line_starts.partition_point(|start| *start <= at);
        let before = &self.text[self.line_starts[line - 1]..at];
        FilePosition { path: self.path.to_owned(), line, column: before.chars().count() + 1 }
    }
}

impl fmt::Display for FilePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.path.display(), self.line, self.column)
    }
}

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("failed to read `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{}` is larger than {} MiB", path.display(), max_bytes >> 20)]
    TooLarge { path: PathBuf, max_bytes: u64 },
    /// Not TOML, or a value of the wrong kind for its key.
    #[error("{place}: {message}")]
    Value { place: FilePosition, message: String },
    #[error("{place}: unknown key `{key}`")]
    UnknownKey { place: FilePosition, key: String, known: Vec<String> },
    #[error(transparent)]
    Overlap(#[from] Box<PortOverlap>),
    #[error("{place}: {what} `{name}` appears twice, first at {first}")]
    Twice { place: FilePosition, what: &'static str, name: String, first: FilePosition },
    #[error("{place}: node `{name}` has {found}, expected either `host` or `local = true`")]
    NodeSource { place: FilePosition, name: String, found: &'static str },
    #[error("{place}: `{given}` without `{missing}`, expected both or neither")]
    HalfLogin { place: FilePosition, given: &'static str, missing: &'static str },
    #[error("{place}: user `{user}` has shares that add up to {shares}, but a quota of {quota}")]
    Shares { place: FilePosition, user: String, shares: Written, quota: Written },
    #[error("{place}: `{given}` without `{missing}`")]
    Without { place: FilePosition, given: &'static str, missing: &'static str },
    #[error("{place}: `{key}` is only for channels of the kind `webhook`")]
    OnlyForWebhooks { place: FilePosition, key: &'static str },
    #[error("the host name {found:?} cannot be used as the node's name")]
    HostName { found: String },
    /// `/etc/localtime` exists, but nothing says which zone it is.
    #[error("the system's time zone has no name")]
    SystemZone,
    #[error("the system's time zone is {found:?}, which is not an IANA time zone")]
    UnknownSystemZone { found: String },
}

/// A port that belongs to two users on the same node.
#[derive(Debug, thiserror::Error)]
#[error("{place}: port {port} belongs to `{user}` here and to `{other}` at {other_place}, on {}", nodes(node.as_deref()))]
pub struct PortOverlap {
    pub place: FilePosition,
    pub port: u16,
    pub user: String,
    pub other: String,
    pub other_place: FilePosition,
    /// `None` means on every node.
    pub node: Option<String>,
}

impl ConfigError {
    /// What the reader can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("check that the file exists and that this user may read it".to_owned()),
            Self::TooLarge { .. } => Some("check that this is the right file".to_owned()),
            Self::UnknownKey { key, known, .. } => Some(match nearest(key, known.iter().map(String::as_str)) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("known keys: {}", known.join(", ")),
            }),
            Self::Overlap(_) => Some("give each port to one user, or keep the users apart with `nodes`".to_owned()),
            Self::HostName { .. } => Some("set `node` in the configuration".to_owned()),
            Self::SystemZone | Self::UnknownSystemZone { .. } => {
                Some("set `timezone` in the configuration, for example timezone = \"Asia/Shanghai\"".to_owned())
            }
            Self::Shares { .. } => {
                Some("make the shares add up to the quota, or leave out `quota`, which is then their sum".to_owned())
            }
            Self::Value { .. }
            | Self::Twice { .. }
            | Self::NodeSource { .. }
            | Self::HalfLogin { .. }
            | Self::Without { .. }
            | Self::OnlyForWebhooks { .. } => None,
        }
    }
}

fn nodes(node: Option<&str>) -> String {
    node.map_or_else(|| "every node".to_owned(), |node| format!("node `{node}`"))
}
