//! The daily job in `packaging/`, day after day: a month is mailed once, on the day after its last day, and nothing is
//! printed.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use chrono::{Days, NaiveDate};

use crate::alone::{ADDRESSES, Alone};
use crate::common::have_program;
use crate::days::{Month, line, moved, put, sealed_with};
use crate::fleet::{Ended, PROGRAM, parsed};
use crate::stub::{Stub, Taken};

const CRON: &str = include_str!("../../flow-agent/packaging/flow-agent.cron");
const TIMER: &str = include_str!("../../flow-agent/packaging/flow-agent-report.timer");
const SERVICE: &str = include_str!("../../flow-agent/packaging/flow-agent-report.service");

#[test]
fn both_start_the_report_at_eleven_past_midnight() {
    let is_job = |line: &&str| !line.starts_with('#') && !line.contains('=') && !line.is_empty();
    let jobs: Vec<_> = CRON.lines().filter(is_job).collect();
    assert_eq!(jobs, ["11 0 * * * root flow-agent report"]);
    // The directory of the unit's program.
    assert!(CRON.lines().any(|line| line.starts_with("PATH=") && line.split([':', '=']).any(|dir| dir == "/usr/sbin")));
    assert!(SERVICE.contains("\nExecStart=/usr/sbin/flow-agent report\n"));
    assert!(TIMER.contains("\nOnCalendar=*-*-* 00:11:00\n") && TIMER.contains("\nPersistent=true\n"));
}

/// A main node in Shanghai, whose months begin on the 15th, with all days from 2026-09-15 on, except those for which
/// `is_missing` returns true.
fn shanghai(stub: &Stub, is_missing: impl Fn(NaiveDate) -> bool) -> Alone {
    let alone = Alone::with(stub);
    let config = fs::read_to_string(alone.config()).unwrap();
    let config = config.replace("timezone = \"UTC\"", "timezone = \"Asia/Shanghai\"\nmonth_start_day = 15");
    fs::write(alone.config(), config).unwrap();
    let mut files: BTreeMap<String, (Month, String)> = BTreeMap::new();
    let days = date("2026-09-15").iter_days().take_while(|day| *day <= date("2026-11-18"));
    for day in days.filter(|day| !is_missing(*day)) {
        let file = files.entry(day.format("%Y-%m").to_string());
        let (_, text) = file.or_insert_with(|| (Month { first: day }, String::new()));
        let lines = [line(day, &moved(443, None, [1, 2, 3, 4]))];
        text.push_str(&sealed_with("alone", day, &lines, 86_400, "Asia/Shanghai"));
    }
    files.values().for_each(|(month, text)| put(&alone.state_dir(), month, text));
    alone
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// Makes a report on `day` as cron does: 00:11 in Shanghai is 16:11 UTC of the day before.
fn report_on(alone: &Alone, day: NaiveDate) -> Ended {
    let mut command = Command::new("faketime");
    command.arg("-f").arg(format!("@{} 16:11:00", day - Days::new(1)));
    command.args([PROGRAM, "report", "--config"]).arg(alone.config());
    command.envs([("TZ", "UTC"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]).stdin(Stdio::null());
    command.output().unwrap().into()
}

#[test]
fn a_month_is_mailed_when_it_is_over_and_not_again() {
    if !have_program("faketime", "other days than today") {
        return;
    }
    let stub = Stub::start(&[]);
    let alone = shanghai(&stub, |_| false);
    let mut mailed = Vec::new();
    for day in date("2026-11-12").iter_days().take(6) {
        for again in [false, true] {
            let before = stub.taken().len();
            let ended = report_on(&alone, day).with_code(0);
            assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""), "{day}");
            let letters = stub.taken().split_off(before);
            if !letters.is_empty() {
                assert!(!again, "{day}");
                mailed.push((day, letters));
            }
        }
    }
    // The first run finds that 2026-09 was not reported. 2026-10 ends on 14 November.
    let days: Vec<_> = mailed.iter().map(|(day, _)| day.to_string()).collect();
    assert_eq!(days, ["2026-11-12", "2026-11-15"]);
    for ((_, letters), month) in mailed.iter().zip(["2026-09", "2026-10"]) {
        let to: Vec<_> = letters.iter().map(|letter| letter.to.concat()).collect();
        assert_eq!(to, ADDRESSES, "{month}");
        let id = format!("Message-ID: <flow-agent.{month}.r0.");
        assert!(letters.iter().all(|letter| letter.text.contains(&id)), "{month}");
    }
}

