//! What a meter is told beside the time: settings, sets of counters, and what is known when a bucket is closed.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use crate::ledger::calendar::BucketLength;
use crate::ledger::counters::Device;
use crate::ledger::reading::{Identity, Reading, Unseen};

/// What does not change while an agent runs.
#[derive(Clone, Debug)]
pub struct Settings {
    pub node: String,
    pub zone: Tz,
    pub bucket: BucketLength,
}

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

/// What is known beside the readings when a bucket is closed.
#[derive(Clone, Copy, Debug)]
pub struct Closing<'a> {
    /// Who owned which port since the last bucket. When that changes, close before.
    pub users: &'a BTreeMap<u16, String>,
    /// What was not seen since the last bucket, as far as it is known; what lies outside the bucket is cut off.
    pub unseen: &'a [Unseen],
}
