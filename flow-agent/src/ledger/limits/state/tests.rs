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
        only_on: BTreeSet::new(),
        state: None,
        open_nodes: BTreeSet::new(),
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
    assert_eq!(cut(600, 600).condition, Condition::Cut { since: None, nodes: nodes.clone() });
    assert_eq!(cut(900, 0).condition, Condition::Cut { since: Some(day(3)), nodes });
    assert_eq!(cut(901, 0).condition, Condition::Warned { level: 90 });
}

#[test]
fn a_user_whose_packets_are_refused_is_cut_although_a_little_is_left() {
    let mut statement = statement();
    // 50 of 950 bytes are left. A larger packet came on the third day, and on the fourth nothing passed.
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
    assert!(
        !state(&rules(None), &user, 0, 0).is_dropped_everywhere
            && state(&rules(None), &user, 0, 100).is_dropped_everywhere
    );
    // us-1 counted 300 of 400 and charges 40 of the 100 that were used before.
    let Condition::Cut { nodes, .. } = state(&rules(None), &user, 0, 100).condition else { panic!("it is not cut") };
    assert_eq!(nodes, ["hk-1"]);
    // hk-1 counted 600 and charges the 400 that were used before.
    let Condition::Cut { nodes, .. } = state(&rules(None), &whole, 0, 400).condition else { panic!("it is not cut") };
    assert_eq!(nodes, ["hk-1"]);
    // Everything was used before anything was counted.
    let elsewhere = User { nodes: BTreeSet::from(["jp-1".to_owned()]), ..whole };
    let known = KnownOfUser { statement: None, ..known(&statement(), 0, 1_000) };
    let Condition::Cut { nodes, .. } = UserMonth::new(&rules(None), &elsewhere, known).condition else {
        panic!("it is not cut")
    };
    assert_eq!(nodes, ["jp-1"]);
}

#[test]
fn a_user_expires_at_the_end_of_the_last_day() {
    let expires = |last| User { expires: Some(day(last)), ..limited(10_000, OnQuota::Count) };
    assert_eq!(state(&rules(Some("hk-1")), &expires(3), 0, 0).condition, Condition::Open);
    assert_eq!(state(&rules(Some("hk-1")), &expires(2), 0, 0).condition, Condition::Expired { since: day(3) });
}
