//! The screens of `show`, at a fixed time.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use chrono::{DateTime, Days, FixedOffset, NaiveDate, TimeDelta};
use flow_agent::ledger::block::{DayBlock, HourBlock};
use flow_agent::ledger::counters::Counters;
use flow_agent::ledger::record::{DayLine, HourLine};
use unicode_width::UnicodeWidthStr as _;

use crate::blocks::{day_seal, hour_seal};
use crate::common::have_program;
use crate::program::{Said, flow_agent, flow_agent_at};
use crate::state::State;

/// 16:23:30 in Shanghai.
const NOW: &str = "2026-11-27 08:23:30";

const GIB: u64 = 1 << 30;

/// Ports and their users, with the bytes that each sends in an hour; it receives a quarter of that.
const PORTS: [(u16, Option<&str>, u64); 6] = [
    (443, None, GIB),
    (8388, Some("alice"), 4 * GIB),
    (8389, Some("张三"), 3 * GIB),
    (8390, Some("北京市朝阳区某某国际数据通信与内容分发服务股份有限公司"), 2 * GIB),
    (8391, Some("=1+1"), GIB / 2),
    (8392, Some("idle"), 0),
];

fn moved(out_bytes: u64) -> Counters {
    Counters { tcp_in_bytes: out_bytes / 4, tcp_out_bytes: out_bytes, ..Counters::default() }
}

fn midnight(day: NaiveDate) -> DateTime<FixedOffset> {
    let offset = FixedOffset::east_opt(8 * 3_600).unwrap();
    day.and_hms_opt(0, 0, 0).unwrap().and_local_timezone(offset).unwrap()
}

fn hour(start: DateTime<FixedOffset>, seq: u64) -> HourBlock {
    let end = start + TimeDelta::hours(1);
    let line = |(port, user, out_bytes): &(u16, Option<&str>, u64)| {
        HourLine::new(start, end, *port, user.map(str::to_owned), moved(*out_bytes), None, false)
    };
    let seal = hour_seal(seq, [start, end], Vec::new());
    HourBlock { lines: PORTS.iter().map(line).collect(), seal }
}

fn day(day: NaiveDate) -> DayBlock {
    let line = |(port, user, out_bytes): &(u16, Option<&str>, u64)| {
        DayLine::new(day, *port, user.map(str::to_owned), moved(24 * out_bytes))
    };
    DayBlock { lines: PORTS.iter().map(line).collect(), seal: day_seal(day) }
}

/// Days from 1 October on, and the hours of yesterday and of today up to 16:00, except 10:00 to 12:00.
fn state() -> State {
    let state = State::empty();
    let today: NaiveDate = "2026-11-27".parse().unwrap();
    let first: NaiveDate = "2026-10-01".parse().unwrap();
    for date in first.iter_days().take_while(|date| *date < today) {
        state.append(&format!("daily/{}.jsonl", date.format("%Y-%m")), day(date));
    }
    let yesterday = today - Days::new(1);
    let mut seq = 0;
    for (date, hours) in [(yesterday, 24), (today, 16)] {
        for index in (0..hours).filter(|index| date < today || !(10..12).contains(index)) {
            seq += 1;
            state.append(&format!("hourly/{date}.jsonl"), hour(midnight(date) + TimeDelta::hours(index), seq));
        }
    }
    let config = fs::read_to_string(state.config()).unwrap();
    let users = "[[users]]\nname = \"alice\"\nports = [8388]\nquota = \"4 TiB\"\n\
                 [[users]]\nname = \"张三\"\nports = [8389]\nquota = \"2 TiB\"\n";
    fs::write(state.config(), config + users).unwrap();
    state
}

fn show(state: &State, arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    let config = state.config();
    flow_agent_at(NOW, &[&["show", "--config", config.to_str().unwrap()], arguments].concat(), environment)
}

