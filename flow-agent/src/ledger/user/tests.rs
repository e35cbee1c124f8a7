use super::*;

#[test]
fn what_happens_at_the_quota_is_named_as_in_the_configuration() {
    assert_eq!([OnQuota::Count, OnQuota::Drop].map(OnQuota::name), ["count", "drop"]);
}

#[test]
fn a_divided_quota_holds_on_each_node_by_its_share() {
    let whole = User { quota_bytes: Some(500), ..User::default() };
    assert_eq!(whole.quota_on("hk-1"), Some(500));
    let shares = BTreeMap::from([("hk-1".to_owned(), 300), ("us-1".to_owned(), 200)]);
    let divided = User { nodes: shares.keys().cloned().collect(), shares, ..whole };
    assert_eq!(divided.quota_on("hk-1"), Some(300));
    assert_eq!(divided.quota_on("us-1"), Some(200));
    assert_eq!(divided.quota_on("sg-1"), None);
}

#[test]
fn only_who_is_cut_or_expires_is_limited_and_only_on_its_nodes() {
    let counted = User { quota_bytes: Some(5), ..User::default() };
    let cut = User { on_quota: OnQuota::Drop, ..counted.clone() };
    let elsewhere = User { nodes: ["us-1".to_owned()].into(), ..cut.clone() };
    let expires = User { expires: NaiveDate::from_ymd_opt(2026, 12, 31), ..User::default() };
    let limited = [counted, cut, elsewhere, expires].map(|user| user.is_limited_on("hk-1"));
    assert_eq!(limited, [false, true, false, true]);
}

#[test]
fn earlier_usage_belongs_to_one_month() {
    let month = |text: &str| text.parse::<Month>().unwrap();
    let user = |in_month| User { used: Some(UsedBefore { bytes: 7, month: in_month }), ..User::default() };
    let (october, november) = (month("2026-10"), month("2026-11"));
    assert_eq!(user(Some(october)).used_before(october, Some(november)), 7);
    assert_eq!(user(Some(october)).used_before(november, Some(october)), 0);
    assert_eq!(user(None).used_before(november, Some(november)), 7);
    assert_eq!(user(None).used_before(november, Some(october)), 0);
    assert_eq!(user(None).used_before(november, None), 7);
    assert_eq!(User::default().used_before(november, None), 0);
}

#[test]
fn earlier_usage_is_divided_as_the_quota_is() {
    let october = "2026-10".parse::<Month>().unwrap();
    let shares = BTreeMap::from([("hk-1".to_owned(), 300), ("us-1".to_owned(), 200)]);
    let used = Some(UsedBefore { bytes: 101, month: Some(october) });
    let whole = User { quota_bytes: Some(500), used, ..User::default() };
    assert_eq!(whole.used_before_on("hk-1", october, None), 101);
    let divided = User { nodes: shares.keys().cloned().collect(), shares, ..whole };
    // 3/5 and 2/5 of 101 are 60.6 and 40.4.
    let parts = ["hk-1", "us-1", "sg-1"].map(|node| divided.used_before_on(node, october, None));
    assert_eq!(parts, [60, 40, 0]);
    assert_eq!(divided.used_before(october, None), 101);
    assert_eq!(divided.used_before_on("hk-1", october.next(), None), 0);
    // Nothing may be used at all, so it does not matter how much was.
    let none = User { shares: [("hk-1".to_owned(), 0)].into(), quota_bytes: Some(0), ..divided };
    assert_eq!(none.used_before_on("hk-1", october, None), 101);
}
