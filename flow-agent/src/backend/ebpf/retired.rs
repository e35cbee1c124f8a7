//! A set of counters that no longer changes: it is read one last time and then deleted.

use std::collections::BTreeSet;

use super::pins::bpffs;
use super::set::MapSet;
use crate::backend::{BackendError, Identity, Retired};
use crate::ledger::reading::{Moment, Reading};

/// A set that no program feeds any more.
pub struct RetiredPins {
    pub set: MapSet,
    /// The interfaces that it counted.
    pub interfaces: BTreeSet<String>,
}

impl Retired for RetiredPins {
    fn identity(&self) -> Identity {
        self.set.identity()
    }

    fn interfaces(&self) -> Vec<String> {
        self.interfaces.iter().cloned().collect()
    }

    fn read(&mut self, now: &dyn Fn() -> Moment) -> Result<Reading, BackendError> {
        let mut reading = self.set.read(now);
        reading.draining = reading.ports.keys().copied().collect();
        Ok(reading)
    }

    fn delete(self: Box<Self>) -> Result<(), BackendError> {
        match &self.set.path {
            Some(path) => bpffs::remove_set(path),
            // Unpinned maps go away with the last user of them.
            None => Ok(()),
        }
    }
}
