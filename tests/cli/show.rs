//! `flow-agent show` over a directory with figures known by hand. Its output is parsed by other programs.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::have_program;
use crate::program::{Said, flow_agent};
use crate::state::State;

fn show(state: &State, arguments: &[&str]) -> Said {
    let config = state.config();
    flow_agent(&[&["show", "--config", config.to_str().unwrap()], arguments].concat())
}

#[track_caller]
fn well(said: Said) -> String {
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    said.stdout
}

/// The result of applying the jq filter to `text`.
fn jq(filter: &str, text: &str) -> Value {
    let mut jq = Command::new("jq");
    let mut jq = jq.args(["-c", "-s", filter]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    jq.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = jq.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The rows of the CSV as maps from column to field.
fn csv(text: &str) -> Vec<std::collections::BTreeMap<String, String>> {
    csv::Reader::from_reader(text.as_bytes()).deserialize().map(Result::unwrap).collect()
}

const OCTOBER_5: [&str; 4] = ["--from", "2024-10-05", "--to", "2024-10-05"];

#[test]
fn hours_are_exact_and_the_open_one_is_among_them() {
    if !have_program("jq", "what other programs make of the figures") {
        return;
    }
    let state = State::full();
    let text = well(show(&state, &[&["hours", "--json"], &OCTOBER_5[..]].concat()));
    let rows = jq("map([.start[11:16], .end[11:19], .port, .user, .bytes, .quality, .open])", &text);
    let expected = json!([
        ["12:00", "13:00:00", 443, null, 300, "exact", false],
        ["12:00", "13:00:00", 8388, "acct-8388", 6700, "exact", false],
        ["13:00", "14:00:00", 443, null, 0, "gap", false],
        ["13:00", "14:00:00", 8388, "acct-8388", 3, "gap", false],
        ["14:00", "14:23:30", 443, null, 0, null, true],
        ["14:00", "14:23:30", 8388, "acct-8388", 10, null, true],
    ]);
    assert_eq!(rows, expected);
    let eight = "map(select(.port == 8388 and .start[11:13] == \"12\") | [.tcp_in_bytes, .tcp_in_packets, \
                 .tcp_out_bytes, .tcp_out_packets, .udp_in_bytes, .udp_in_packets, .udp_out_bytes, .udp_out_packets])";
    assert_eq!(jq(eight, &text), json!([[1000, 10, 5000, 20, 300, 3, 400, 4]]));
}

#[test]
fn csv_says_the_same() {
    let state = State::full();
    let rows = csv(&well(show(&state, &[&["hours", "--csv"], &OCTOBER_5[..]].concat())));
    let bytes: Vec<_> = rows.iter().map(|row| row["bytes"].as_str()).collect();
    assert_eq!(bytes, ["300", "6700", "0", "3", "0", "10"]);
    assert_eq!((rows[5]["open"].as_str(), rows[5]["user"].as_str()), ("true", "acct-8388"));
}

#[test]
fn a_time_of_the_day_cuts_hours() {
    if !have_program("jq", "what other programs make of the figures") {
        return;
    }
    let state = State::full();
    let arguments = ["hours", "--json", "--from", "2024-10-05T13:00", "--to", "2024-10-05T14:00"];
    assert_eq!(jq("map(.bytes)", &well(show(&state, &arguments))), json!([0, 3]));
}

#[test]
fn ports_and_users_can_be_asked_for() {
    if !have_program("jq", "what other programs make of the figures") {
        return;
    }
    let state = State::full();
    let of = |arguments: &[&str]| {
        jq("map(.bytes)", &well(show(&state, &[&["hours", "--json"], arguments, &OCTOBER_5[..]].concat())))
    };
    assert_eq!(of(&["--port", "443"]), json!([300, 0, 0]));
    assert_eq!(of(&["--port", "8000-9000"]), json!([6700, 3, 10]));
    assert_eq!(of(&["--user", "acct-8388"]), json!([6700, 3, 10]));
    assert_eq!(of(&["--limit", "3"]), json!([3, 0, 10]));
}

#[test]
fn days_come_from_their_table_or_else_from_the_hours() {
    if !have_program("jq", "what other programs make of the figures") {
        return;
    }
    let state = State::full();
    let text = well(show(&state, &["days", "--json", "--from", "2024-10-01", "--to", "2024-10-31"]));
    let rows = jq("map([.day, .port, .user, .bytes, .seconds_covered, .open])", &text);
    // Two hours minus ten minutes, plus 23.5 minutes of the open one.
    let expected = json!([
        ["2024-10-04", 443, "before", 7, 86400, false],
        ["2024-10-05", 443, null, 300, 8010, true],
        ["2024-10-05", 8388, "acct-8388", 6713, 8010, true],
    ]);
    assert_eq!(rows, expected);
}

#[test]
fn months_are_those_that_were_reported_and_this_nodes_own() {
    if !have_program("jq", "what other programs make of the figures") {
        return;
    }
    let state = State::full();
    let text = well(show(&state, &["months", "--json", "--from", "2024-09", "--to", "2024-10"]));
    let rows = jq("map([.month, .user, .ports, .bytes, .reported, (.coverage * 1000000 | round)])", &text);
    // 86,400 and 8,010 seconds of 31 days.
    let expected = json!([
        ["2024-09", "one", [443, 8388], 1_099_511_627_776_u64, true, 999_800],
        ["2024-10", "acct-8388", [8388], 6713, false, 35_249],
        ["2024-10", "before", [443], 7, false, 35_249],
        ["2024-10", null, [443], 300, false, 35_249],
    ]);
    assert_eq!(rows, expected);
}

#[test]
fn who_moved_most_comes_first() {
    if !have_program("jq", "what other programs make of the figures") {
        return;
    }
    let state = State::full();
    let text = well(show(&state, &[&["top", "--json"], &OCTOBER_5[..]].concat()));
    let expected = json!([[1, "acct-8388", [8388], 6713], [2, null, [443], 300]]);
    assert_eq!(jq("map([.rank, .user, .ports, .bytes])", &text), expected);
}

#[test]
fn the_total_is_held_against_the_devices() {
    if !have_program("jq", "what other programs make of the figures") {
        return;
    }
    let state = State::full();
    let text = well(show(&state, &[&["total", "--json"], &OCTOBER_5[..]].concat()));
    let row = jq(".[0] | [.in_bytes, .out_bytes, .bytes, .ports, .other.other_ip.in_bytes, .quality, .open]", &text);
    // In: 1,400 + 1 + 10. Out: 5,600 + 2 + 0.
    assert_eq!(row, json!([1411, 5602, 7013, 2, 60, { "gap": 1, "exact": 1 }, true]));
    // In the sealed hours: 1,460 + 1 by our counters, 1,460 + 6 by the device's.
    let expected = json!({
        "in": { "cells_bytes": 1461, "devices_bytes": 1466, "difference_bytes": -5 },
        "out": { "cells_bytes": 5602, "devices_bytes": 5602, "difference_bytes": 0 },
    });
    assert_eq!(jq(".[0].reconciliation", &text), expected);
}

#[test]
fn a_day_whose_hours_are_gone_is_in_the_sums() {
    if !have_program("jq", "what other programs make of the figures") {
        return;
    }
    let state = State::full();
    let october = ["--json", "--from", "2024-10", "--to", "2024-10"];
    let text = well(show(&state, &[&["total"], &october[..]].concat()));
    // 7 bytes on the 4th, whose 24 hours are no longer there, only the day.
    let expected = json!([["2024-10-04T00:00:00+08:00", 7020, { "gap": 1, "exact": 25 }]]);
    assert_eq!(jq("map([.start, .bytes, .quality])", &text), expected);
    let text = well(show(&state, &[&["top"], &october[..]].concat()));
    let expected = json!([["acct-8388", 6713], [null, 300], ["before", 7]]);
    assert_eq!(jq("map([.user, .bytes])", &text), expected);
}

#[test]
fn tables_are_for_people() {
    let state = State::full();
    let mut text = String::new();
    for arguments in [
        &["hours", "--from", "2024-10-05", "--to", "2024-10-05"][..],
        &["days", "--from", "2024-10-01", "--to", "2024-10-31"],
        &["months", "--from", "2024-09", "--to", "2024-10"],
        &["top", "--from", "2024-10", "--to", "2024-10"],
        &["total", "--from", "2024-10", "--to", "2024-10"],
        &["hours", "--by", "port", "--from", "2024-10-05", "--to", "2024-10-05"],
        &["hours", "--by", "user", "--from", "2024-10-05", "--to", "2024-10-05"],
        &["days", "--by", "user", "--from", "2024-10-01", "--to", "2024-10-31"],
        &["days", "--port", "443", "--from", "2024-10-01", "--to", "2024-10-31"],
        &["years", "--from", "2024-09", "--to", "2024-10"],
        &["total", "--units", "si", "--from", "2024-10", "--to", "2024-10"],
    ] {
        text += &format!("$ flow-agent show {}\n{}\n", arguments.join(" "), well(show(&state, arguments)));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_flipped_byte_costs_its_hour_and_is_named() {
    if !have_program("jq", "what other programs make of the figures") {
        return;
    }
    let state = State::full();
    let path = state.path("hourly/2024-10-05.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    // In the second line of the first hour, 5,000 becomes 5,001.
    fs::write(&path, text.replacen("\"tcp_out_bytes\":5000", "\"tcp_out_bytes\":5001", 1)).unwrap();
    let said = show(&state, &[&["hours", "--json"], &OCTOBER_5[..]].concat());
    assert_eq!(said.code, Some(6));
    assert_eq!(jq("map(.bytes)", &said.stdout), json!([0, 3, 0, 10]));
    let stderr = state.without_path(&said.stderr);
    assert!(stderr.starts_with("warning: state/hourly/2024-10-05.jsonl:"), "{stderr}");
    assert!(stderr.ends_with("warning: the figures are incomplete: this could not be used\n"), "{stderr}");
    // The total counts the damage.
    let said = show(&state, &[&["total", "--json"], &OCTOBER_5[..]].concat());
    assert_eq!(jq("map(.damages)", &said.stdout), json!([1]));
}

#[test]
fn a_checkpoint_that_is_damaged_is_gone_on_without() {
    if !have_program("jq", "what other programs make of the figures") {
        return;
    }
    let state = State::full();
    let text = fs::read_to_string(state.path("checkpoint.json")).unwrap();
    fs::write(state.path("checkpoint.json"), text.replace("1011", "1012")).unwrap();
    let said = show(&state, &[&["hours", "--json"], &OCTOBER_5[..]].concat());
    assert_eq!(said.code, Some(6));
    assert_eq!(jq("map(.bytes)", &said.stdout), json!([300, 6700, 0, 3]));
    let stderr = state.without_path(&said.stderr);
    assert!(stderr.starts_with("warning: `state/checkpoint.json` is damaged"), "{stderr}");
}

#[test]
fn a_directory_without_anything_is_nothing_and_none_is_an_error() {
    let state = State::empty();
    let why = "nothing has been counted yet: `flow-agent check` says whether an agent is running\n";
    for view in ["hours", "days", "top", "total"] {
        assert_eq!(well(show(&state, &[view])), why);
        let said = show(&state, &[view, "--json"]);
        assert_eq!((said.code, said.stdout.as_str(), said.stderr), (Some(0), "", format!("note: {why}")));
    }
    assert_eq!(well(show(&state, &[])), why);
    fs::remove_dir_all(state.path("")).unwrap();
    let said = show(&state, &["hours"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(5), ""));
    let expected = "error: `state` does not exist: nothing has been counted yet\n  \
                    help: start `flow-agent run`, or choose another directory with --state-dir\n";
    assert_eq!(state.without_path(&said.stderr), expected);
}

#[test]
fn a_main_node_without_figures_of_its_own_says_where_those_of_the_nodes_are() {
    let state = State::empty();
    let config = state.config();
    // It is a node itself, but no agent has run here.
    let nodes = "[[nodes]]\nname = \"hk-2\"\nhost = \"192.0.2.7\"\n[ports]\nwatch = [443]\n";
    fs::write(&config, fs::read_to_string(&config).unwrap() + nodes).unwrap();
    fs::create_dir_all(state.path("nodes/hk-2/daily")).unwrap();
    let said = flow_agent(&["show", "--config", config.to_str().unwrap()]);
    assert!(said.stdout.contains("`flow-agent show --node all` shows the gathered days"), "{}", said.stdout);
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let state = State::full();
    let config = state.config();
    let arguments = ["show", "hours", "--csv", "--from", "2024-10-05", "--config", config.to_str().unwrap()];
    let mut program = Command::new(env!("CARGO_BIN_EXE_flow-agent"));
    let mut child = program.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The reader is gone before the first row.
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn who_or_what_never_existed_is_a_usage_error_and_not_zero() {
    let state = State::full();
    for (arguments, expected) in [
        (
            ["--user", "acct-8389"],
            "error: there is no user `acct-8389`, in the configuration or in the logs\n  help: did you mean `acct-8388`?\n",
        ),
        // This user is only known from a day and from a report.
        (
            ["--user", "befor"],
            "error: there is no user `befor`, in the configuration or in the logs\n  help: did you mean `before`?\n",
        ),
        (["--port", "8389"], "error: port 8389 is not watched and was never counted\n  help: did you mean `8388`?\n"),
    ] {
        for view in [&[][..], &["hours"], &["months"], &["total", "--json"]] {
            let said = show(&state, &[view, &arguments].concat());
            assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (Some(2), "", expected), "{view:?}");
        }
    }
    for name in ["acct-8388", "before", "one"] {
        well(show(&state, &["months", "--user", name]));
    }
    well(show(&state, &["--port", "8000-9000"]));
}

#[test]
fn a_time_without_usage_and_a_main_node_say_why_there_is_nothing() {
    let state = State::full();
    for view in ["hours", "days", "top", "total"] {
        let text = well(show(&state, &[view, "--from", "2020-01", "--to", "2020-01"]));
        assert_eq!(text, "no usage in this period; `flow-agent show` shows the latest figures\n", "{view}");
    }
    let state = State::empty();
    let config = fs::read_to_string(state.config()).unwrap();
    fs::write(state.config(), config + "[[nodes]]\nname = \"hk-2\"\nhost = \"192.0.2.7\"\n").unwrap();
    let expected = "this main node counts nothing itself; `flow-agent show --node all` shows the gathered days; \
                    see also `flow-agent show months` and `state/reports`\n";
    assert_eq!(state.without_path(&well(show(&state, &[]))), expected);
    fs::remove_dir_all(state.path("")).unwrap();
    assert_eq!(state.without_path(&well(show(&state, &["total"]))), expected);
}

#[test]
fn a_time_that_was_not_counted_has_no_row_of_zeros() {
    let state = State::full();
    // The CSV has its header.
    for (form, lines) in [("--json", 0), ("--csv", 1)] {
        let said = show(&state, &["total", form, "--from", "2020-01-01", "--to", "2020-01-01"]);
        assert_eq!((said.code, said.stdout.lines().count()), (Some(0), lines), "{form}: {}", said.stdout);
        assert!(said.stderr.starts_with("note: no usage in this period"), "{form}: {}", said.stderr);
    }
}

#[test]
fn a_line_can_hold_everything_or_one_user() {
    if !have_program("jq", "what other programs make of the figures") {
        return;
    }
    let state = State::full();
    let text = well(show(&state, &[&["hours", "--by", "all", "--json"], &OCTOBER_5[..]].concat()));
    let rows = jq("map([.v, .kind, .by, .period[11:16], .in_bytes, .bytes, .seconds_covered, .seconds, .open])", &text);
    let expected = json!([
        [1, "hour", "all", "12:00", 1400, 7000, 3600, 3600, false],
        // Ten minutes of this hour were not measured.
        [1, "hour", "all", "13:00", 1, 3, 3000, 3600, false],
        [1, "hour", "all", "14:00", 10, 10, 1410, 1410, true],
    ]);
    assert_eq!(rows, expected);
    let october = ["--from", "2024-10", "--to", "2024-10"];
    let text = well(show(&state, &[&["days", "--by", "user", "--csv"], &october[..]].concat()));
    let rows: Vec<_> =
        csv(&text).into_iter().map(|row| (row["period"].clone(), row["user"].clone(), row["bytes"].clone())).collect();
    let row = |day: &str, user: &str, bytes: &str| (day.to_owned(), user.to_owned(), bytes.to_owned());
    let expected =
        [row("2024-10-04", "before", "7"), row("2024-10-05", "acct-8388", "6713"), row("2024-10-05", "", "300")];
    assert_eq!(rows, expected);
    // September of all nodes, and October of this one: 2^40 + 7,020.
    let text = well(show(&state, &["years", "--by", "all", "--json", "--from", "2024-09", "--to", "2024-10"]));
    assert_eq!(jq("map([.period, .bytes])", &text), json!([["2024", 1_099_511_634_796_u64]]));
}

#[test]
fn days_of_a_time_of_day_are_shown_whole_and_their_neighbours_are_not() {
    if !have_program("jq", "what other programs make of the figures") {
        return;
    }
    let state = State::full();
    let days = |from: &str, to: &str| {
        let text = well(show(&state, &["days", "--by", "all", "--json", "--from", from, "--to", to]));
        jq("map([.period, .bytes])", &text)
    };
    assert_eq!(days("2024-10-04T10:00", "2024-10-04T11:00"), json!([["2024-10-04", 7]]));
    assert_eq!(days("2024-10-04T10:00", "2024-10-05T00:00"), json!([["2024-10-04", 7]]));
    assert_eq!(days("2024-10-05T00:00", "2024-10-05T00:01"), json!([["2024-10-05", 7013]]));
}

#[test]
fn a_part_of_a_users_ports_is_not_shown_as_the_whole() {
    let state = State::full();
    let said = show(&state, &["months", "--port", "443", "--from", "2024-09", "--to", "2024-09"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""));
    let expected = "error: the report of 2024-09 has only the sum of the ports 443,8388 of `one`\n";
    assert!(said.stderr.starts_with(expected), "{}", said.stderr);
    for arguments in [&["--port", "443,8388"][..], &["--user", "one"]] {
        let text =
            well(show(&state, &[&["months", "--from", "2024-09", "--to", "2024-09", "--csv"], arguments].concat()));
        assert!(text.contains("1099511627776"), "{text}");
    }
}

#[test]
fn what_contradicts_itself_is_a_usage_error() {
    let state = State::full();
    for (arguments, expected) in [
        (
            &["months", "--by", "port"][..],
            "error: months and years are not stored by port: use --by all or --by user\n",
        ),
        (&["--node", "hk-2"], "error: this is not a main node: its configuration has no `[[nodes]]`\n"),
        (
            &["--95th", "--from", "2024-10-05"],
            "error: a 95th percentile needs samples of at most 300 seconds, but the buckets of this log have 3600\n",
        ),
    ] {
        let said = show(&state, arguments);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(said.stderr.starts_with(expected), "{}", said.stderr);
    }
}
