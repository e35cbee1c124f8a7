use super::*;
use crate::ledger::record::VERSION;

fn line(month: &str, user: &str, bytes: i64) -> GrantLine {
    let at = DateTime::parse_from_rfc3339("2026-10-05T13:00:00+08:00").unwrap();
    GrantLine { v: VERSION, kind: Kind::Grant, at, month: month.parse().unwrap(), user: user.to_owned(), bytes }
}

#[test]
fn grants_of_a_month_add_up_and_can_be_taken_back() {
    let lines = [
        line("2026-10", "ada", 50),
        line("2026-10", "ada", 70),
        line("2026-10", "ada", -20),
        line("2026-11", "ada", 1_000),
        line("2026-10", "bob", 10),
        line("2026-10", "bob", -10),
    ];
    let october = granted(&lines, "2026-10".parse().unwrap());
    assert_eq!(october, BTreeMap::from([("ada".to_owned(), 100)]));
}

#[test]
fn a_line_has_the_fields_of_the_contract() {
    assert_eq!(
        serde_json::to_string(&line("2026-10", "ada", 50)).unwrap(),
        r#"{"v":1,"kind":"grant","at":"2026-10-05T13:00:00+08:00","month":"2026-10","user":"ada","bytes":50}"#
    );
}
