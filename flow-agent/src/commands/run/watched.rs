//! The ports that are watched and their owners, looked up again whenever they may have changed.

mod look;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use self::look::{Found, Look};
use crate::config::Config;
use crate::errors::chain;
use crate::exit::Failure;
use crate::ledger::limits::stated::{StatedLimits, with_stated};
use crate::ledger::reading::Moment;
use crate::ledger::user::User;
use crate::ports::stated::{in_force, stated};
use crate::ports::wanted::Wanted;
use crate::ports::watch::Watch;
use crate::ports::{PortFile, PortOwners};
use crate::store::ports::PortList;

/// How long a port without a listener is still watched, so that a service that restarts does not close its bucket.
const LISTENER_GRACE: Duration = Duration::from_secs(600);

/// The sources of ports, and their last results.
pub struct Watched {
    config: Config,
    owners: PortOwners,
    /// The contents of each port file when it was last good.
    last_good: BTreeMap<PathBuf, PortOwners>,
    /// The users of the configuration, and those of the users' file when it was last good.
    users: Arc<[User]>,
    /// The number of rows that cannot be counted, by port file.
    complaints: Vec<(PathBuf, usize)>,
    /// The port files that could never be read.
    lacking: Vec<PathBuf>,
    /// The limits that port files state for their owners; empty unless `limits.port_files` enables them.
    stated: StatedLimits,
    /// When each port last had a listener; only used while listening sockets are followed.
    found_at: BTreeMap<u16, Moment>,
    /// The warnings of the last look, so that each is logged once rather than at every look.
    said: BTreeSet<String>,
    /// Why the users or the ports are kept as they are; logged once while it lasts.
    said_users: Option<String>,
    said_ports: Option<String>,
    /// Whether to look at a source again although nothing reports a change.
    is_unsettled: bool,
    /// `None` while a look is running, which then owns it.
    look: Option<Box<Look>>,
    /// The results of looks.
    looks: (UnboundedSender<Looked>, UnboundedReceiver<Looked>),
    /// Something has changed since the running look began.
    must_look_again: bool,
    watch: Watch,
}

/// What [`Watched::hear`] returns.
pub enum Heard {
    /// A file may have changed.
    Changed,
    Looked(Looked),
}

/// A look that has ended.
pub struct Looked {
    look: Box<Look>,
    found: Box<Found>,
}

impl Watched {
    /// Looks for the first time and logs the warnings; `remembered` is the last good list of an earlier run.
    ///
    /// # Errors
    /// Exit code 3 when a port file is missing or torn and was never good, or when there is nothing to count.
    pub fn start(config: Config, remembered: Option<PortList>, now: Moment) -> Result<Self, Failure> {
        let (last_good, stated) = remembered.map(|list| (list.files, list.stated)).unwrap_or_default();
        let watch = Watch::new(files(&config));
        let mut look = Box::new(Look::new(config.clone()));
        let wanted = look.find(&last_good, now)?;
        let mut watched = Self {
            users: config.users.clone().into(),
            config,
            owners: PortOwners::new(),
            last_good,
            complaints: Vec::new(),
            lacking: Vec::new(),
            stated,
            found_at: BTreeMap::new(),
            said: BTreeSet::new(),
            said_users: None,
            said_ports: None,
            is_unsettled: wanted.is_unsettled(),
            look: Some(look),
            looks: mpsc::unbounded_channel(),
            must_look_again: false,
            watch,
        };
        watched.adopt(wanted, now);
        Ok(watched)
    }

    /// All ports with their owners.
    pub fn owners(&self) -> &PortOwners {
        &self.owners
    }

    /// The users that are in force, with the limits that port files state for them.
    pub fn users(&self) -> Arc<[User]> {
        if self.stated.is_empty() { Arc::clone(&self.users) } else { with_stated(&self.users, &self.stated).into() }
    }

    /// The number of rows that cannot be counted, by port file.
    pub fn complaints(&self) -> Vec<(PathBuf, usize)> {
        self.complaints.clone()
    }

    /// Why there may be ports that should be counted and are not.
    pub fn problems(&self) -> Vec<String> {
        let lacking = self
            .lacking
            .iter()
            .map(|path| format!("the port file `{}` has not been read yet: its ports are not counted", path.display()));
        let kept = self.said_ports.iter().map(|why| format!("the ports are kept as they were: {why}"));
        lacking.chain(kept).collect()
    }

    /// The list to be stored for the next start.
    pub fn remember(&self, at: chrono::DateTime<chrono::FixedOffset>) -> PortList {
        let (ports, files, stated) = (self.owners.clone(), self.last_good.clone(), self.stated.clone());
        PortList { v: crate::ledger::record::VERSION, at, ports, files, stated }
    }

    /// Whether to look again soon: nothing reports that sockets have changed, or that a source has become readable.
    pub fn must_look(&self) -> bool {
        self.config.ports.listening || self.is_unsettled
    }

    /// Returns when a file may have changed, or when a look has ended. Cancel-safe.
    pub async fn hear(&mut self) -> Heard {
        tokio::select! {
            () = self.watch.changed() => Heard::Changed,
            Some(looked) = self.looks.1.recv() => Heard::Looked(looked),
        }
    }

