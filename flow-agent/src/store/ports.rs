//! `ports.json`: the last good port list and the owners of the ports. It is used if a port file is truncated or missing
//! when the agent starts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};

use super::document;
use super::error::StoreError;
use super::layout::StateDir;
use super::lock::RunLock;
use crate::ledger::limits::stated::StatedLimits;
use crate::ledger::record::stamp;

/// Ports and their owners; `None` if the owner is unknown.
pub type RecordedOwners = BTreeMap<u16, Option<String>>;

/// The single line of `ports.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortList {
    pub v: u32,
    /// When this list was adopted.
    #[serde(with = "stamp")]
    pub at: DateTime<FixedOffset>,
    /// All ports that were watched.
    pub ports: RecordedOwners,
    /// The content of each port file when it was last valid.
    #[serde(default)]
    pub files: BTreeMap<PathBuf, RecordedOwners>,
    /// The limits that the port files stated for the owners, where these apply.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stated: StatedLimits,
}

/// Durably replaces the former list with `list`.
///
/// # Errors
/// When the file cannot be replaced. The former one may still be there.
pub fn write(lock: &RunLock, list: &PortList) -> Result<(), StoreError> {
    let state = lock.state();
    document::write(state.disk(), &state.ports(), list)
}

/// The last good list; `None` if there is none.
///
/// # Errors
/// [`StoreError::Damaged`] if it cannot be trusted: the caller should report that and continue without it.
/// [`StoreError::Io`].
pub fn read(state: &StateDir) -> Result<Option<PortList>, StoreError> {
    document::read(&state.ports())
}

#[cfg(test)]
mod tests;
