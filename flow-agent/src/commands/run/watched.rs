//! Which ports are watched now, and whose they are: asked again whenever something may have changed.

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
use crate::ports::stated::stated;
use crate::ports::wanted::Wanted;
use crate::ports::watch::Watch;
use crate::ports::{PortFile, PortOwners};
use crate::store::ports::PortList;

/// A port whose listener is gone is still watched for this long: a service that restarts must not close its bucket.
const LISTENER_GRACE: Duration = Duration::from_secs(600);

/// The sources of ports, and what they said last.
pub struct Watched {
    config: Config,
    owners: PortOwners,
    /// What each port file said when it was last good.
    last_good: BTreeMap<PathBuf, PortOwners>,
    /// Those of the configuration, and of the users' file as it was when it was last good.
    users: Arc<[User]>,
    /// By port file: rows that cannot be counted.
    complaints: Vec<(PathBuf, usize)>,
    /// What the port files state of their owners' limits; empty unless that holds (`limits.port_files`).
    stated: StatedLimits,
    /// When somebody was last found to listen on a port; only while listening sockets are followed.
    found_at: BTreeMap<u16, Moment>,
    /// The warnings of the last look, so that each is said once, not at every look.
    said: BTreeSet<String>,
    /// Why the users or the ports stay as they are, said once as long as it lasts.
    said_users: Option<String>,
    said_ports: Option<String>,
    /// Whether a source is to be looked at again although nothing tells that it changed.
    is_unsettled: bool,
    /// `None` while a look goes on: it has it.
    look: Option<Box<Look>>,
    /// What looks have found that were begun.
    looks: (UnboundedSender<Looked>, UnboundedReceiver<Looked>),
    /// Something changed since the look began that goes on.
    must_look_again: bool,
    watch: Watch,
}

/// What tells of ports.
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
    /// Looks for the first time; `remembered` is the last good list of an earlier run. Says its warnings.
    ///
    /// # Errors
    /// Exit code 3: a port file that is missing or torn and never was good, or nothing to count.
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

    /// Every port, and whose it is.
    pub fn owners(&self) -> &PortOwners {
        &self.owners
    }

    /// The users that hold now, with the limits that port files state of them.
    pub fn users(&self) -> Arc<[User]> {
        if self.stated.is_empty() { Arc::clone(&self.users) } else { with_stated(&self.users, &self.stated).into() }
    }

    /// By port file: how many of its rows cannot be counted.
    pub fn complaints(&self) -> Vec<(PathBuf, usize)> {
        self.complaints.clone()
    }

    /// What is to be remembered for the next start.
    pub fn remember(&self, at: chrono::DateTime<chrono::FixedOffset>) -> PortList {
        let (ports, files, stated) = (self.owners.clone(), self.last_good.clone(), self.stated.clone());
        PortList { v: crate::ledger::record::VERSION, at, ports, files, stated }
    }

    /// Whether to look again soon: nothing tells that sockets change, or that a source that could not be taken now can be.
    pub fn must_look(&self) -> bool {
        self.config.ports.listening || self.is_unsettled
    }

    /// Returns when a file may have changed, or a look has ended. May be dropped at any time.
    pub async fn hear(&mut self) -> Heard {
        tokio::select! {
            () = self.watch.changed() => Heard::Changed,
            Some(looked) = self.looks.1.recv() => Heard::Looked(looked),
        }
    }

    /// Takes over what `config` says of ports and users.
    pub fn reconfigure(&mut self, config: Config) {
        self.watch.set_files(files(&config));
        self.users = config.users.clone().into();
        self.config = config;
        match &mut self.look {
            Some(look) => look.reconfigure(self.config.clone()),
            None => self.must_look_again = true,
        }
    }

    /// Begins to look again, on a thread of its own: a socket table of a busy server or a file on a slow disk takes time,
    /// and buckets must not wait for it. [`Watched::hear`] tells when it has ended.
    pub fn begin_look(&mut self, now: Moment) {
        let Some(mut look) = self.look.take() else {
            self.must_look_again = true;
            return;
        };
        let (report, last_good) = (self.looks.0.clone(), self.last_good.clone());
        let work = move || {
            let found = Box::new(look.again(&last_good, now));
            // Nobody listens any more when the agent has left.
            let _ = report.send(Looked { look, found });
        };
        // It is in the network namespace of this thread, and ends with the process.
        if let Err(error) = thread::Builder::new().name("ports".to_owned()).spawn(work) {
            tracing::warn!(%error, "no look at the ports: they stay as they are");
            self.look = Some(Box::new(Look::new(self.config.clone())));
        }
    }

    /// Takes over what a look has found; true when ports or owners differ from before. On a problem all stays as it is, and
    /// is said.
    pub fn take(&mut self, looked: Looked, now: Moment) -> bool {
        let Looked { mut look, found } = looked;
        if std::mem::take(&mut self.must_look_again) {
            // What it found is of another configuration, or of files as they were before.
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
        say_once(&mut self.said_users, users_problem, "the users stay as they are");
        say_once(&mut self.said_ports, problem, "the ports stay as they are");
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
        // Only listeners come and go with their service: a port that left a file is not wanted any more.
        self.found_at.extend(wanted.listening.iter().map(|port| (*port, now)));
        self.found_at.retain(|_, at| now.boot_ns.saturating_sub(at.boot_ns) < LISTENER_GRACE.as_nanos() as u64);
        for port in self.found_at.keys() {
            if owners.len() < self.config.count.max_ports as usize {
                owners.entry(*port).or_insert(None);
            }
        }
        self.last_good = wanted.files;
        self.complaints = wanted.sources.into_iter().map(|source| (source.path, source.complaints)).collect();
        let differs = owners != self.owners || stated != self.stated;
        (self.owners, self.stated) = (owners, stated);
        differs
    }

    /// What the port files state of limits, where that holds. A file that cannot be read now opens nobody: what it stated
    /// last stays.
    fn limits_of_files(&self, wanted: &Wanted, warnings: &mut BTreeSet<String>) -> StatedLimits {
        if !self.config.limits.port_files {
            return StatedLimits::new();
        }
        let (now, left_out) = stated(wanted, self.config.month_start_day, self.config.timezone);
        warnings.extend(left_out.iter().map(|owner| {
            format!(
                "{owner:?} has a quota in a port file that begins on another day than month_start_day: not enforced"
            )
        }));
        let mut all = if wanted.is_unsettled() { self.stated.clone() } else { StatedLimits::new() };
        all.extend(now);
        all
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
impl Watched {
    /// Looks again, on this thread.
    fn refresh(&mut self, now: Moment) -> bool {
        let mut look = self.look.take().expect("no look goes on");
        let found = Box::new(look.again(&self.last_good, now));
        self.take(Looked { look, found }, now)
    }
}

#[cfg(test)]
mod tests;
