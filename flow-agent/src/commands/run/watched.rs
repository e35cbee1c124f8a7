//! Which ports are watched now, and whose they are: asked again whenever something may have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{self, Config};
use crate::exit::Failure;
use crate::ledger::reading::Moment;
use crate::ledger::units::count;
use crate::ledger::user::User;
use crate::ports::find::Finder;
use crate::ports::settle::{SETTLED_AFTER, Settling};
use crate::ports::watch::Watch;
use crate::ports::{Owners, PortFile, wanted::WantedError};
use crate::store::ports::PortList;

/// A port whose listener is gone is still watched for this long: a service that restarts must not close its bucket.
const LISTENER_GRACE: Duration = Duration::from_secs(600);

/// The sources of ports, and what they said last.
pub struct Watched {
    config: Config,
    owners: Owners,
    /// What each port file said when it was last good.
    last_good: BTreeMap<PathBuf, Owners>,
    /// When a port was last found; only while listening sockets are followed.
    found_at: BTreeMap<u16, Moment>,
    /// The warnings of the last look, so that each is said once, not at every look.
    said: BTreeSet<String>,
    /// Why the users or the ports stay as they are, said once as long as it lasts.
    said_users: Option<String>,
    said_ports: Option<String>,
    /// Whether a source is to be looked at again although nothing tells that it changed.
    is_unsettled: bool,
    finder: Finder,
    users_settling: Settling<(), Vec<User>>,
    watch: Watch,
}

impl Watched {
    /// Looks for the first time; `remembered` is the last good list of an earlier run. Says its warnings.
    ///
    /// # Errors
    /// Exit code 3: a port file that is missing or torn and never was good, or nothing to count.
    pub fn start(config: Config, remembered: Option<PortList>, now: Moment) -> Result<Self, Failure> {
        let last_good = remembered.map(|list| list.files).unwrap_or_default();
        let watch = Watch::new(files(&config));
        let mut watched = Self {
            config,
            owners: Owners::new(),
            last_good,
            found_at: BTreeMap::new(),
            said: BTreeSet::new(),
            said_users: None,
            said_ports: None,
            is_unsettled: false,
            finder: Finder::default(),
            users_settling: Settling::default(),
            watch,
        };
        watched.look(now)?;
        Ok(watched)
    }

    /// Every port, and whose it is.
    pub fn owners(&self) -> &Owners {
        &self.owners
    }

    /// What is to be remembered for the next start.
    pub fn remember(&self, at: chrono::DateTime<chrono::FixedOffset>) -> PortList {
        PortList { v: crate::ledger::record::VERSION, at, ports: self.owners.clone(), files: self.last_good.clone() }
    }

    /// Whether to look again soon: nothing tells that sockets change, or that a source that could not be taken now can be.
    pub fn must_look(&self) -> bool {
        self.config.ports.listening || self.is_unsettled
    }

    /// Returns when a file may have changed. May be dropped at any time.
    pub async fn changed(&mut self) {
        self.watch.changed().await;
    }

    /// Takes over what `config` says of ports and users.
    pub fn reconfigure(&mut self, config: Config) {
        self.watch.set_files(files(&config));
        self.config = config;
    }

    /// Looks again; true when ports or owners differ from before. On a problem all stays as it is, and is said.
    pub fn refresh(&mut self, now: Moment) -> bool {
        let users_unsettled = self.reload_users(now);
        let before = std::mem::take(&mut self.owners);
        self.owners.clone_from(&before);
        let looked = self.look(now);
        self.is_unsettled |= users_unsettled;
        let problem = looked.err().map(|error| crate::errors::chain(&error));
        self.is_unsettled |= problem.is_some();
        say_once(&mut self.said_ports, problem, "the ports stay as they are");
        self.said_ports.is_none() && self.owners != before
    }

    /// Reads `users_file` again. True where the users stay as they are, and it is to be looked at once more.
    fn reload_users(&mut self, now: Moment) -> bool {
        let problem = match config::reload_users(&self.config) {
            Ok(reloaded) => {
                let now_says = reloaded.users_from_file().to_vec();
                let (before, after) = (self.config.users_from_file().len(), now_says.len());
                if self.users_settling.takes(&(), &now_says, before, after, now) {
                    self.config = reloaded;
                    None
                } else {
                    let wait = SETTLED_AFTER.as_secs();
                    let users = count(before, "user");
                    Some(format!("the users file has {after} instead of {users}: taken when it stays so for {wait} s"))
                }
            }
            Err(error) => Some(crate::errors::chain(&error)),
        };
        say_once(&mut self.said_users, problem, "the users stay as they are");
        self.said_users.is_some()
    }

    fn look(&mut self, now: Moment) -> Result<(), WantedError> {
        let Config { node, ports, users, count: counting, .. } = &self.config;
        let wanted = self.finder.find(node, ports, users, counting.max_ports, &self.last_good, now)?;
        self.is_unsettled = wanted.is_unsettled();
        let warnings: BTreeSet<String> = wanted.warnings.iter().map(ToString::to_string).collect();
        for warning in warnings.difference(&self.said) {
            tracing::warn!("{warning}");
        }
        self.said = warnings;
        let mut owners = wanted.ports;
        if self.config.ports.listening {
            self.found_at.extend(owners.keys().map(|port| (*port, now)));
            self.found_at.retain(|_, at| now.boot_ns.saturating_sub(at.boot_ns) < LISTENER_GRACE.as_nanos() as u64);
            for port in self.found_at.keys() {
                owners.entry(*port).or_insert(None);
            }
        }
        self.owners = owners;
        self.last_good = wanted.files;
        Ok(())
    }
}

/// Warns of a problem that was not there, or was another one, the last time.
fn say_once(said: &mut Option<String>, problem: Option<String>, consequence: &'static str) {
    if let Some(error) = problem.as_ref().filter(|problem| said.as_ref() != Some(*problem)) {
        tracing::warn!(%error, "{consequence}");
    }
    *said = problem;
}

/// What is to be watched: the port files, and the users' file.
fn files(config: &Config) -> impl Iterator<Item = PathBuf> {
    config.ports.files.iter().flat_map(PortFile::watched_paths).chain(config.users_file.clone())
}

#[cfg(test)]
mod tests;
