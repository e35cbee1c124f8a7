//! How a user stands in a billing month: what was used of the quota, what is left, and what follows from it.

use chrono::NaiveDate;
use serde::Serialize;

use crate::ledger::billing::Billed;
use crate::ledger::month::Month;
use crate::ledger::statement::Statement;
use crate::ledger::user::{OnQuota, User};

/// How a user stands in a billing month that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserMonth {
    pub user: String,
    pub month: Month,
    /// With what was granted; `None`: without a quota.
    pub quota_bytes: Option<u64>,
    /// The part of the quota that was granted for this month alone.
    pub granted_bytes: u64,
    /// Billed bytes that flow-agent counted.
    pub counted_bytes: u64,
    /// What was used before flow-agent counted, as the configuration says.
    pub used_before_bytes: u64,
    /// Both of these.
    pub used_bytes: u64,
    /// `None` without a quota.
    pub left_bytes: Option<u64>,
    /// What will have been used when the month ends, if it goes on like this; `None` if too little is known.
    pub forecast_bytes: Option<u64>,
    /// The last day on which the user's traffic passes.
    pub expires: Option<NaiveDate>,
    pub on_quota: OnQuota,
    #[serde(flatten)]
    pub condition: Condition,
    /// Part of the time was not measured, so that more may have been used than is known.
    pub is_incomplete: bool,
}

/// What follows from the usage and the day.
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
        /// Where: quotas are enforced by each node for itself.
        nodes: Vec<String>,
    },
    /// The last day is over.
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
    /// The agent says that the node refuses the user's packets: what is left of the quota is too little for one of them.
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
    /// How `user` stands. On a node its own share of the quota counts, on a main node the quota on all nodes together.
    pub fn new(rules: &Rules<'_>, user: &User, known: KnownOfUser<'_>) -> Self {
        let quota = match rules.node {
            Some(node) => user.quota_on(node),
            None => user.quota_bytes,
        };
        let quota_bytes = quota.map(|quota| quota.saturating_add(known.granted));
        let counted_bytes = known.statement.map_or(0, |statement| statement.billed_bytes);
        let used_bytes = counted_bytes.saturating_add(known.used_before);
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
            condition: condition(rules, user, known, quota_bytes, used_bytes),
            is_incomplete: known.is_incomplete,
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
        // Nothing passed after it was cut: that was on the day on which the last byte did.
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
    let Some(statement) = known.statement else { return Vec::new() };
    let is_cut = |node: &&str| {
        let counted = statement.by_node.get(node).map_or(0, |counters| rules.billed.bytes(counters));
        user.quota_on(node).is_some_and(|quota| counted >= quota.saturating_add(known.granted))
    };
    statement.by_node.names().filter(is_cut).map(str::to_owned).collect()
}

