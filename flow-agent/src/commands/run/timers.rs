//! When what is to be done next, by the boot-time clock in nanoseconds.

use std::time::Duration;

use crate::config::Config;
use crate::ledger::reading::Moment;

/// How often the attachments are looked at, besides when the kernel says that an interface changed.
pub const INSPECT_EVERY: Duration = Duration::from_secs(5);

/// How often to look for listening sockets; nothing tells of them.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often to look for NAT rules; nothing tells of them.
pub const LOOK_FOR_NAT_EVERY: Duration = Duration::from_secs(3_600);

/// How often to look for traffic over devices that are not counted.
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
    /// Timers of an agent that starts now.
    pub fn start(now: Moment, config: &Config) -> Self {
        Self {
            checkpoint_at: after(now, config.count.checkpoint),
            inspect_at: after(now, INSPECT_EVERY),
            look_at: after(now, LOOK_EVERY),
            // Not at once: other programs are asked, and at a start there is enough to do.
            nat_at: after(now, INSPECT_EVERY),
            elsewhere_at: after(now, INSPECT_EVERY),
            heartbeat_at: now.boot_ns,
        }
    }
}

/// The boot-time clock after `pause`.
pub fn after(now: Moment, pause: Duration) -> u64 {
    // A u64 of nanoseconds holds 584 years of uptime.
    now.boot_ns.saturating_add(u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX))
}
