//! Which ports are watched now, and whose they are: asked again whenever something may have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{self, Config};
use crate::exit::Failure;
use crate::ledger::reading::Moment;
use crate::ports::find::find;
use crate::ports::watch::Watch;
use crate::ports::{Owners, wanted::WantedError};
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
        let mut watched =
            Self { config, owners: Owners::new(), last_good, found_at: BTreeMap::new(), said: BTreeSet::new(), watch };
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

    /// Whether sockets are followed, of which nothing tells that they change.
    pub fn must_look(&self) -> bool {
        self.config.ports.listening
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
        match config::reload_users(&self.config) {
            Ok(config) => self.config = config,
            Err(error) => tracing::warn!(%error, "the users stay as they are"),
        }
        let before = std::mem::take(&mut self.owners);
        self.owners.clone_from(&before);
        match self.look(now) {
            Ok(()) => self.owners != before,
            Err(error) => {
                tracing::warn!(error = %crate::errors::chain(&error), "the ports stay as they are");
                false
            }
        }
    }

    fn look(&mut self, now: Moment) -> Result<(), WantedError> {
        let Config { node, ports, users, count, .. } = &self.config;
        let wanted = find(node, ports, users, count.max_ports, &self.last_good)?;
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

/// What is to be watched: the port files, and the users' file.
fn files(config: &Config) -> impl Iterator<Item = PathBuf> {
    config.ports.files.iter().map(|file| file.path.clone()).chain(config.users_file.clone())
}
