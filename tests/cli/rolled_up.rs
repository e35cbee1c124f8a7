//! Days that no hourly log is named after, because one bucket of an earlier day covers them.

use std::fs;

use chrono::DateTime;
use flow_agent::ledger::record::Quality;
use flow_agent::store::StateDir;
use flow_agent::store::journal::Journal;
use serde_json::Value;

use crate::hourly::bucket;
use crate::program::flow_agent;

#[test]
fn days_that_a_late_bucket_covers_are_rolled_up() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    fs::write(&config, "node = \"n\"\ntimezone = \"Asia/Shanghai\"\nstate_dir = \"state\"\n").unwrap();
    let log = StateDir::new(dir.path().join("state"));
    let lock = log.lock_run().unwrap();
    let (mut journal, _) = Journal::open(&lock).unwrap();
    // The agent was stopped late on the 20th and started on the 23rd, while the counters went on.
    let mut late = bucket("2024-10-20T22", 3, 0, 5_000);
    late.seal.end = DateTime::parse_from_rfc3339("2024-10-23T03:00:00+08:00").unwrap();
    late.seal.quality = Quality::Late;
    for line in &mut late.lines {
        line.end = late.seal.end;
    }
    journal.append(&mut late).unwrap();
    drop(lock);
    let run = |arguments: &[&str]| flow_agent(&[arguments, &["--config", config.to_str().unwrap()]].concat());
    let said = run(&["rollup"]);
    assert_eq!(said.code, Some(6), "the 20th and the 23rd are not covered as a whole: {}", said.stderr);
    let text = fs::read_to_string(log.daily("2024-10".parse().unwrap())).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let seals: Vec<(String, u64)> = lines
        .filter(|line| line["kind"] == "seal")
        .map(|seal| (seal["day"].as_str().unwrap().to_owned(), seal["seconds_covered"].as_u64().unwrap()))
        .collect();
    let expected = [("2024-10-20", 7_200), ("2024-10-21", 86_400), ("2024-10-22", 86_400), ("2024-10-23", 10_800)];
    assert_eq!(seals, expected.map(|(day, covered)| (day.to_owned(), covered)));
    // Only the day of the newest log is owed, and the one after it, whatever their seals say.
    let owed =
        flow_agent::store::owed::days(&log, chrono_tz::Tz::Asia__Shanghai, DateTime::<chrono::Utc>::MAX_UTC).unwrap();
    assert_eq!(owed, ["2024-10-20", "2024-10-21"].map(|day| day.parse().unwrap()).into());
    assert_eq!(run(&["rollup", "--day", "2024-10-22"]).code, Some(0));
}
