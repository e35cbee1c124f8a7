//! `metrics.json`: the sums behind the metrics, so that they continue after a restart. The file may be removed: it is
//! rebuilt from the logs, and Prometheus then sees the counters start again.

use super::document;
use super::error::StoreError;
use super::layout::StateDir;
use crate::ledger::cumulative::Cumulative;

/// Stores `sums`. Only the agent that counts here may call this.
///
/// # Errors
/// When the file cannot be replaced.
pub fn write(state: &StateDir, sums: &Cumulative) -> Result<(), StoreError> {
    document::write(state.disk(), &state.metrics(), sums)
}

/// The stored sums; `None` if there are none.
///
/// # Errors
/// [`StoreError::Damaged`] if the file is not intact; [`StoreError::Io`].
pub fn read(state: &StateDir) -> Result<Option<Cumulative>, StoreError> {
    document::read(&state.metrics())
}