#[test]
fn every_screen_fits_the_width_and_says_what_is_known() {
    if !have_program("faketime", "a time that is always the same") {
        return;
    }
    let state = state();
    for (columns, locale) in [("80", "C.UTF-8"), ("140", "C.UTF-8"), ("80", "C")] {
        let mut text = String::new();
        for arguments in [&[][..], &["hours"], &["days", "--limit", "5"], &["top"], &["--user", "alice"]] {
            let said = show(&state, arguments, &[("COLUMNS", columns), ("LC_ALL", locale)]);
            assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{arguments:?}");
            assert!(!said.stdout.contains(['\u{1b}', '\u{7}']), "an escape reaches the terminal: {:?}", said.stdout);
            // Without a terminal, the table of `top` has full names.
            let widest = said.stdout.lines().map(|line| line.width()).max().unwrap();
            assert!(widest <= columns.parse().unwrap() || arguments == ["top"], "{widest} columns:\n{}", said.stdout);
            text += &format!("$ flow-agent show {}\n{}\n", arguments.join(" "), said.stdout);
        }
        insta::assert_snapshot!(format!("screens_{columns}_{locale}"), text);
    }
}

#[test]
fn the_first_screen_adds_up() {
    if !have_program("faketime", "a time that is always the same") {
        return;
    }
    let text = show(&state(), &["--units", "iec"], &[("LC_ALL", "C.UTF-8")]).stdout;
    let row = |name: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("{text}"));
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    // An hour: 10.5 GiB out and a quarter of that in, 13.125 GiB together. Today 14 hours: 183.75 GiB, in 50,400 of
    // 59,010 seconds.
    assert_eq!(row("today")[1..4], ["36.8 GiB", "147 GiB", "184 GiB"]);
    assert_eq!(row("today")[5], "85.40 %");
    // Yesterday from 16:23:30 to midnight, 27,390 seconds: 99.86 GiB.
    assert_eq!(row("by midnight")[1], "~284 GiB");
    assert_eq!(row("yesterday")[3], "315 GiB");
    // Yesterday's first 59,010 seconds: 215.1 GiB.
    assert_eq!(row("until 16:23")[3], "~215 GiB");
    // 26 days of 315 GiB, and today: 8,373.75 GiB. 3 days and 27,390 seconds remain, at 315 GiB a day: 1,044.9 GiB.
    assert_eq!(row("November 2026")[3], "8.18 TiB");
    assert_eq!(row("by 1 Dec")[1], "~9.20 TiB");
    // 31 days of 315 GiB.
    assert_eq!(row("October 2026")[3], "9.54 TiB");
    // 26 days and 14 hours at 5 GiB an hour: 3,190 GiB of 4 TiB; at 3.75 GiB an hour: 2,392.5 GiB of 2 TiB.
    assert!(text.contains("77 % of 4.00 TiB") && text.contains("116 % of 2.00 TiB"), "{text}");
}

#[test]
fn colours_are_for_terminals_and_those_who_ask() {
    if !have_program("faketime", "a time that is always the same") {
        return;
    }
    let state = state();
    let has_colors = |arguments: &[&str], environment: &[(&str, &str)]| {
        let said = show(&state, arguments, environment);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        said.stdout.contains("\u{1b}[")
    };
    assert!(!has_colors(&[], &[]));
    assert!(has_colors(&["--color", "always"], &[("NO_COLOR", "1")]));
    assert!(!has_colors(&["--color", "never"], &[]));
}

