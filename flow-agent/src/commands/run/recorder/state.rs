//! Handles a state directory that is moved, replaced, unmounted or lost while the agent counts.
//!
//! The counters are in the kernel, and what was sealed today is remembered. The agent therefore continues in the
//! directory that is at the path now, and writes again what its log lacks. It stops with an error if another process
//! writes there.

use super::Recorder;
use crate::store::{StoreError, instance};

/// The state directory, and whether it is known to be ours since it was last found replaced.
pub(super) struct StateHold {
    instance: String,
    is_settled: bool,
    /// Whether another directory was taken over since that was last asked.
    was_renewed: bool,
}

impl StateHold {
    pub(super) fn new(instance: String) -> Self {
        Self { instance, is_settled: true, was_renewed: false }
    }
}

impl Recorder {
    /// The random id of the state directory.
    pub fn instance(&self) -> &str {
        &self.state.instance
    }

    /// Makes sure that the state directory is still the one whose lock is held, or else takes over the one that is
    /// there now.
    pub(super) fn hold_state(&mut self) -> Result<(), StoreError> {
        if !self.lock.is_in_place()? {
            self.state.is_settled = false;
            tracing::warn!(
                path = %self.lock.state().root().display(),
                "the state directory was moved, replaced or unmounted: continuing in the one that is there now"
            );
            self.lock.take_again()?;
        }
        if !self.state.is_settled {
            instance::keep(&self.lock, &self.state.instance)?;
            self.outbox.change_directory(&self.lock)?;
            self.checkpoints.forget();
            self.meter.forget_checkpoint();
            (self.state.is_settled, self.state.was_renewed) = (true, true);
        }
        if let Ok(None) = instance::read(self.lock.state()) {
            tracing::warn!("somebody removed the file `instance`: re-creating it");
            instance::keep(&self.lock, &self.state.instance)?;
        }
        Ok(())
    }

    /// Checks the state directory. Returns whether another one took its place since the last call. If so, the files
    /// beside the log must be written again, and a bucket closed so that the log shows the counters at once.
    pub fn attend_state(&mut self) -> bool {
        if let Err(error) = self.hold_state() {
            self.take_write_error(error);
        }
        std::mem::take(&mut self.state.was_renewed)
    }
}
