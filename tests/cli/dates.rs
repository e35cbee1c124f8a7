//! Dates that no clock ever shows: in file names, in lines, and on the command line.

use std::fs;

use crate::program::flow_agent;
use crate::state::State;

/// The first and the last day that a `NaiveDate` can hold, days just within these, and years without four digits.
const EXTREME: [&str; 8] = [
    "+262142-12-31",
    "-262143-01-01",
    "+262142-12-30",
    "+10000-01-01",
    "-0001-12-31",
    "0000-01-01",
    "9999-12-31",
    "9999-01-01",
];

fn run(state: &State, arguments: &[&str]) -> (Option<i32>, String) {
    let config = state.config();
    let said = flow_agent(&[arguments, &["--config", config.to_str().unwrap()]].concat());
    let text = said.stdout + &said.stderr;
    assert!(!text.contains("panicked"), "{arguments:?}: {text}");
    (said.code, text)
}

#[test]
fn a_file_that_is_named_after_an_impossible_date_is_no_log_and_stops_nothing() {
    let state = State::full();
    for date in EXTREME {
        fs::copy(state.path("hourly/2024-10-05.jsonl"), state.path(&format!("hourly/{date}.jsonl"))).unwrap();
        fs::copy(state.path("daily/2024-10.jsonl"), state.path(&format!("daily/{}.jsonl", &date[..date.len() - 3])))
            .unwrap();
    }
    // 22 of the 24 hours of the only valid day are missing, so the code is 6, as it would be without the other files.
    let (code, text) = run(&state, &["rollup"]);
    assert_eq!((code, text.lines().filter(|line| line.contains("buckets")).count()), (Some(6), 1), "{text}");
    assert!(text.contains("2024-10-05  2 of 24 buckets"), "{text}");
    for arguments in [&["show"][..], &["show", "days"], &["show", "months"], &["show", "hours"], &["show", "top"]] {
        assert_eq!(run(&state, arguments).0, Some(0), "{arguments:?}");
    }
    run(&state, &["check"]);
}

#[test]
fn a_line_of_an_impossible_date_costs_its_own_day_and_no_other() {
    let state = State::full();
    let text = fs::read_to_string(state.path("daily/2024-10.jsonl")).unwrap();
    for date in EXTREME {
        // The seal's own check is optional. Without it, only the date decides.
        let unchecked: String = text
            .lines()
            .map(|line| line.split(",\"check\"").next().unwrap().to_owned())
            .fold(String::new(), |text, line| text + &line + if line.ends_with('}') { "\n" } else { "}\n" });
        fs::write(state.path("daily/2024-10.jsonl"), text.clone() + &unchecked.replace("2024-10-04", date)).unwrap();
        for arguments in [&["show", "days", "--from", "2024-10-01", "--to", "2024-10-06"][..], &["rollup"]] {
            let (code, said) = run(&state, arguments);
            assert_eq!(code, Some(6), "{date}: {said}");
        }
    }
}

#[test]
fn a_time_beyond_all_clocks_on_the_command_line_is_refused_or_means_the_beginning() {
    let state = State::full();
    for date in EXTREME {
        for arguments in [
            vec!["rollup".to_owned(), format!("--day={date}")],
            vec!["rollup".to_owned(), format!("--month={}", &date[..date.len() - 3])],
            vec!["report".to_owned(), "--dry-run".to_owned(), format!("--month={}", &date[..date.len() - 3])],
            vec!["show".to_owned(), "days".to_owned(), format!("--from={date}")],
            vec!["show".to_owned(), "months".to_owned(), format!("--to={date}")],
            vec!["show".to_owned(), "total".to_owned(), format!("--from={date}T00:00")],
            vec!["show".to_owned(), "hours".to_owned(), format!("--to={date}T23:59:59-23:59")],
        ] {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            assert_eq!(run(&state, &arguments).0, Some(2), "{arguments:?}");
        }
    }
    for ago in ["263000years", "290000years", "8000000000000s"] {
        for view in ["hours", "days", "months", "top", "total"] {
            assert_eq!(run(&state, &["show", view, "--from", ago]).0, Some(0), "{view} {ago}");
        }
    }
    for month in ["0001-01", "9998-12"] {
        assert_eq!(run(&state, &["rollup", "--month", month]).0, Some(6), "{month}");
        assert_eq!(run(&state, &["show", "months", "--from", month, "--to", month]).0, Some(0), "{month}");
    }
}
