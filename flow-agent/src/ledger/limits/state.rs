//! A user's standing in a billing month: what was used of the quota, what is left, and what follows from that.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::Serialize;

use crate::ledger::billing::Billed;
use crate::ledger::month::Month;
use crate::ledger::statement::Statement;
use crate::ledger::user::{OnQuota, User};

/// A user's standing in a billing month that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserMonth {
    pub user: String,
    pub month: Month,
    /// Including what was granted; `None` if the user has no quota.
    pub quota_bytes: Option<u64>,
    /// The part of the quota that was granted for this month alone.
    pub granted_bytes: u64,
    /// Billed bytes that flow-agent counted.
    pub counted_bytes: u64,
    /// What was used before flow-agent began to count, according to the configuration.
    pub used_before_bytes: u64,
    /// `counted_bytes` and `used_before_bytes` together.
    pub used_bytes: u64,
    /// `None` if the user has no quota.
    pub left_bytes: Option<u64>,
    /// What will have been used when the month ends, at the present rate; `None` if too little is known.
    pub forecast_bytes: Option<u64>,
    /// The last day on which the user's traffic passes.
    pub expires: Option<NaiveDate>,
    pub on_quota: OnQuota,
    #[serde(flatten)]
    pub condition: Condition,
    /// Part of the time was not measured, so more may have been used than is known.
    pub is_incomplete: bool,
    /// Whether nothing of the user passes on any node that is judged here. On a main node, a single node may have dropped
    /// traffic because its share is used up.
    #[serde(skip)]
    pub is_dropped_everywhere: bool,
}

/// What follows from the usage and the date.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Condition {
    Open,
    /// At least this much of the quota is used, in percent: the highest level of the configuration that was reached.
    Warned {
        level: u32,
    },
    /// The quota is used up, and traffic is dropped.
    Cut {
        /// The day on which it was used up; `None` if that was before anything was counted.
        since: Option<NaiveDate>,
        /// The nodes that drop the traffic: each node enforces quotas by itself.
        nodes: Vec<String>,
    },
    /// The last day has passed.
    Expired {
        /// The first day without traffic.
        since: NaiveDate,
    },
}

/// What is known about a user besides the configuration.
#[derive(Clone, Copy, Debug)]
pub struct KnownOfUser<'a> {
    /// The user's statement of the month so far.
    pub statement: Option<&'a Statement>,
    pub granted: u64,
    pub used_before: u64,
    /// What will have been counted when the month ends.
    pub forecast: Option<u64>,
    pub is_incomplete: bool,
    /// The agent reports that the node refuses the user's packets: what is left of the quota is too small for one of
    /// them.
    pub is_refused: bool,
}

/// What is the same for all users.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    pub month: Month,
    pub first_day: NaiveDate,
    pub today: NaiveDate,
    pub billed: Billed,
    /// Percent of the quota, ascending.
    pub warn: &'a [u32],
    /// The node itself, or `None` on a main node, which sees all nodes.
    pub node: Option<&'a str>,
}

impl UserMonth {
    /// How `user` stands: on a node by its own share of the quota, on a main node by the whole quota and the usage on
    /// all nodes.
    pub fn new(rules: &Rules<'_>, user: &User, known: KnownOfUser<'_>) -> Self {
        let quota = match rules.node {
            Some(node) => user.quota_on(node),
            None => user.quota_bytes,
        };
        let quota_bytes = quota.map(|quota| quota.saturating_add(known.granted));
        let counted_bytes = known.statement.map_or(0, |statement| statement.billed_bytes);
        let used_bytes = counted_bytes.saturating_add(known.used_before);
        let condition = condition(rules, user, known, quota_bytes, used_bytes);
        let is_dropped_everywhere = match &condition {
            Condition::Open | Condition::Warned { .. } => false,
            Condition::Cut { .. } => rules.node.is_some() || quota_bytes.is_some_and(|quota| used_bytes >= quota),
            Condition::Expired { .. } => true,
        };
        Self {
            user: user.name.clone(),
            month: rules.month,
            quota_bytes,
            granted_bytes: known.granted,
            counted_bytes,
            used_before_bytes: known.used_before,
            used_bytes,
            left_bytes: quota_bytes.map(|quota| quota.saturating_sub(used_bytes)),
            forecast_bytes: known.forecast.map(|bytes| bytes.saturating_add(known.used_before)),
            expires: user.expires,
            on_quota: user.on_quota,
            condition,
            is_incomplete: known.is_incomplete,
            is_dropped_everywhere,
        }
    }