#[test]
fn what_is_missing_is_waited_for_a_week_and_said_every_day() {
    if !have_program("faketime", "other days than today") {
        return;
    }
    let stub = Stub::start(&[]);
    let missing = date("2026-10-20");
    let alone = shanghai(&stub, |day| day == missing);
    for day in date("2026-11-15").iter_days().take(7) {
        let said = report_on(&alone, day).with_code(6).stdout;
        assert!(
            said.contains("1 day missing") && said.contains("until 2026-11-22; after that, use --month 2026-10"),
            "{said}"
        );
        assert_eq!(stub.taken().len(), 3, "{day}: told once, as provisional");
    }
    let first = stub.taken();
    assert!(first.iter().all(|letter| letter.text.contains("Message-ID: <flow-agent.2026-10.r0.")));
    for letter in &first[..2] {
        let letter = parsed(&letter.text);
        let (text, html) = (letter["text"].as_str().unwrap(), letter["html"].as_str().unwrap());
        let promise = "If you receive no correction by 00:00 on 22 November 2026, these figures are final.";
        assert!(text.contains(promise) && html.contains(promise), "{text}");
    }
    let summary = parsed(&first[2].text)["text"].as_str().unwrap().to_owned();
    let promise = "2 of 2 statements are provisional. If no more data arrives, they are final on 22 November 2026.";
    assert!(summary.contains(promise), "{summary}");
    // On that day the node is gathered once more. Users have been told that no further letter means final; the
    // administrator is told that the wait is over.
    let said = report_on(&alone, date("2026-11-22")).with_code(6).stdout;
    assert!(said.contains("2026-10 (2026-10-15 to 2026-11-14, Asia/Shanghai): final, revision 1"), "{said}");
    let later = stub.taken().split_off(3);
    assert_eq!(later.iter().map(|letter| letter.to.concat()).collect::<Vec<_>>(), ["ops@example.com"]);
    for day in date("2026-11-23").iter_days().take(2) {
        assert_eq!(report_on(&alone, day).with_code(0).stdout, "", "{day}");
    }
    assert_eq!(stub.taken().len(), 4);
}

#[test]
fn months_that_a_main_node_slept_through_are_closed_oldest_first() {
    if !have_program("faketime", "other days than today") {
        return;
    }
    let stub = Stub::start(&[]);
    let alone = shanghai(&stub, |_| false);
    let mut files: BTreeMap<String, (Month, String)> = BTreeMap::new();
    for day in date("2026-06-15").iter_days().take_while(|day| *day < date("2026-09-15")) {
        let (_, text) =
            files.entry(day.format("%Y-%m").to_string()).or_insert_with(|| (Month { first: day }, String::new()));
        let lines = [line(day, &moved(443, None, [1, 2, 3, 4]))];
        text.push_str(&sealed_with("alone", day, &lines, 86_400, "Asia/Shanghai"));
    }
    let september = alone.state_dir().join("daily/2026-09.jsonl");
    files.get_mut("2026-09").unwrap().1 += &fs::read_to_string(&september).unwrap();
    files.values().for_each(|(month, text)| put(&alone.state_dir(), month, text));
    // A new main node closes only the last month.
    assert_eq!(report_on(&alone, date("2026-07-15")).with_code(0).stdout, "");
    // It was off until October was over, and a day of 2026-08 is missing.
    let text = fs::read_to_string(alone.state_dir().join("daily/2026-09.jsonl")).unwrap();
    let missing = "\"day\":\"2026-09-01\"";
    let without = text.lines().filter(|line| !line.contains(missing)).map(|line| format!("{line}\n"));
    fs::write(alone.state_dir().join("daily/2026-09.jsonl"), without.collect::<String>()).unwrap();
    let said = report_on(&alone, date("2026-11-15")).with_code(6).stdout;
    assert!(said.contains("2026-08") && said.contains("1 day missing") && !said.contains("2026-09 ("), "{said}");
    let ids: Vec<_> = stub.taken().iter().filter(|letter| letter.to == ["alice@example.com"]).map(id_of).collect();
    assert_eq!(ids, ["2026-06.r0", "2026-07.r0", "2026-08.r0", "2026-09.r0", "2026-10.r0"]);
    // The month that waits is reported again, and the others are closed.
    report_on(&alone, date("2026-11-16")).with_code(6);
    assert_eq!(report_on(&alone, date("2026-11-22")).with_code(6).stdout.matches("final, revision").count(), 1);
    assert_eq!(report_on(&alone, date("2026-11-23")).with_code(0).stdout, "");
}

/// The month and revision of a letter, such as `2026-10.r0`.
fn id_of(letter: &Taken) -> String {
    let (_, rest) = letter.text.split_once("Message-ID: <flow-agent.").unwrap();
    rest.split('.').take(2).collect::<Vec<_>>().join(".")
}
