//! `metrics.json`: the sums behind the metrics, so that they go on where they stood after a restart. It can be removed: it is
//! made again from the logs, and Prometheus then sees the counters begin anew.

use super::document;
use super::error::StoreError;
use super::layout::StateDir;
use crate::ledger::cumulative::Cumulative;

/// Keeps `sums`. Only the agent that counts here may call this.
///
/// # Errors
/// When the file cannot be replaced.
pub fn write(state: &StateDir, sums: &Cumulative) -> Result<(), StoreError> {
    document::write(state.disk(), &state.metrics(), sums)
}

/// The sums that were kept last; `None` when there are none.
///
/// # Errors
/// [`StoreError::Damaged`] when the file is not whole; [`StoreError::Io`].
pub fn read(state: &StateDir) -> Result<Option<Cumulative>, StoreError> {
    document::read(&state.metrics())
}