    /// The highest of `levels` (ascending percentages) that has been reached.
    pub fn level(&self, levels: &[u32]) -> Option<u32> {
        reached(levels, self.quota_bytes?, self.used_bytes)
    }
}

/// Whether `used` is at least `level` percent of `quota`.
fn has_reached(level: u32, quota: u64, used: u64) -> bool {
    u128::from(used) * 100 >= u128::from(quota) * u128::from(level)
}

/// The highest of `levels` (percent) that `used` of `quota` has reached.
pub fn reached(levels: &[u32], quota: u64, used: u64) -> Option<u32> {
    levels.iter().copied().filter(|level| has_reached(*level, quota, used)).max()
}

fn condition(rules: &Rules<'_>, user: &User, known: KnownOfUser<'_>, quota: Option<u64>, used: u64) -> Condition {
    if let Some(last) = user.expires.filter(|last| *last < rules.today) {
        return Condition::Expired { since: last.succ_opt().unwrap_or(last) };
    }
    let nodes = cut_on(rules, user, known, quota, used);
    if let (false, Some(quota)) = (nodes.is_empty(), quota) {
        return Condition::Cut { since: day_of(rules, known, quota), nodes };
    }
    if let (true, OnQuota::Drop, Some(node)) = (known.is_refused, user.on_quota, rules.node) {
        // Nothing passed after the cut, so it happened on the day of the last byte.
        return Condition::Cut { since: day_of(rules, known, used), nodes: vec![node.to_owned()] };
    }
    match quota.and_then(|quota| reached(rules.warn, quota, used)) {
        Some(level) => Condition::Warned { level },
        None => Condition::Open,
    }
}

/// The nodes on which the user's traffic is dropped, as far as can be told from what was counted.
fn cut_on(rules: &Rules<'_>, user: &User, known: KnownOfUser<'_>, quota: Option<u64>, used: u64) -> Vec<String> {
    if user.on_quota != OnQuota::Drop {
        return Vec::new();
    }
    if let Some(node) = rules.node {
        return quota.filter(|quota| used >= *quota).map(|_| node.to_owned()).into_iter().collect();
    }
    // Each node also charges its part of what was used before counting began.
    let is_cut = |node: &&str| {
        let counters = known.statement.and_then(|statement| statement.by_node.get(node));
        let used_before = user.part_on(node, known.used_before);
        let counted = counters.map_or(0, |counters| rules.billed.bytes(counters)).saturating_add(used_before);
        user.quota_on(node).is_some_and(|quota| counted >= quota.saturating_add(known.granted))
    };
    let counted_on = known.statement.into_iter().flat_map(|statement| statement.by_node.names());
    let nodes: BTreeSet<&str> = user.nodes.iter().map(String::as_str).chain(counted_on).collect();
    nodes.into_iter().filter(is_cut).map(str::to_owned).collect()
}

/// The day on which `quota` was used up. `None` if it was used up before this month's counts, or if only the shares of
/// single nodes are.
fn day_of(rules: &Rules<'_>, known: KnownOfUser<'_>, quota: u64) -> Option<NaiveDate> {
    let (mut inward, mut outward) = (0_u64, 0_u64);
    for (day, (day_in, day_out)) in rules.first_day.iter_days().zip(known.statement?.days.iter()) {
        (inward, outward) = (inward.saturating_add(*day_in), outward.saturating_add(*day_out));
        let counted = match rules.billed {
            Billed::Both => inward.saturating_add(outward),
            Billed::In => inward,
            Billed::Out => outward,
            Billed::Max => inward.max(outward),
        };
        if counted.saturating_add(known.used_before) >= quota {
            return Some(day).filter(|_| known.used_before < quota);
        }
    }
    None
}

#[cfg(test)]
mod tests;
