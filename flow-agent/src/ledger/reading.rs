//! A reading: the values of all counters at one moment.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::blocked::Blocked;
use super::by_port::ByPort;
use super::counters::{Device, Others};
use super::record::{BackendKind, CountMode};

/// What a seal says about the counters behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub kind: BackendKind,
    pub count: CountMode,
    /// Identifies one lifetime of these counters; a retired epoch is never reused.
    pub epoch: String,
    /// Whether counting continues without this process, so that a later process can adopt the counters.
    pub pinned: bool,
}

/// One moment on both clocks. The wall clock only names buckets; intervals are measured with the boot-time clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    pub wall: DateTime<Utc>,
    /// `CLOCK_BOOTTIME` in nanoseconds: it is never set, and continues while the machine is suspended.
    pub boot_ns: u64,
}

impl Moment {
    /// The moment `pause` after this one, provided that the wall clock is not set in between.
    #[must_use]
    pub fn after(self, pause: Duration) -> Self {
        let ns = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        Self { wall: self.wall + pause, boot_ns: self.boot_ns.saturating_add(ns) }
    }

    /// The moment `pause` before this one, provided that the wall clock was not set in between.
    #[must_use]
    pub fn before(self, pause: Duration) -> Self {
        let ns = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
        Self { wall: self.wall - pause, boot_ns: self.boot_ns.saturating_sub(ns) }
    }
}

/// Cumulative counters of one epoch. They are never zeroed: usage is the difference between two readings of an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Identifies one lifetime of a set of counters; opaque. A retired epoch is never reused.
    pub epoch: String,
    pub at: Moment,
    /// Every port that has counters, including draining ones.
    pub ports: ByPort,
    /// Those of `ports` that are no longer watched; these are their last bytes.
    pub draining: BTreeSet<u16>,
    pub others: Others,
    /// What was refused, cumulative like the counters.
    pub blocked: Blocked,
    /// The counters of the devices themselves, cumulative since each device was created; read right after the port
    /// counters.
    pub devices: Vec<Device>,
}

/// A time for which the traffic of an interface is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    pub start: Moment,
    pub end: Moment,
    pub interface: String,
    /// The reason in words, for a person who reads the bill: `the counter was detached (ingress)`.
    pub why: String,
}

#[cfg(test)]
mod tests;
