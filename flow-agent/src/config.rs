//! The configuration after all checks: every value in it can be used as it is.
//!
//! `config::file` reads the TOML; this file defines the result. Each edge gets its own section, never the whole.

mod check;
mod encoding;
mod error;
mod file;
mod fleet;
mod key;
mod load;
pub mod mail;
mod shape;
mod users;
mod users_csv;
pub mod value;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;
use chrono_tz::Tz;
use serde::Deserialize;

pub use error::{ConfigError, FilePosition, PortOverlap};
pub use load::{DEFAULT_PATH, load, reload_users};

use crate::answer::AnswerConfig;
use crate::backend::BackendChoice;
use crate::fleet::FleetConfig;
use crate::gather::{NodeConfig, NodeSource};
use crate::ledger::amount::Units;
use crate::ledger::billing::{Billed, Price};
use crate::ledger::calendar::BucketLength;
use crate::ledger::record::CountMode;
use crate::ledger::user::User;
use crate::mail::MailConfig;
use crate::notify::ChannelConfig;
use crate::ports::PortsConfig;
use crate::store::retention::RetentionConfig;

/// The defaults, with every key documented. This text is itself a valid configuration.
pub const DEFAULT_CONFIG: &str = include_str!("../default-config.toml");

/// All values of `config.toml`, with defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file that this was read from; `None` if there is none and everything is the default.
    pub path: Option<PathBuf>,
    pub node: String,
    pub state_dir: PathBuf,
    /// The zone in which days and months begin.
    pub timezone: Tz,
    /// 1 to 28.
    pub month_start_day: u32,
    pub bpffs: PathBuf,
    pub count: CountConfig,
    pub ports: PortsConfig,
    /// `socket` and `[metrics]`.
    pub answer: AnswerConfig,
    /// From `[[users]]` and `users_file`; their ports do not overlap on any node.
    pub users: Vec<User>,
    /// The file with the users that are not in `[[users]]`; re-read with [`reload_users`] when it changes.
    pub users_file: Option<PathBuf>,
    /// The encoding of `users_file`; `None` for UTF-8.
    pub users_encoding: Option<&'static str>,
    pub nodes: Vec<NodeConfig>,
    pub report: ReportConfig,
    /// How `show` and `top` print amounts.
    pub show: Units,
    pub mail: Option<MailConfig>,
    pub limits: LimitsConfig,
    /// Where notices are sent, besides by mail.
    pub notify: Vec<ChannelConfig>,
    pub retention: RetentionConfig,
    /// `None` if nothing is sent to ClickHouse.
    pub fleet: Option<FleetConfig>,
    /// `[[users]]` with their positions, for checking a changed `users_file` against them.
    declared: Vec<users::Declared>,
}

impl Config {
    /// The users that come from `users_file`.
    pub fn users_from_file(&self) -> &[User] {
        // They come after those of `[[users]]`.
        self.users.get(self.declared.len()..).unwrap_or_default()
    }

    /// Whether this machine is a main node that counts nothing itself: it is not one of its own nodes, and `[ports]` is
    /// empty.
    pub fn only_gathers(&self) -> bool {
        let PortsConfig { watch, files, listening } = &self.ports;
        let is_here = |node: &NodeConfig| matches!(node.source, NodeSource::Local);
        let counts = *listening || !watch.is_empty() || !files.is_empty() || self.nodes.iter().any(is_here);
        !self.nodes.is_empty() && !counts
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct CountConfig {
    pub backend: BackendChoice,
    /// Names, globs, or `auto`.
    pub interfaces: Vec<String>,
    /// Whether to count on both of two devices that see the same packets.
    pub allow_stacked: bool,
    pub count: CountMode,
    pub bucket: BucketLength,
    pub checkpoint: Duration,
    /// 1 to 65,530.
    pub max_ports: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReportConfig {
    pub known_hosts: PathBuf,
    /// The time limit for gathering from one node.
    pub deadline: Duration,
    /// 0 to 1.
    pub min_coverage: f64,
    pub billed: Billed,
    pub price: Option<Price>,
    /// The directory of templates that override the embedded ones.
    pub templates: Option<PathBuf>,
    /// How long a month waits for missing data after the first report that follows its end.
    pub final_after: TimeDelta,
    /// What happens to the letters if a node is missing.
    pub incomplete: IncompleteLetters,
}

/// The settings for the quotas of all users.
#[derive(Clone, Debug, PartialEq)]
pub struct LimitsConfig {
    /// The percentages of the quota at which a warning is sent, ascending.
    pub warn: Vec<u32>,
    /// Ports that are never cut off.
    pub never: BTreeSet<u16>,
    /// Whether quotas that port files state are limits, too.
    pub port_files: bool,
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

#[cfg(test)]
mod tests;
