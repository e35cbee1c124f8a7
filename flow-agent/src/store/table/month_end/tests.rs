use std::fs;

use super::*;
use crate::testing::fixtures;

#[test]
fn days_are_appended_only_to_a_file_that_is_intact_and_in_order() {
    let dir = fixtures::dir();
    let path = dir.path().join("2026-10.jsonl");
    let day = |number: u32| fixtures::day(&format!("2026-10-{number:02}"), 86_400, 5).encode();
    let is_taken = |text: &str, first: u32| {
        fs::write(&path, text).unwrap();
        MonthEnd::before(&path, NaiveDate::from_ymd_opt(2026, 10, first).unwrap()).unwrap().is_some()
    };
    assert!(MonthEnd::before(&path, NaiveDate::MAX).unwrap().is_none(), "there is no file");
    let three = day(1) + &day(2) + &day(3);
    assert!(is_taken(&three, 4) && is_taken(&three, 9));
    assert!(!is_taken(&three, 3), "it is there already");
    assert!(!is_taken(&(day(2) + &day(1)), 4), "out of order");
    assert!(!is_taken(&(day(1) + &day(1)), 4), "one of them twice");
    assert!(!is_taken(&three.replacen(r#""tcp_in_bytes":5"#, r#""tcp_in_bytes":6"#, 1), 4), "damaged");
}
