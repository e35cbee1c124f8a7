//! EDGE files: looks at everything that may name a port, and says what is to be counted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::ephemeral::Ephemeral;
use super::listening::listening;
use super::wanted::{Sources, Wanted, WantedError, wanted};
use super::{Owners, PortsConfig, file};
use crate::ledger::user::User;

/// What is to be counted now on `node`, and for whom. `last_good` is what [`Wanted::files`] was the last time.
///
/// # Errors
/// [`WantedError`]: before the first bucket a reason not to start, later a reason to go on as before.
pub fn find(
    node: &str,
    config: &PortsConfig,
    users: &[User],
    max_ports: u32,
    last_good: &BTreeMap<PathBuf, Owners>,
) -> Result<Wanted, WantedError> {
    let ephemeral = Ephemeral::read();
    let listening = if config.listening { listening(&ephemeral)? } else { BTreeSet::new() };
    let files = config.files.iter().map(|file| (file.path.clone(), file::read(file))).collect();
    wanted(Sources { node, config, users, max_ports, files, last_good, listening, ephemeral: &ephemeral })
}
