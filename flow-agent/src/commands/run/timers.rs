//! When each task is due next, on the boot-time clock in nanoseconds.

use std::time::Duration;

use crate::config::Config;
use crate::ledger::reading::Moment;

/// How often the attachments are inspected, besides whenever the kernel reports a change of an interface.
pub const INSPECT_EVERY: Duration = Duration::from_secs(5);

/// How often to look for listening sockets, because nothing reports them.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often to look for NAT rules, because nothing reports them.
pub const LOOK_FOR_NAT_EVERY: Duration = Duration::from_secs(3_600);

/// How often to look for traffic on devices that are not counted.
pub const LOOK_ELSEWHERE_EVERY: Duration = Duration::from_secs(300);

/// The agent's timers.
#[derive(Debug)]
pub struct Timers {
    pub checkpoint_at: u64,
    pub inspect_at: u64,
    pub look_at: u64,
    pub nat_at: u64,
    pub elsewhere_at: u64,
    pub heartbeat_at: u64,
}

impl Timers {
    /// The timers of an agent that starts now.
    pub fn start(now: Moment, config: &Config) -> Self {
        Self {
            checkpoint_at: after(now, config.count.checkpoint),
            inspect_at: after(now, INSPECT_EVERY),
            look_at: after(now, LOOK_EVERY),
            // Not at once: this runs other programs, and there is enough to do at a start.
            nat_at: after(now, INSPECT_EVERY),
            elsewhere_at: after(now, INSPECT_EVERY),
            heartbeat_at: now.boot_ns,
        }
    }
}

/// The value of the boot-time clock `pause` after `now`, in nanoseconds.
pub fn after(now: Moment, pause: Duration) -> u64 {
    // A u64 of nanoseconds holds 584 years of uptime.
    now.boot_ns.saturating_add(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX))
}
