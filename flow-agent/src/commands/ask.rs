//! Asks the agent that counts for the state directory of a configuration.

use std::path::PathBuf;

use crate::answer::client::{self, AskError};
use crate::config::Config;
use crate::ledger::now::Now;
use crate::store::{StateDir, instance};

/// The socket of the agent of `config`; `None` if it has none, or if no agent ever ran.
pub fn socket(config: &Config) -> Option<PathBuf> {
    // A damaged id cannot be used to ask; `check` reports it.
    let id = instance::read(&StateDir::new(&config.state_dir)).ok().flatten()?;
    config.answer.socket_of(&id)
}

/// What the agent of `config` counts now; `None` if no agent runs, or if it has no socket. Takes two seconds at most.
///
/// # Errors
/// When an agent runs and still does not answer, because this user may not ask or because the agent is busy.
pub fn now(config: &Config) -> Result<Option<Now>, AskError> {
    let Some(path) = socket(config) else { return Ok(None) };
    match client::now(&path) {
        Ok(now) => Ok(Some(now)),
        Err(AskError::Nobody { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
