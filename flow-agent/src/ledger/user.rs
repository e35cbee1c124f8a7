//! A user as described in the configuration.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::language::Language;
use super::month::Month;

/// A user from `[[users]]` or from the users file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub ports: BTreeSet<u16>,
    /// If `None`, no letter is sent.
    pub email: Option<String>,
    /// Bytes per billing month, on all nodes together; the sum of `shares` where there are any.
    pub quota_bytes: Option<u64>,
    /// What happens to the traffic when the quota is used up.
    pub on_quota: OnQuota,
    /// The last day, in the zone of the configuration, on which the user's traffic passes.
    pub expires: Option<NaiveDate>,
    /// What was used before flow-agent began to count, on all nodes together.
    pub used: Option<UsedBefore>,
    pub language: Language,
    /// Names of nodes; an empty set means all nodes.
    pub nodes: BTreeSet<String>,
    /// The part of the quota that each node may spend, by name; empty if the quota is not divided. If it is divided,
    /// the names are those of `nodes`.
    pub shares: BTreeMap<String, u64>,
}

/// What happens to a user's traffic when the quota is used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnQuota {
    /// It passes, and is counted.
    #[default]
    Count,
    /// It is dropped until the next billing month, or until the quota is raised.
    Drop,
}

impl OnQuota {
    /// The name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Drop => "drop",
        }
    }
}

/// What a user used before flow-agent began to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedBefore {
    pub bytes: u64,
    /// The billing month that the bytes belong to; `None` means the one in which flow-agent began to count.
    pub month: Option<Month>,
}

impl User {
    /// Whether the user owns the ports in `ports` on the node of that name.
    pub fn is_on(&self, node: &str) -> bool {
        self.nodes.is_empty() || self.nodes.contains(node)
    }

    /// Whether packets of this user may be refused on the node of that name.
    pub fn is_limited_on(&self, node: &str) -> bool {
        let is_cut = self.on_quota == OnQuota::Drop && self.quota_on(node).is_some();
        self.is_on(node) && (is_cut || self.expires.is_some())
    }

    /// The bytes that the user may spend on the node of that name in a billing month. `None` if no quota applies there.
    pub fn quota_on(&self, node: &str) -> Option<u64> {
        if !self.is_on(node) {
            return None;
        }
        if self.shares.is_empty() { self.quota_bytes } else { self.shares.get(node).copied() }
    }

    /// What was used in `month` before flow-agent began to count, which was in the month `first_counted`; on all nodes
    /// together.
    pub fn used_before(&self, month: Month, first_counted: Option<Month>) -> u64 {
        self.used.map_or(0, |used| used.in_month(month, first_counted))
    }

    /// The part of [`User::used_before`] that counts on the node of that name.
    pub fn used_before_on(&self, node: &str, month: Month, first_counted: Option<Month>) -> u64 {
        self.used_on(node).map_or(0, |used| used.in_month(month, first_counted))
    }

    /// The part of `used` that counts on the node of that name. It is divided as the quota is, and rounded down, so that
    /// the parts are no more than the whole.
    pub fn used_on(&self, node: &str) -> Option<UsedBefore> {
        self.used.map(|used| UsedBefore { bytes: self.part_on(node, used.bytes), ..used })
    }

    /// The part of these bytes, which count towards the whole quota, that counts on the node of that name.
    pub fn part_on(&self, node: &str, bytes: u64) -> u64 {
        let Some(whole) = self.quota_bytes.filter(|quota| *quota > 0 && !self.shares.is_empty()) else {
            return bytes;
        };
        let share = self.shares.get(node).copied().unwrap_or(0);
        u64::try_from(u128::from(bytes) * u128::from(share) / u128::from(whole)).unwrap_or(u64::MAX)
    }
}

impl UsedBefore {
    fn in_month(self, month: Month, first_counted: Option<Month>) -> u64 {
        // As long as nothing has been counted, counting begins in this month.
        let belongs_to = self.month.or(first_counted).unwrap_or(month);
        if belongs_to == month { self.bytes } else { 0 }
    }
}

#[cfg(test)]
mod tests;
