//! The day that is not over is in a file of its own on the node. Wherever it is found when both files are fetched, it
//! counts once.

use std::fs;

use chrono::{Days, NaiveDate};
use serde_json::Value;

use crate::days::{Month, line, moved, put, sealed};
use crate::fleet::Fleet;

const USERS: &str = "[[users]]\nname = \"alice\"\nports = [443]\n";

/// A day on which alice received `bytes`, made by the node at this time of the day, or of the next one.
fn made(node: &str, day: NaiveDate, bytes: u64, at: &str) -> String {
    let text = sealed(node, day, &[line(day, &moved(443, None, [bytes, 0, 0, 0]))]);
    let day = if at < "01:00:00" { day + Days::new(1) } else { day };
    text.replace(",\"sha256\"", &format!(",\"at\":\"{day}T{at}Z\",\"sha256\""))
}

/// The bytes of alice in the month, according to the report.
fn reported(fleet: &Fleet, month: &Month) -> u64 {
    // The other node has no more than one day, so something is missing in any case.
    let ended = fleet.report(&["--no-mail", "--month", &month.name()]).with_code(6);
    let path = fleet.state_dir().join("reports").join(month.name()).join("report.json");
    let report: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let statements = report["statements"].as_array().unwrap();
    let alice = statements.iter().find(|statement| statement["user"] == "alice");
    alice.unwrap_or_else(|| panic!("{}", ended.stdout))["total"]["tcp_in_bytes"].as_u64().unwrap()
}

#[test]
fn a_day_counts_once_before_it_is_over_while_it_is_appended_and_after_that() {
    let Some(fleet) = Fleet::make(&["hk-1", "old-1"]) else { return };
    fleet.configure(USERS, "min_coverage = 0.0\n");
    let month = Month::last_complete();
    let last = month.days().last().unwrap();
    let before = month.days().filter(|day| *day < last).map(|day| made("hk-1", day, 100, "00:00:01"));
    let before: String = before.collect();
    // 100 bytes on each day before the last, of which there are 27 to 30.
    let sum = 100 * (month.days().count() as u64 - 1);
    // A node of an older version has no such file: its day is in the file of the month. It had 1,000 bytes.
    put(&fleet.node("old-1").state_dir, &month, &made("old-1", last, 1_000, "10:00:00"));
    let node = fleet.node("hk-1").state_dir.clone();
    let open = node.join("daily/open.jsonl");
    let closed = made("hk-1", last, 30, "00:00:01");

    put(&node, &month, &before);
    fs::write(&open, made("hk-1", last, 7, "10:00:00")).unwrap();
    assert_eq!(reported(&fleet, &month), sum + 1_000 + 7);
    fs::write(&open, made("hk-1", last, 20, "23:00:00")).unwrap();
    assert_eq!(reported(&fleet, &month), sum + 1_000 + 20);
    // It is being appended.
    put(&node, &month, &format!("{before}{}", &closed[..closed.len() / 2]));
    assert_eq!(reported(&fleet, &month), sum + 1_000 + 20);
    // It is in both files, and then only in that of the month.
    put(&node, &month, &format!("{before}{closed}"));
    assert_eq!(reported(&fleet, &month), sum + 1_000 + 30);
    fs::write(&open, made("hk-1", last + Days::new(1), 5, "10:00:00")).unwrap();
    assert_eq!(reported(&fleet, &month), sum + 1_000 + 30);
    let kept = fs::read_to_string(fleet.state_dir().join(format!("nodes/hk-1/daily/{}.jsonl", month.name()))).unwrap();
    assert_eq!(kept, format!("{before}{closed}"));
    // The node was upgraded today: the month has what its former version had rolled up.
    put(&fleet.node("old-1").state_dir, &month, &made("old-1", last, 1_000, "10:00:00"));
    fs::write(fleet.node("old-1").state_dir.join("daily/open.jsonl"), made("old-1", last, 1_100, "11:00:00")).unwrap();
    assert_eq!(reported(&fleet, &month), sum + 1_100 + 30);
}

#[test]
fn a_file_of_the_open_day_that_is_damaged_or_of_another_node_is_refused() {
    let Some(fleet) = Fleet::make(&["hk-1"]) else { return };
    fleet.configure(USERS, "min_coverage = 0.0\n");
    let month = Month::last_complete();
    let last = month.days().last().unwrap();
    let node = fleet.node("hk-1").state_dir.clone();
    let whole: String = month.days().map(|day| made("hk-1", day, 100, "00:00:01")).collect();
    put(&node, &month, &whole);
    let text = made("hk-1", last, 7, "10:00:00");
    for bad in [text.replace("\":7,", "\":8,"), made("us-1", last, 7, "10:00:00"), text[..text.len() / 2].to_owned()] {
        fs::write(node.join("daily/open.jsonl"), &bad).unwrap();
        let said = fleet.report(&["--no-mail", "--month", &month.name()]).with_code(6).stdout;
        assert!(said.contains("daily/open.jsonl was rejected"), "{said}");
    }
}
