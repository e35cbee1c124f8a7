//! EDGE clock: the only place that reads the system's clocks.
#![expect(clippy::disallowed_methods, reason = "edge: clock")]

use chrono::Utc;
use rustix::time::{ClockId, clock_gettime};

use crate::ledger::reading::Moment;

/// The present time on both clocks.
pub fn now() -> Moment {
    let boot = clock_gettime(ClockId::Boottime);
    // The boot-time clock starts at zero and a u64 of nanoseconds holds 584 years.
    let boot_ns = u64::try_from(boot.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(boot.tv_nsec).unwrap_or(0);
    Moment { wall: Utc::now(), boot_ns }
}
