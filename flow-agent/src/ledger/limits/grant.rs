//! One-off allowances: bytes that were granted to a user for one billing month.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};

use crate::ledger::month::Month;
use crate::ledger::record::{Kind, stamp};

/// `grants.jsonl`: one grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantLine {
    pub v: u32,
    pub kind: Kind,
    #[serde(with = "stamp")]
    pub at: DateTime<FixedOffset>,
    /// The billing month in which the bytes may be used.
    pub month: Month,
    pub user: String,
    /// Added to the quota; negative where a grant was taken back.
    pub bytes: i64,
}

/// The bytes that each user was granted for `month`. A negative sum counts as zero.
pub fn granted(lines: &[GrantLine], month: Month) -> BTreeMap<String, u64> {
    let mut sums: BTreeMap<String, i128> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.month == month) {
        *sums.entry(line.user.clone()).or_default() += i128::from(line.bytes);
    }
    let bytes = |sum: i128| u64::try_from(sum.max(0)).unwrap_or(u64::MAX);
    sums.into_iter().map(|(user, sum)| (user, bytes(sum))).filter(|(_, bytes)| *bytes > 0).collect()
}

#[cfg(test)]
mod tests;
