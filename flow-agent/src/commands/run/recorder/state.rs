//! A state directory that is moved, replaced, unmounted or lost while the agent counts.
//!
//! The counters are in the kernel, and what was sealed today is remembered: the agent goes on in the directory that is at
//! the path now, and writes again what its log lacks. It leaves with an error where somebody else writes there.

use super::Recorder;
use crate::store::{StoreError, instance};

/// The directory that buckets are written to, and whether it was seen to be ours since it was last found replaced.
pub(super) struct StateHold {
    instance: String,
    is_settled: bool,
    /// Until it is taken.
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

    /// Makes sure that the state directory is still the one whose lock is held, or takes hold of the one that is there now.
    pub(super) fn hold_state(&mut self) -> Result<(), StoreError> {
        if !self.lock.is_in_place()? {
            self.state.is_settled = false;
            tracing::warn!(
                path = %self.lock.state().root().display(),
                "the state directory was moved, replaced or unmounted: going on in the one that is there now"
            );
            self.lock.take_again()?;
        }
        if !self.state.is_settled {
            instance::keep(&self.lock, &self.state.instance)?;
            self.outbox.change_directory(&self.lock)?;
            self.meter.forget_checkpoint();
            (self.state.is_settled, self.state.was_renewed) = (true, true);
        }
        if let Ok(None) = instance::read(self.lock.state()) {
            tracing::warn!("somebody removed the file `instance`: it is made again");
            instance::keep(&self.lock, &self.state.instance)?;
        }
        Ok(())
    }

    /// Looks after the state directory. Whether another one took its place since the last call: what is kept there beside
    /// the log is to be written again, and a bucket closed, so that the log says at once where the counters stand.
    pub fn attend_state(&mut self) -> bool {
        if let Err(error) = self.hold_state() {
            self.take_write_error(error);
        }
        std::mem::take(&mut self.state.was_renewed)
    }
}
