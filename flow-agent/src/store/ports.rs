//! `ports.json`: the last good port list and who owned the ports, for a start at which a port file is torn or missing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};

use super::document;
use super::error::StoreError;
use super::layout::StateDir;
use super::lock::RunLock;
use crate::ledger::record::stamp;

/// Ports, and who owns each; `None` where nobody is known to.
pub type Owners = BTreeMap<u16, Option<String>>;

/// The line of `ports.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortList {
    pub v: u32,
    /// When this list was taken over.
    #[serde(with = "stamp")]
    pub at: DateTime<FixedOffset>,
    /// All ports that were watched.
    pub ports: Owners,
    /// What each port file said when it was last good.
    #[serde(default)]
    pub files: BTreeMap<PathBuf, Owners>,
}

/// Puts `list` in the place of the former one, durably.
///
/// # Errors
/// When the file cannot be replaced; the former one may still be there.
pub fn write(lock: &RunLock, list: &PortList) -> Result<(), StoreError> {
    let state = lock.state();
    document::write(state.disk(), &state.ports(), list)
}

/// The last good list; `None` when there is none.
///
/// # Errors
/// [`StoreError::Damaged`] when it cannot be trusted: to be reported, and gone on without; [`StoreError::Io`].
pub fn read(state: &StateDir) -> Result<Option<PortList>, StoreError> {
    document::read(&state.ports())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::ledger::record::VERSION;
    use crate::store::disk::sweep::at_every_operation;

    fn list(owner: &str) -> PortList {
        let owners = Owners::from([(443, None), (8388, Some(owner.to_owned()))]);
        PortList {
            v: VERSION,
            at: DateTime::parse_from_rfc3339("2026-10-05T13:00:30+08:00").unwrap(),
            ports: owners.clone(),
            files: BTreeMap::from([("/home/ssr/mudb.json".into(), owners)]),
        }
    }

    #[test]
    fn after_any_fault_there_is_the_old_list_or_the_new_one() {
        at_every_operation(
            |state| write(&state.lock_run().unwrap(), &list("old")).unwrap(),
            |state, _| write(&state.lock_run()?, &list("new")),
            |after| {
                let found = read(&after.state).unwrap().expect("one of them is there");
                assert!(found == list("new") || after.outcome.is_err() && found == list("old"), "{after:?}");
            },
        );
    }
}
