//! `checkpoint.json`: the newest reading, needed if the counters are lost.

use super::document;
use super::error::StoreError;
use super::layout::StateDir;
use super::lock::RunLock;
use crate::ledger::record::Checkpoint;

/// Durably replaces the former checkpoint with `checkpoint`.
///
/// # Errors
/// When the file cannot be replaced. The former one may still be there.
pub fn write(lock: &RunLock, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    let state = lock.state();
    document::write(state.disk(), &state.checkpoint(), checkpoint)
}

/// The newest checkpoint; `None` if there is none.
///
/// # Errors
/// [`StoreError::Damaged`] if it cannot be trusted: the caller should report that and continue without it.
/// [`StoreError::Io`].
pub fn read(state: &StateDir) -> Result<Option<Checkpoint>, StoreError> {
    document::read(&state.checkpoint())
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