#[test]
fn a_95th_percentile_is_of_the_samples_that_were_seen() {
    if !have_program("faketime", "a time that is always the same") {
        return;
    }
    let state = State::empty();
    let config = fs::read_to_string(state.config()).unwrap();
    fs::write(state.config(), config + "[count]\nbucket = \"5m\"\n").unwrap();
    let today = midnight("2026-11-27".parse().unwrap());
    // 20 samples of 5 minutes: incoming traffic rises from 1,000 to 20,000 bytes a second, and outgoing traffic falls
    // likewise.
    for index in 1..=20_u64 {
        let mut block = hour(today + TimeDelta::minutes(5 * (i64::try_from(index).unwrap() - 1)), index);
        block.seal.end = block.seal.start + TimeDelta::minutes(5);
        block.lines.truncate(1);
        let line = &mut block.lines[0];
        line.end = block.seal.end;
        line.set_counters(Counters {
            tcp_in_bytes: index * 1_000 * 300,
            udp_out_bytes: (21 - index) * 1_000 * 300,
            ..Counters::default()
        });
        state.append("hourly/2026-11-27.jsonl", block);
    }
    // Two hours have 24 samples.
    let period = ["--95th", "--from", "2026-11-27T00:00", "--to", "2026-11-27T02:00"];
    let said = show(&state, &[&period[..], &["--json"]].concat(), &[]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    let rows: Vec<serde_json::Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let figures: Vec<_> = rows
        .iter()
        .map(|row| {
            let number = |field: &str| row[field].as_u64();
            (
                row["direction"].as_str().unwrap(),
                number("bytes_per_second"),
                number("next_higher"),
                number("next_lower"),
            )
        })
        .collect();
    // The 19th lowest of 20. In both directions together, every sample is 21,000.
    let expected = [
        ("in", Some(19_000), Some(20_000), Some(18_000)),
        ("out", Some(19_000), Some(20_000), Some(18_000)),
        ("both", Some(21_000), Some(21_000), Some(21_000)),
    ];
    assert_eq!(figures, expected);
    assert_eq!((rows[0]["samples_expected"].as_u64(), rows[0]["samples_seen"].as_u64()), (Some(24), Some(20)));
    let text = show(&state, &[&period[..], &["--port", "443"]].concat(), &[]).stdout;
    insta::assert_snapshot!("percentiles", text);
}

#[test]
fn a_main_node_shows_what_it_gathered() {
    if !have_program("faketime", "a time that is always the same") {
        return;
    }
    let state = State::empty();
    let config = fs::read_to_string(state.config()).unwrap();
    let nodes = "[[nodes]]\nname = \"hk-1\"\nhost = \"192.0.2.1\"\n[[nodes]]\nname = \"us-1\"\nhost = \"192.0.2.2\"\n\
                 [[users]]\nname = \"alice\"\nports = [8388]\n";
    fs::write(state.config(), config + nodes).unwrap();
    for (node, days) in [("hk-1", &["2026-11-25", "2026-11-26"][..]), ("us-1", &["2026-11-25"])] {
        fs::create_dir_all(state.path(&format!("nodes/{node}/daily"))).unwrap();
        for date in days {
            state.append(&format!("nodes/{node}/daily/2026-11.jsonl"), day(date.parse().unwrap()));
        }
    }
    // A day of a node: 24 hours of 13.125 GiB.
    let of_a_day = 24 * 105 * GIB / 8;
    let rows = |arguments: &[&str]| {
        let said = show(&state, &[arguments, &["--by", "all", "--json"]].concat(), &[]);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        let row = |line: &str| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let number = |field: &str| row[field].as_u64().unwrap();
            (row["period"].as_str().unwrap().to_owned(), number("bytes"), number("seconds_covered"), number("seconds"))
        };
        said.stdout.lines().map(row).collect::<Vec<_>>()
    };
    let row = |day: &str, bytes, covered, seconds| (day.to_owned(), bytes, covered, seconds);
    assert_eq!(
        rows(&["days", "--node", "all"]),
        [
            row("2026-11-25", 2 * of_a_day, 172_800, 172_800),
            // Nothing is known about us-1 on this day.
            row("2026-11-26", of_a_day, 86_400, 172_800),
        ]
    );
    assert_eq!(rows(&["days", "--node", "us-1"]), [row("2026-11-25", of_a_day, 86_400, 86_400)]);
    // alice is a user of this configuration; only their nodes know the others.
    let text = show(&state, &["top", "--node", "all", "--csv"], &[]).stdout;
    let users: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
    assert_eq!(users[0], "alice");
    assert!(users.contains(&"hk-1/张三") && users.contains(&"us-1/张三"), "{users:?}");
    for view in ["top", "total"] {
        let said = show(&state, &[view, "--node", "all", "--from", "2026-11-25T13:00"], &[]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{view}");
        assert!(said.stderr.starts_with("error: only whole days are gathered from nodes"), "{}", said.stderr);
    }
    let from = ["days", "--node", "us-1", "--from", "2026-11-25T13:00", "--to", "2026-11-25T14:00"];
    assert_eq!(rows(&from).len(), 1);
    for (node, expected) in [("us-2", "did you mean `us-1`?"), ("all", "")] {
        let said = show(&state, &["hours", "--node", node], &[]);
        assert_eq!(said.code, Some(2));
        assert!(said.stderr.contains(expected), "{}", said.stderr);
    }
}

#[test]
fn an_escape_in_the_log_never_reaches_the_terminal() {
    if !have_program("faketime", "a time that is always the same") {
        return;
    }
    let state = State::empty();
    let mut block = hour(midnight("2026-11-27".parse().unwrap()), 1);
    block.lines[0].user = Some("\u{1b}[2Jevil\u{7}".to_owned());
    state.append("hourly/2026-11-27.jsonl", block);
    for arguments in [&[][..], &["hours"], &["top"], &["hours", "--by", "user"]] {
        let said = show(&state, arguments, &[("LC_ALL", "C.UTF-8")]);
        assert_eq!(said.code, Some(6), "{arguments:?}");
        assert!(!(said.stdout + &said.stderr).contains(['\u{1b}', '\u{7}']), "{arguments:?}");
    }
    // The damaged block does not count, and what is not known is not shown as zero.
    let text = show(&state, &[], &[("LC_ALL", "C.UTF-8")]).stdout;
    assert!(!text.contains("0 B"), "{text}");
}

#[test]
fn watch_shows_it_again_with_what_came_meanwhile_until_nobody_reads() {
    let state = State::empty();
    let today: NaiveDate = "2026-11-27".parse().unwrap();
    state.append("hourly/2026-11-27.jsonl", hour(midnight(today), 1));
    let arguments = ["show", "hours", "--from", "2026-11-27", "--to", "2026-11-27", "--watch", "100ms"];
    let mut child = Command::new(env!("CARGO_BIN_EXE_flow-agent"))
        .args(arguments)
        .arg("--config")
        .arg(state.config())
        .env_remove("COLUMNS")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // Every screen ends with an empty line.
    let mut next = || -> Vec<String> { lines.by_ref().take_while(|line| !line.is_empty()).collect() };
    // An hour: 10.5 GiB out, and a quarter of that in.
    assert!(next().iter().any(|line| line.starts_with("00:00") && line.contains("13.1 GiB")));
    state.append("hourly/2026-11-27.jsonl", hour(midnight(today) + TimeDelta::hours(1), 2));
    let seen = (0..100).map(|_| next()).find(|screen| screen.iter().any(|line| line.starts_with("01:00")));
    let seen = seen.expect("it is read again");
    assert!(seen.iter().any(|line| line.starts_with("sum") && line.contains("26.3 GiB")), "{seen:?}");
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn watch_is_for_people_and_not_too_often() {
    let state = State::empty();
    for (arguments, expected) in [
        (&["--watch", "2s", "--json"][..], "cannot be used with"),
        (&["--watch", "1ms"], "expected 100ms to 1d"),
        (&["--watch", "soon"], "expected number"),
    ] {
        let said = flow_agent(&[&["show", "--config", state.config().to_str().unwrap()], arguments].concat());
        assert_eq!(said.code, Some(2));
        assert!(said.stderr.contains(expected), "{}", said.stderr);
    }
}
