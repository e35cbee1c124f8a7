//! A reading: what the counters said at one moment.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::by_port::ByPort;
use super::counters::{Device, Others};
use super::record::{BackendKind, CountMode, HourSeal};

/// What a seal says of the counters behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub kind: BackendKind,
    pub count: CountMode,
    /// One life of these counters; a retired epoch never comes back.
    pub epoch: String,
    /// Whether counting goes on without this process, and a successor can adopt the counters.
    pub pinned: bool,
}

/// One moment on both clocks. The wall only names buckets; intervals are measured with the boot-time clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub wall: DateTime<Utc>,
    /// `CLOCK_BOOTTIME`, in nanoseconds: never set, and runs on while the machine sleeps.
    pub boot_ns: u64,
}

/// Cumulative counters of one epoch. Never zeroed: usage is the difference between two readings of one epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// One life of one set of counters; opaque. A retired epoch never comes back.
    pub epoch: String,
    pub at: Moment,
    /// Every port that has counters, the draining ones too.
    pub ports: ByPort,
    /// The ports of `ports` that are no longer watched and whose last bytes these are.
    pub draining: BTreeSet<u16>,
    pub others: Others,
    /// The devices' own counters, cumulative since the device was made; read right after the cells.
    pub devices: Vec<Device>,
}

/// A time that nobody saw: what passed an interface then is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    pub start: Moment,
    pub end: Moment,
    pub interface: String,
    /// Why, in words for the person who reads the bill: `interface was deleted`, `program was detached by …`.
    pub why: String,
}

impl Unseen {
    /// Whether it goes on after the bucket of `seal`, if only for a part of a second that no bucket has yet.
    pub fn goes_on_after(&self, seal: &HourSeal) -> bool {
        match seal.boot_ms {
            Some(boot_ms) => self.end.boot_ns > boot_ms.saturating_mul(1_000_000),
            None => self.end.wall > seal.end,
        }
    }
}
