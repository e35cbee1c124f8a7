//! How much the counters of one user's ports may still grow.
//!
//! A quota belongs to a billing month, but counters are cumulative and know no month. [`Limit::new`] translates one
//! into the other: it gives the values that the counters will have when the quota is used up. Usage and counters grow
//! by the same bytes, so the result does not depend on the moment of the reading that it was made from.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::ledger::billing::Billed;
use crate::ledger::counters::Counters;

/// How much the ports of one user may transfer on this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserBudget {
    pub user: String,
    pub ports: BTreeSet<u16>,
    /// `None` if only the time is limited.
    pub quota: Option<MonthlyQuota>,
    /// When the user expires: nothing passes from then on.
    pub expires_at: Option<DateTime<Utc>>,
}

impl UserBudget {
    /// How many bytes its ports may still transfer when their counters are at `counters`; 0 when nothing may pass any
    /// more, `None` where only the time is limited.
    pub fn left(&self, counters: Transferred, now: DateTime<Utc>) -> Option<u64> {
        if self.expires_at.is_some_and(|at| at <= now) {
            return Some(0);
        }
        self.quota.map(|quota| match quota.next {
            // The usage of a month that has just begun is not known yet: nearly all of the quota is left.
            Some(next) if next.at <= now => next.bytes,
            Some(_) | None => quota.limit.left(counters),
        })
    }
}

/// A quota of the current billing month, and of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonthlyQuota {
    pub limit: Limit,
    /// Given in advance, so that the month turns even if no agent runs. `None` leaves the present limit in force.
    pub next: Option<NextMonth>,
}

/// The values of the counters (in one epoch, summed over the ports of the budget) at which a quota is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// In and out together.
    Both(u64),
    In(u64),
    Out(u64),
    /// Each direction by itself; the quota is used up when one of them is.
    Max(Transferred),
}

/// The billing month after the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextMonth {
    pub at: DateTime<Utc>,
    /// Its quota, in bytes.
    pub bytes: u64,
}

/// Bytes of a user's ports, of both protocols together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transferred {
    pub in_bytes: u64,
    pub out_bytes: u64,
}

impl Transferred {
    /// The sum over the counters of some ports; saturating.
    pub fn sum<'a>(counters: impl IntoIterator<Item = &'a Counters>) -> Self {
        counters.into_iter().fold(Self::default(), |sum, counters| Self {
            in_bytes: sum.in_bytes.saturating_add(counters.in_bytes()),
            out_bytes: sum.out_bytes.saturating_add(counters.out_bytes()),
        })
    }

    /// In and out together; saturating.
    pub fn both(self) -> u64 {
        self.in_bytes.saturating_add(self.out_bytes)
    }
}

impl Limit {
    /// How many bytes the counters may still grow.
    pub fn left(self, counters: Transferred) -> u64 {
        match self {
            Self::Both(limit) => limit.saturating_sub(counters.both()),
            Self::In(limit) => limit.saturating_sub(counters.in_bytes),
            Self::Out(limit) => limit.saturating_sub(counters.out_bytes),
            Self::Max(limit) => {
                let left_in = limit.in_bytes.saturating_sub(counters.in_bytes);
                left_in.min(limit.out_bytes.saturating_sub(counters.out_bytes))
            }
        }
    }

    /// The limit for counters that are now at `counters`, when `used` of the month's `quota` is used, and `used_before`
    /// bytes more that these counters never saw. A quota that is used up gives a limit that the counters have already
    /// reached.
    pub fn new(billed: Billed, quota: u64, used: Transferred, used_before: u64, counters: Transferred) -> Self {
        let limit = |counters: u64, used: u64| {
            let end = i128::from(counters) + i128::from(quota) - i128::from(used) - i128::from(used_before);
            u64::try_from(end.max(0)).unwrap_or(u64::MAX)
        };
        match billed {
            Billed::Both => Self::Both(limit(counters.both(), used.both())),
            Billed::In => Self::In(limit(counters.in_bytes, used.in_bytes)),
            Billed::Out => Self::Out(limit(counters.out_bytes, used.out_bytes)),
            Billed::Max => Self::Max(Transferred {
                in_bytes: limit(counters.in_bytes, used.in_bytes),
                out_bytes: limit(counters.out_bytes, used.out_bytes),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
