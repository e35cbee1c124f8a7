//! PURE: how soon to read the counters again when limits are enforced by readings.
//!
//! Rules can count and refuse, but only a reading shows that a limit has been reached. What passes between that moment
//! and the reading exceeds the limit. So readings become more frequent the less is left: the next one comes long before
//! a user could use up the rest, even if traffic suddenly starts at [`LINK_BYTES_PER_SEC`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ledger::limits::budget::{Transferred, UserBudget};
use crate::ledger::reading::{Moment, Reading};

/// The longest time between two readings. Within this time a port is cut again if somebody opened it.
pub const SLOWEST: Duration = Duration::from_secs(5);
/// The shortest time between two readings.
pub const FASTEST: Duration = Duration::from_millis(200);
/// How soon to try again after a failed reading. Typically somebody changed the rules, and an inspection will repair
/// them.
pub const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// Readings take at most one part in this many of a CPU's time.
const COST_SHARE: u32 = 20;
/// The rate at which an idle user might suddenly start: 1 Gbit/s.
pub const LINK_BYTES_PER_SEC: u64 = 125_000_000;

/// The state between two readings for limits.
#[derive(Default)]
pub struct Pace {
    pub before: Option<Look>,
    /// How soon the next reading should come. `None` while nobody has a budget.
    pub again_after: Option<Duration>,
}

/// A reading for limits.
pub struct Look {
    pub at: Moment,
    /// The bytes that each user's ports had transferred, by user.
    pub moved: BTreeMap<String, u64>,
}

impl Pace {
    /// Forgets the last reading, because other counters count from now on.
    pub fn forget(&mut self) {
        self.before = None;
    }
}

impl Look {
    /// The user's rate in bytes per second since this reading, given that `moved` is the total at `at`. 0 if it is
    /// unknown.
    pub fn rate(&self, user: &str, moved: u64, at: Moment) -> u64 {
        let Some(before) = self.moved.get(user) else { return 0 };
        let millis = at.boot_ns.saturating_sub(self.at.boot_ns) / 1_000_000;
        moved.saturating_sub(*before).saturating_mul(1_000) / millis.max(1)
    }
}

impl Pace {
    /// The ports whose budget is used up or whose user has expired. Also plans the next reading, given that this one
    /// took `cost`.
    pub fn decide(&mut self, budgets: &[UserBudget], reading: &Reading, cost: Duration) -> BTreeSet<u16> {
        let before = self.before.take();
        let mut cut = BTreeSet::new();
        let mut moved = BTreeMap::new();
        let mut again_after = SLOWEST;
        for budget in budgets {
            let now = Transferred::sum(budget.ports.iter().filter_map(|port| reading.ports.get(port)));
            let left = budget.left(now, reading.at.wall);
            if left == Some(0) {
                cut.extend(&budget.ports);
            }
            let rate = before.as_ref().map_or(0, |look| look.rate(&budget.user, now.both(), reading.at));
            moved.insert(budget.user.clone(), now.both());
            let until_expiry = budget.expires_at.map(|at| (at - reading.at.wall).to_std().unwrap_or(SLOWEST));
            let until_used_up = left.map(|left| pause(left, rate, cost));
            again_after = [until_expiry, until_used_up].into_iter().flatten().fold(again_after, Duration::min);
        }
        self.before = Some(Look { at: reading.at, moved });
        self.again_after = Some(again_after.max(FASTEST));
        cut
    }
}

/// How soon to read again if `left` bytes of a limit are left, the ports transfer `rate` bytes per second, and a
/// reading takes `cost`. If nothing is left, the port is cut and there is no hurry.
pub fn pause(left: u64, rate: u64, cost: Duration) -> Duration {
    if left == 0 {
        return SLOWEST;
    }
    let assumed = rate.saturating_mul(2).max(LINK_BYTES_PER_SEC);
    // Half of the time in which the rest would be used up, in milliseconds.
    let millis = u128::from(left) * 500 / u128::from(assumed);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)).clamp(fastest(cost), SLOWEST)
}

/// The shortest time between two readings if each takes `cost`.
fn fastest(cost: Duration) -> Duration {
    cost.saturating_mul(COST_SHARE).clamp(FASTEST, SLOWEST)
}

/// How many bytes may pass beyond a limit at `rate` bytes per second if a reading takes `cost`. In the worst case the
/// limit is reached right after a reading has looked at the counter. The next reading notices it, but that reading and
/// the change of the rules take time too.
pub fn overshoot(rate: u64, cost: Duration) -> u64 {
    let nanos = (fastest(cost) + cost.saturating_mul(3)).as_nanos();
    u64::try_from(u128::from(rate) * nanos / 1_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
