//! Looks at everything that names ports, with what must be remembered between looks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::{self, Config};
use crate::errors::chain;
use crate::ledger::reading::Moment;
use crate::ledger::units::count;
use crate::ledger::user::User;
use crate::ports::PortOwners;
use crate::ports::find::Finder;
use crate::ports::settle::{SETTLED_AFTER, Settling};
use crate::ports::wanted::{Wanted, WantedError};

/// Does one look after the other.
pub(super) struct Look {
    /// The configuration, with the users that their file had when it was last good.
    config: Config,
    finder: Finder,
    users_settling: Settling<(), Vec<User>>,
}

/// The result of a look.
pub(super) struct Found {
    /// Why the users are kept as they are.
    pub(super) users_problem: Option<String>,
    pub(super) wanted: Result<Wanted, WantedError>,
}

impl Look {
    pub(super) fn new(config: Config) -> Self {
        Self { config, finder: Finder::default(), users_settling: Settling::default() }
    }

    /// The users as they were when their file was last good.
    pub(super) fn users(&self) -> &[User] {
        &self.config.users
    }

    /// Uses another configuration from now on.
    pub(super) fn reconfigure(&mut self, config: Config) {
        self.config = config;
    }

    /// Reads the users' file and all sources of ports.
    pub(super) fn again(&mut self, last_good: &BTreeMap<PathBuf, PortOwners>, now: Moment) -> Found {
        let users_problem = self.reload_users(now);
        // A file that a reload has added must not keep the agent from the new ports in the other files.
        self.finder.may_lack_files = true;
        Found { users_problem, wanted: self.find(last_good, now) }
    }

    /// Reads all sources of ports.
    ///
    /// # Errors
    /// When it is not known what to count.
    pub(super) fn find(
        &mut self,
        last_good: &BTreeMap<PathBuf, PortOwners>,
        now: Moment,
    ) -> Result<Wanted, WantedError> {
        let Config { node, ports, users, count: counting, .. } = &self.config;
        self.finder.find(node, ports, users, counting.max_ports, last_good, now)
    }

    /// Reads `users_file` again. If the users are kept as they are, returns the reason, and the file must be read once
    /// more.
    fn reload_users(&mut self, now: Moment) -> Option<String> {
        let reloaded = match config::reload_users(&self.config) {
            Ok(reloaded) => reloaded,
            Err(error) => return Some(chain(&error)),
        };
        let now_says = reloaded.users_from_file().to_vec();
        let (before, after) = (self.config.users_from_file().len(), now_says.len());
        if self.users_settling.takes(&(), &now_says, before, after, now) {
            self.config = reloaded;
            return None;
        }
        let (users, wait) = (count(before, "user"), SETTLED_AFTER.as_secs());
        Some(format!("the users file has {after} instead of {users}: it will be used if it stays so for {wait} s"))
    }
}
