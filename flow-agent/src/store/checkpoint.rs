//! `checkpoint.json`: the newest reading, for the case that the counters are lost.

use super::document;
use super::error::StoreError;
use super::layout::StateDir;
use super::lock::RunLock;
use crate::ledger::record::Checkpoint;

/// Puts `checkpoint` in the place of the former one, durably.
///
/// # Errors
/// When the file cannot be replaced; the former one may still be there.
pub fn write(lock: &RunLock, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    let state = lock.state();
    document::write(state.disk(), &state.checkpoint(), checkpoint)
}

/// The newest checkpoint; `None` when there is none.
///
/// # Errors
/// [`StoreError::Damaged`] when it cannot be trusted: to be reported, and gone on without; [`StoreError::Io`].
pub fn read(state: &StateDir) -> Result<Option<Checkpoint>, StoreError> {
    document::read(&state.checkpoint())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
