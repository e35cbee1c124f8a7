//! The standing of users with regard to their quotas, to the byte, by the present counters and by what the kernel
//! refuses.

use std::collections::BTreeMap;

use super::log_sums::Dates;
use crate::commands::run::asks::About;
use crate::ledger::calendar::Month;
use crate::ledger::counters::Counters;
use crate::ledger::limits::{grant, state};
use crate::ledger::now::QuotaStanding;
use crate::ledger::user::{OnQuota, User};
use crate::store::first_counted::FirstCounted;
use crate::store::{StateDir, StoreError, grants};

/// What affects a quota besides the usage that was counted.
#[derive(Clone, Debug, Default)]
pub struct Allowances {
    /// Bytes that were granted for this month, by user.
    granted: BTreeMap<String, u64>,
    /// The billing month in which counting began.
    first_counted: Option<Month>,
}

impl Allowances {
    /// Reads the allowances of this month. `first` is kept for the next time.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(state: &StateDir, dates: Dates, users: &[User], first: &mut FirstCounted) -> Result<Self, StoreError> {
        let granted = grant::granted(&grants::read(state)?.lines, dates.month);
        let must_know_first = users.iter().any(|user| user.used.is_some_and(|used| used.month.is_none()));
        let first = if must_know_first { first.day(state)? } else { None };
        Ok(Self { granted, first_counted: first.map(|day| dates.month_of(day)) })
    }
}

/// A user's standing in this billing month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserStanding {
    /// Including what was granted; `None` if the user has no quota on this node.
    pub quota: Option<u64>,
    /// Billed bytes, including those used before flow-agent began to count.
    pub used: u64,
    pub state: QuotaStanding,
}

/// The standing of `user`, for whom `counted` was counted this month.
pub fn of(about: &About, allowances: &Allowances, dates: Dates, user: &User, counted: Counters) -> UserStanding {
    let granted = allowances.granted.get(&user.name).copied().unwrap_or(0);
    let quota = user.quota_on(&about.config.node).map(|quota| quota.saturating_add(granted));
    let before = user.used_before_on(&about.config.node, dates.month, allowances.first_counted);
    let used = about.config.report.billed.bytes(counted).saturating_add(before);
    let is_used_up = user.on_quota == OnQuota::Drop && quota.is_some_and(|quota| used >= quota);
    let level = quota.and_then(|quota| state::reached(&about.config.limits.warn, quota, used));
    let state = match () {
        () if user.expires.is_some_and(|last| last < dates.today) => QuotaStanding::Expired,
        // The kernel refuses a packet that does not fit, and then everything: a little of the quota may be left.
        () if is_used_up || about.refused.contains(&user.name) => QuotaStanding::Cut,
        () if level.is_some() => QuotaStanding::Warned,
        () => QuotaStanding::Open,
    };
    UserStanding { quota, used, state }
}

#[cfg(test)]
mod tests;
