//! A set of counters with a reading of it.

use crate::ledger::counters::Device;
use crate::ledger::reading::{Identity, Reading};

/// A set of counters and what it said.
#[derive(Clone, Debug)]
pub struct Counted {
    pub identity: Identity,
    /// Those that it counts, or counted.
    pub interfaces: Vec<String>,
    pub reading: Reading,
}

impl Counted {
    /// Counters that stand still are read without their devices: those stand where the counters that took over say.
    pub(super) fn observe_devices(&mut self, now: &[Device]) {
        if self.reading.devices.is_empty() {
            self.reading.devices =
                now.iter().filter(|device| self.interfaces.contains(&device.name)).cloned().collect();
        }
    }
}
