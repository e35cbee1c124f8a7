use super::*;
use crate::ledger::user::OnQuota;
use crate::render::figures::{csv, csv_header, json};

fn row(condition: Condition) -> UserRow {
    UserRow(UserMonth {
        user: "=ada".to_owned(),
        month: "2026-10".parse().unwrap(),
        quota_bytes: Some(600 << 30),
        granted_bytes: 100 << 30,
        counted_bytes: 430 << 30,
        used_before_bytes: 20 << 30,
        used_bytes: 450 << 30,
        left_bytes: Some(150 << 30),
        forecast_bytes: None,
        expires: chrono::NaiveDate::from_ymd_opt(2026, 12, 31),
        on_quota: OnQuota::Drop,
        condition,
        is_incomplete: true,
    })
}

#[test]
fn a_user_is_shown_in_three_forms() {
    let since = chrono::NaiveDate::from_ymd_opt(2026, 10, 5);
    let cut = row(Condition::Cut { since, nodes: vec!["hk-1".to_owned(), "us-1".to_owned()] });
    let shown = table(&[row(Condition::Warned { level: 70 }), cut.clone()]);
    for part in ["=ada", "600 GiB", "≥ 450.00 GiB", "75 %", "150.00 GiB", "warned: 70 % reached"] {
        assert!(shown.contains(part), "{part} is missing: {shown}");
    }
    assert!(shown.contains("cut since 2026-10-05 on hk-1, us-1"), "{shown}");
    let json: serde_json::Value = serde_json::from_str(&json(&cut)).unwrap();
    assert_eq!((&json["used_bytes"], &json["state"]), (&(450_u64 << 30).into(), &"cut".into()));
    assert_eq!((&json["since"], &json["forecast_bytes"]), (&"2026-10-05".into(), &serde_json::Value::Null));
    let columns = csv_header::<UserRow>().split(',').count();
    assert_eq!(csv(&cut).split(',').count(), columns);
    // A spreadsheet must not take a name for a formula.
    assert!(csv(&cut).starts_with("'=ada,2026-10,644245094400,107374182400,"), "{}", csv(&cut));
}
