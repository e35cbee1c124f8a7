//! A set of counters with a reading of it.

use crate::ledger::counters::Device;
use crate::ledger::reading::{Identity, Reading};

/// A set of counters and a reading of it.
#[derive(Clone, Debug)]
pub struct Counted {
    pub identity: Identity,
    /// The interfaces that it counts, or counted.
    pub interfaces: Vec<String>,
    pub reading: Reading,
}

impl Counted {
    /// Takes the devices' counters from `now`, the reading of the counters that took over: counters that have stopped
    /// are read without them.
    pub(super) fn observe_devices(&mut self, now: &[Device]) {
        if self.reading.devices.is_empty() {
            self.reading.devices =
                now.iter().filter(|device| self.interfaces.contains(&device.name)).cloned().collect();
        }
    }
}
