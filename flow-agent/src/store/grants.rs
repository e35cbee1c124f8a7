//! `grants.jsonl`: bytes that users were granted beyond their quotas.

use super::error::StoreError;
use super::layout::StateDir;
use super::ledger::{self, Ledger, LedgerContent, LedgerLine};
use super::lock::GrantsLock;
use crate::ledger::limits::grant::GrantLine;
use crate::ledger::record::Kind;

impl LedgerLine for GrantLine {
    const KIND: Kind = Kind::Grant;

    fn identity(&self) -> (u32, Kind) {
        (self.v, self.kind)
    }
}

/// All grants, in file order.
///
/// # Errors
/// When the file cannot be read.
pub fn read(state: &StateDir) -> Result<LedgerContent<GrantLine>, StoreError> {
    ledger::read(&state.grants())
}

/// Writes a grant, and waits until it is on disk.
///
/// # Errors
/// When the grant cannot be written. It is not in effect then.
pub fn append(lock: &GrantsLock, grant: &GrantLine) -> Result<(), StoreError> {
    let (mut ledger, _) = Ledger::open::<GrantLine>(lock.state(), lock.state().grants())?;
    ledger.append(grant)
}

#[cfg(test)]
mod tests;
