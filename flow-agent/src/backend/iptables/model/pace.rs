//! PURE: how soon the counters are to be read again, where limits are kept by readings.
//!
//! Rules count and refuse; that a limit is reached only a reading tells. What passes between the moment at which a limit is
//! reached and the reading that sees it is too much, so that readings come the closer the less is left: long before a user
//! could have used up the rest, even if traffic begins all at once at [`LINK_BYTES_PER_SEC`].

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ledger::reading::Moment;

/// Two readings are never further apart: a port that somebody opened is cut again within this time.
pub const SLOWEST: Duration = Duration::from_secs(5);
/// Two readings are never closer together.
pub const FASTEST: Duration = Duration::from_millis(200);
/// How soon a reading that failed is tried again: somebody changed the rules, and an inspection mends them.
pub const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Readings take no more than this part of a CPU.
const COST_SHARE: u32 = 20;
/// A user who is idle now may begin at once: 1 Gbit/s.
pub const LINK_BYTES_PER_SEC: u64 = 125_000_000;

/// What the last reading for limits left.
#[derive(Default)]
pub struct Pace {
    pub before: Option<Look>,
    /// How soon the next one is to come; `None` while nobody has a budget.
    pub again_after: Option<Duration>,
}

/// A reading for limits.
pub struct Look {
    pub at: Moment,
    /// What the ports of each user had moved, in bytes.
    pub moved: BTreeMap<String, u64>,
}

impl Pace {
    /// Other counters count from now on.
    pub fn forget(&mut self) {
        self.before = None;
    }
}

impl Look {
    /// How many bytes a second a user has moved since, who has moved `moved` at `at`; 0 where it is not known.
    pub fn rate(&self, user: &str, moved: u64, at: Moment) -> u64 {
        let Some(before) = self.moved.get(user) else { return 0 };
        let millis = at.boot_ns.saturating_sub(self.at.boot_ns) / 1_000_000;
        moved.saturating_sub(*before).saturating_mul(1_000) / millis.max(1)
    }
}

/// How soon to read again where `left` bytes are left of a limit, by ports that move `rate` bytes a second, when a reading takes
/// `cost`. Nothing is left of a port that is cut: no haste.
pub fn pause(left: u64, rate: u64, cost: Duration) -> Duration {
    if left == 0 {
        return SLOWEST;
    }
    let assumed = rate.saturating_mul(2).max(LINK_BYTES_PER_SEC);
    // Half of the time in which the rest would be used up, in milliseconds.
    let millis = u128::from(left) * 500 / u128::from(assumed);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)).clamp(fastest(cost), SLOWEST)
}

/// The shortest time between two readings that take `cost`.
fn fastest(cost: Duration) -> Duration {
    cost.saturating_mul(COST_SHARE).clamp(FASTEST, SLOWEST)
}

/// How many bytes may pass beyond a limit at `rate` bytes a second, when a reading takes `cost`: the limit may be reached right
/// after a reading has looked at its counter, and is seen by the next one, which takes its time, as the change of rules does.
pub fn overshoot(rate: u64, cost: Duration) -> u64 {
    let nanos = (fastest(cost) + cost.saturating_mul(3)).as_nanos();
    u64::try_from(u128::from(rate) * nanos / 1_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
