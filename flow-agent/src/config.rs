//! The configuration, checked: every value in it is usable as it stands.
//!
//! `config::file` reads the TOML; this file says what comes out of it. An edge is handed its own section, never the whole.

mod check;
mod error;
mod file;
mod load;
pub mod mail;
mod shape;
mod users;
pub mod value;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use serde::Deserialize;

pub use error::{ConfigError, Overlap, Place};
pub use load::{DEFAULT_PATH, load, reload_users};

pub use crate::ledger::billing::{Billed, Price};
use crate::ledger::calendar::BucketLength;
use crate::ledger::record::CountMode;
pub use crate::render::Language;

/// The defaults, with every key documented. It is itself a configuration.
pub const DEFAULT_CONFIG: &str = include_str!("../default-config.toml");

/// Everything that `config.toml` says, with defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file that this was read from; `None` when there is none and all of it is defaults.
    pub path: Option<PathBuf>,
    pub node: String,
    pub state_dir: PathBuf,
    /// Days and months are cut in it.
    pub timezone: Tz,
    /// 1 to 28.
    pub month_start_day: u32,
    pub bpffs: PathBuf,
    pub count: CountConfig,
    pub ports: PortsConfig,
    /// From `[[users]]` and `users_file`; their ports do not overlap on any node.
    pub users: Vec<UserConfig>,
    /// Where the users that are not in `[[users]]` are; re-read with [`reload_users`] when it changes.
    pub users_file: Option<PathBuf>,
    pub nodes: Vec<NodeConfig>,
    pub report: ReportConfig,
    pub mail: Option<MailConfig>,
    /// `[[users]]` with their places, to hold a changed `users_file` against.
    declared: Vec<users::Declared>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CountConfig {
    pub backend: BackendChoice,
    /// Names, globs, or `auto`.
    pub interfaces: Vec<String>,
    pub count: CountMode,
    pub bucket: BucketLength,
    pub checkpoint: Duration,
    /// 1 to 65,530.
    pub max_ports: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendChoice {
    Auto,
    Ebpf,
    Iptables,
}

#[derive(Clone, Debug, PartialEq)]
pub struct PortsConfig {
    pub watch: BTreeSet<u16>,
    /// Also the ports that somebody listens on.
    pub listening: bool,
    pub files: Vec<PortFile>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortFile {
    pub path: PathBuf,
    pub format: PortFileFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortFileFormat {
    /// A JSON array of objects with at least `port` and `user`.
    Mudb,
    /// One port or range a line, then optionally a user's name; `#` begins a comment.
    List,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConfig {
    pub name: String,
    pub ports: BTreeSet<u16>,
    pub email: Option<String>,
    /// Bytes a billing month.
    pub quota: Option<u64>,
    pub language: Language,
    /// Empty: on every node.
    pub nodes: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct NodeConfig {
    pub name: String,
    pub aliases: Vec<String>,
    pub source: NodeSource,
    pub state_dir: PathBuf,
}

#[derive(Clone, Debug, PartialEq)]
pub enum NodeSource {
    /// On this machine.
    Local,
    Ssh {
        host: String,
        user: Option<String>,
        port: u16,
        identity_file: Option<PathBuf>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReportConfig {
    pub known_hosts: PathBuf,
    /// For gathering from one node.
    pub deadline: Duration,
    /// 0 to 1.
    pub min_coverage: f64,
    pub billed: Billed,
    pub price: Option<Price>,
    /// Overrides the embedded templates.
    pub templates: Option<PathBuf>,
    /// What becomes of the letters when a node is missing.
    pub incomplete: IncompleteLetters,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncompleteLetters {
    /// Sent, and marked provisional.
    #[default]
    Provisional,
    /// Not sent until the month is complete.
    Withhold,
}

#[derive(Clone, Debug, PartialEq)]
pub struct MailConfig {
    pub server: MailServer,
    pub username: Option<String>,
    pub password_file: Option<PathBuf>,
    /// `Name <address>` or an address.
    pub from: String,
    pub admins: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailServer {
    pub host: String,
    pub port: u16,
    pub security: MailSecurity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailSecurity {
    /// `smtps://`: TLS from the first byte.
    Tls,
    /// `smtp://`: STARTTLS, required.
    StartTls,
    /// `smtp+insecure://`: in clear; loopback only.
    Insecure,
}

#[cfg(test)]
mod tests;
