//! Asks the agent that counts for a configuration's state directory.

use std::path::PathBuf;

use crate::answer::client::{self, AskError};
use crate::config::Config;
use crate::ledger::now::Now;
use crate::store::{StateDir, instance};

/// Where the agent of `config` answers; `None` where it has no socket, or never ran.
pub fn socket(config: &Config) -> Option<PathBuf> {
    // A damaged id is a finding of `check`; nobody can be asked by it.
    let id = instance::read(&StateDir::new(&config.state_dir)).ok().flatten()?;
    config.answer.socket_of(&id)
}

/// What the agent of `config` counts now; `None` where no agent runs, or it has no socket. An answer takes two seconds at
/// most.
///
/// # Errors
/// When an agent is there, and there is no answer all the same: this user may not ask, or the agent is busy.
pub fn now(config: &Config) -> Result<Option<Now>, AskError> {
    let Some(path) = socket(config) else { return Ok(None) };
    match client::now(&path) {
        Ok(now) => Ok(Some(now)),
        Err(AskError::Nobody { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