    /// Applies the ports and users of `config`.
    pub fn reconfigure(&mut self, config: Config) {
        self.watch.set_files(files(&config));
        self.users = config.users.clone().into();
        self.config = config;
        match &mut self.look {
            Some(look) => look.reconfigure(self.config.clone()),
            None => self.must_look_again = true,
        }
    }

    /// Begins another look on a separate thread: the socket table of a busy server or a file on a slow disk takes time,
    /// and buckets must not wait for that. [`Watched::hear`] returns when it has ended.
    pub fn begin_look(&mut self, now: Moment) {
        let Some(mut look) = self.look.take() else {
            self.must_look_again = true;
            return;
        };
        let (report, last_good) = (self.looks.0.clone(), self.last_good.clone());
        let work = move || {
            let found = Box::new(look.again(&last_good, now));
            // Nobody receives it once the agent has stopped.
            let _ = report.send(Looked { look, found });
        };
        // The thread is in the network namespace of this one, and ends with the process.
        if let Err(error) = thread::Builder::new().name("ports".to_owned()).spawn(work) {
            tracing::warn!(%error, "failed to read the ports: keeping them as they are");
            self.look = Some(Box::new(Look::new(self.config.clone())));
        }
    }

    /// Applies the result of a look. Returns true if ports or owners have changed. If there is a problem, everything
    /// stays as it is, and the problem is logged.
    pub fn take(&mut self, looked: Looked, now: Moment) -> bool {
        let Looked { mut look, found } = looked;
        if std::mem::take(&mut self.must_look_again) {
            // The result refers to another configuration, or to older contents of the files.
            look.reconfigure(self.config.clone());
            self.look = Some(look);
            self.begin_look(now);
            return false;
        }
        if *look.users() != *self.users {
            self.users = look.users().into();
        }
        self.look = Some(look);
        let Found { users_problem, wanted } = *found;
        let (wanted, problem) = match wanted {
            Ok(wanted) => (Some(wanted), None),
            Err(error) => (None, Some(chain(&error))),
        };
        self.is_unsettled = users_problem.is_some() || wanted.as_ref().is_none_or(Wanted::is_unsettled);
        say_once(&mut self.said_users, users_problem, "keeping the users as they are");
        say_once(&mut self.said_ports, problem, "keeping the ports as they are");
        wanted.is_some_and(|wanted| self.adopt(wanted, now))
    }

    fn adopt(&mut self, wanted: Wanted, now: Moment) -> bool {
        let mut warnings: BTreeSet<String> = wanted.warnings.iter().map(ToString::to_string).collect();
        let stated = self.limits_of_files(&wanted, &mut warnings);
        for warning in warnings.difference(&self.said) {
            tracing::warn!("{warning}");
        }
        self.said = warnings;
        let mut owners = wanted.ports;
        // Only listeners come and go with their service: a port that was removed from a file is no longer wanted.
        self.found_at.extend(wanted.listening.iter().map(|port| (*port, now)));
        self.found_at.retain(|_, at| now.boot_ns.saturating_sub(at.boot_ns) < LISTENER_GRACE.as_nanos() as u64);
        for port in self.found_at.keys() {
            if owners.len() < self.config.count.max_ports as usize {
                owners.entry(*port).or_insert(None);
            }
        }
        self.last_good = wanted.files;
        let lacking = wanted.sources.iter().filter(|source| source.is_lacking);
        self.lacking = lacking.map(|source| source.path.clone()).collect();
        self.complaints = wanted.sources.into_iter().map(|source| (source.path, source.complaints)).collect();
        let differs = owners != self.owners || stated != self.stated;
        (self.owners, self.stated) = (owners, stated);
        differs
    }

    /// The limits that the port files state, if they are enabled. A file that cannot be read now lifts no limit: what
    /// it last stated remains.
    fn limits_of_files(&self, wanted: &Wanted, warnings: &mut BTreeSet<String>) -> StatedLimits {
        if !self.config.limits.port_files {
            return StatedLimits::new();
        }
        let (now, left_out) = stated(wanted, self.config.month_start_day, self.config.timezone);
        warnings.extend(left_out.iter().map(|owner| {
            format!(
                "the quota of {owner:?} in a port file begins on another day than month_start_day and is not enforced"
            )
        }));
        in_force(&self.stated, now, wanted)
    }
}

/// Logs a problem unless the last one was the same.
fn say_once(said: &mut Option<String>, problem: Option<String>, consequence: &'static str) {
    if let Some(error) = problem.as_ref().filter(|problem| said.as_ref() != Some(*problem)) {
        tracing::warn!(%error, "{consequence}");
    }
    *said = problem;
}

/// The files to be watched: the port files and the users' file.
fn files(config: &Config) -> impl Iterator<Item = PathBuf> {
    config.ports.files.iter().flat_map(PortFile::watched_paths).chain(config.users_file.clone())
}

#[cfg(test)]
impl Watched {
    /// Looks again on this thread.
    fn refresh(&mut self, now: Moment) -> bool {
        let mut look = self.look.take().expect("no look goes on");
        let found = Box::new(look.again(&self.last_good, now));
        self.take(Looked { look, found }, now)
    }
}

#[cfg(test)]
mod tests;