/// The day on which `quota` was used up; `None` if it was used up before, or on several nodes one by one.
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
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ledger::by_node::ByNode;
    use crate::ledger::counters::Counters;

    fn day(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 10, day).unwrap()
    }

    fn rules(node: Option<&str>) -> Rules<'_> {
        Rules {
            month: "2026-10".parse().unwrap(),
            first_day: day(1),
            today: day(3),
            billed: Billed::Both,
            warn: &[80, 90, 100],
            node,
        }
    }

    /// 300 bytes on each of the first three days, on two nodes.
    fn statement() -> Statement {
        let counters = |bytes| Counters { tcp_in_bytes: bytes, ..Counters::default() };
        let mut by_node = ByNode::default();
        by_node.insert("hk-1".to_owned(), counters(600));
        by_node.insert("us-1".to_owned(), counters(300));
        Statement {
            user: Some("ada".to_owned()),
            ports: vec![8388],
            total: counters(900),
            by_node,
            days: vec![(300, 0), (200, 100), (0, 300)],
            billed_bytes: 900,
            quota_bytes: None,
            granted_bytes: 0,
            used_before_bytes: 0,
            money: None,
            billed_bytes_before: None,
            only_on: std::collections::BTreeSet::new(),
            state: None,
            open_nodes: std::collections::BTreeSet::new(),
            rev: 0,
            draft: false,
            history: Vec::new(),
        }
    }

    fn state(rules: &Rules<'_>, user: &User, granted: u64, used_before: u64) -> UserMonth {
        let statement = statement();
        UserMonth::new(rules, user, known(&statement, granted, used_before))
    }

    fn known(statement: &Statement, granted: u64, used_before: u64) -> KnownOfUser<'_> {
        KnownOfUser {
            statement: Some(statement),
            granted,
            used_before,
            forecast: None,
            is_incomplete: false,
            is_refused: false,
        }
    }

    fn limited(quota: u64, on_quota: OnQuota) -> User {
        User { name: "ada".to_owned(), quota_bytes: Some(quota), on_quota, ..User::default() }
    }

    #[test]
    fn usage_is_what_was_counted_and_what_was_used_before() {
        let state = state(&rules(Some("hk-1")), &limited(1_000, OnQuota::Count), 500, 50);
        assert_eq!((state.used_bytes, state.quota_bytes, state.left_bytes), (950, Some(1_500), Some(550)));
        assert_eq!(state.condition, Condition::Open);
    }

    #[test]
    fn the_highest_level_that_was_reached_counts() {
        let condition = |quota| state(&rules(Some("hk-1")), &limited(quota, OnQuota::Count), 0, 0).condition;
        assert_eq!(condition(1_126), Condition::Open, "900 of 1126 bytes are less than 80 %");
        assert_eq!(condition(1_125), Condition::Warned { level: 80 });
        assert_eq!(condition(1_000), Condition::Warned { level: 90 });
        assert_eq!(condition(901), Condition::Warned { level: 90 });
        assert_eq!(condition(900), Condition::Warned { level: 100 });
        assert_eq!(condition(1), Condition::Warned { level: 100 });
    }

    #[test]
    fn a_cut_names_the_day_on_which_the_quota_was_used_up() {
        let cut = |quota, used_before| state(&rules(Some("hk-1")), &limited(quota, OnQuota::Drop), 0, used_before);
        let nodes = vec!["hk-1".to_owned()];
        assert_eq!(cut(600, 0).condition, Condition::Cut { since: Some(day(2)), nodes: nodes.clone() });
        assert_eq!(cut(601, 0).condition, Condition::Cut { since: Some(day(3)), nodes: nodes.clone() });
        assert_eq!(cut(600, 300).condition, Condition::Cut { since: Some(day(1)), nodes: nodes.clone() });
        assert_eq!(cut(600, 600).condition, Condition::Cut { since: None, nodes });
        assert_eq!(cut(901, 0).condition, Condition::Warned { level: 90 });
    }

    #[test]
    fn a_user_whose_packets_are_refused_is_cut_although_a_little_is_left() {
        let mut statement = statement();
        // Of 950 bytes 50 are left, and a larger packet came on the third day; on the fourth nothing passed.
        statement.days.push((0, 0));
        let refused = KnownOfUser { is_refused: true, ..known(&statement, 0, 0) };
        let rules = Rules { today: day(4), ..rules(Some("hk-1")) };
        let state = UserMonth::new(&rules, &limited(950, OnQuota::Drop), refused);
        assert_eq!(state.condition, Condition::Cut { since: Some(day(3)), nodes: vec!["hk-1".to_owned()] });
        assert_eq!(state.left_bytes, Some(50));
        let counted = UserMonth::new(&rules, &limited(950, OnQuota::Count), refused);
        assert_eq!(counted.condition, Condition::Warned { level: 90 });
    }

    #[test]
    fn a_main_node_sees_which_share_is_used_up() {
        let shares = BTreeMap::from([("hk-1".to_owned(), 600), ("us-1".to_owned(), 400)]);
        let user = User { shares, ..limited(1_000, OnQuota::Drop) };
        let Condition::Cut { nodes, .. } = state(&rules(None), &user, 0, 0).condition else { panic!("it is not cut") };
        assert_eq!(nodes, ["hk-1"]);
        assert_eq!(state(&rules(None), &user, 0, 0).left_bytes, Some(100));
        let whole = limited(1_000, OnQuota::Drop);
        assert_eq!(state(&rules(None), &whole, 0, 0).condition, Condition::Warned { level: 90 });
    }

    #[test]
    fn a_user_expires_at_the_end_of_the_last_day() {
        let expires = |last| User { expires: Some(day(last)), ..limited(10_000, OnQuota::Count) };
        assert_eq!(state(&rules(Some("hk-1")), &expires(3), 0, 0).condition, Condition::Open);
        assert_eq!(state(&rules(Some("hk-1")), &expires(2), 0, 0).condition, Condition::Expired { since: day(3) });
    }
}
