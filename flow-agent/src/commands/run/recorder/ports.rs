//! Applies changes of the ports that are to be counted.

use std::collections::BTreeSet;

use super::Recorder;
use crate::backend::BackendError;
use crate::commands::run::say;
use crate::errors::chain;
use crate::ports::PortOwners;

impl Recorder {
    /// Whether the ports that are counted, or their owners, differ from `wanted`.
    pub fn differs_from(&self, wanted: &PortOwners) -> bool {
        self.owners != *wanted || !self.owners.keys().eq(self.backend.ports().iter())
    }

    /// Counts what is wanted from now on. A port that is no longer counted, or that gets another owner, closes the
    /// bucket at once. What cannot be done now must be retried.
    pub fn apply(&mut self, wanted: &PortOwners) {
        let counted = self.backend.ports();
        let gone: BTreeSet<u16> = counted.iter().copied().filter(|port| !wanted.contains_key(port)).collect();
        if !gone.is_empty()
            && let Err(error) = self.backend.drain(&gone)
        {
            tracing::error!(error = %chain(&error), "failed to stop counting ports; will retry");
            return;
        }
        // Includes ports that are draining since an earlier attempt after which no bucket could be closed.
        let handed_over = self.owners.iter().any(|(port, owner)| wanted.get(port) != Some(owner));
        if (!gone.is_empty() || handed_over) && !self.close() {
            return;
        }
        // A port whose last line is not on disk yet is still draining. It is added again once that is done.
        let draining = self.outbox.draining();
        let new: BTreeSet<u16> =
            wanted.keys().copied().filter(|port| !counted.contains(port) && !draining.contains(port)).collect();
        if self.meter.has_closed(&new) && !(self.close() && self.outbox.is_empty()) {
            // Another bucket must be on disk between a port's last line and its new counters. This is retried.
            return;
        }
        self.owners.clone_from(wanted);
        if !new.is_empty() {
            self.add_ports(&new);
        }
        if !(gone.is_empty() && new.is_empty()) {
            tracing::info!("{}", say::changed(&new, &gone, self.owners.len()));
        }
    }

    fn add_ports(&mut self, new: &BTreeSet<u16>) {
        let added = match self.backend.add(new) {
            Ok(()) => return,
            Err(BackendError::Full { .. }) => {
                let all = self.backend.ports().union(new).copied().collect();
                self.backend.replace(&all)
            }
            Err(error) => Err(error),
        };
        let outcome = match added {
            Ok(retired) => {
                self.replaced.push_back(retired);
                self.go_on_with_new_counters()
            }
            Err(error) => Err(error.into()),
        };
        if let Err(failure) = outcome {
            tracing::error!("failed to count new ports; will retry\n{}", failure.render());
        }
    }
}
