use super::*;
use crate::ledger::amount::Units;
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
        is_dropped_everywhere: false,
        is_incomplete: true,
    })
}

fn look(width: usize, is_piped: bool) -> ScreenStyle {
    ScreenStyle { width, unicode: true, color: false, units: Units::default(), is_piped }
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let mut rows = vec![row(Condition::Warned { level: 90 }), row(Condition::Open)];
    rows[0].0.user = "a-customer-with-a-very-long-name@example.com".to_owned();
    rows[0].0.forecast_bytes = Some(1 << 40);
    rows[1].0.user = "名字很长很长很长很长很长的客户".to_owned();
    let nodes = (1..9).map(|number| format!("node-{number}")).collect();
    let since = chrono::NaiveDate::from_ymd_opt(2026, 10, 5);
    for condition in [Condition::Open, Condition::Cut { since, nodes }] {
        rows[1].0.condition = condition;
        for width in [80, 90, 200] {
            let shown = table(&rows, &look(width, false));
            assert!(shown.lines().all(|line| line.width() <= width), "{width}:\n{shown}");
            assert!(shown.contains("90 % re"), "{shown}");
        }
        assert!(table(&rows, &look(80, false)).contains("a-custo"));
        assert!(table(&rows, &look(80, true)).contains(&rows[0].0.user), "another program gets the whole name");
    }
}

#[test]
fn a_user_is_shown_in_three_forms() {
    let since = chrono::NaiveDate::from_ymd_opt(2026, 10, 5);
    let cut = row(Condition::Cut { since, nodes: vec!["hk-1".to_owned(), "us-1".to_owned()] });
    let shown = table(&[row(Condition::Warned { level: 70 }), cut.clone()], &look(80, true));
    for part in ["=ada", "600 GiB", "≥ 450.00 GiB", "75 %", "150.00 GiB", "70 % reached"] {
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
