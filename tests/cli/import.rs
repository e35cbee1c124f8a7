//! `flow-agent import`.

use std::fs;

use serde_json::Value;

use crate::program::flow_agent;

#[test]
fn legacy_logs_become_buckets_once_and_every_doubt_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("config.toml"), "node = \"hk-1\"\ntimezone = \"Asia/Shanghai\"\nstate_dir = \"state\"\n").unwrap();
    // The hour from 23:00 on the 1st is in the file of the 2nd.
    fs::write(path("170901_daylog.txt"), "2017/09/01_13:00:07 port:8388 100\n2017/09/01_13:00:08 port:443\n\n")
        .unwrap();
    fs::write(path("170902_daylog.txt"), "2017/09/02_00:00:07 port:8388 23\n\n").unwrap();
    fs::write(path("1709_monthlog.txt"), "170901  port:8388 999\n170830  port:8388 5\n\n").unwrap();
    fs::write(path("2017_yearlog.txt"), "1709 port:8388 1\n").unwrap();
    let config = path("config.toml");
    let import = || flow_agent(&["import", dir.path().to_str().unwrap(), "--config", config.to_str().unwrap()]);

    let said = import();
    assert_eq!(said.code, Some(6), "{} {}", said.stdout, said.stderr);
    assert!(said.stdout.contains("170901_daylog.txt:2: no figure"), "{}", said.stdout);
    assert!(said.stdout.contains("1709_monthlog.txt:1: this day is known hour by hour"), "{}", said.stdout);
    assert!(said.stdout.contains("3 files: 3 buckets imported"), "{}", said.stdout);
    let hours = |day: &str| {
        let text = fs::read_to_string(path(&format!("state/hourly/{day}.jsonl"))).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let hour = |line: Value| (line["start"].as_str().unwrap().to_owned(), line["tcp_out_bytes"].as_u64().unwrap());
        lines.filter(|line| line["kind"] == "hour").map(hour).collect::<Vec<_>>()
    };
    let first = [("2017-09-01T12:00:00+08:00".to_owned(), 100), ("2017-09-01T23:00:00+08:00".to_owned(), 23)];
    assert_eq!(hours("2017-09-01"), first);
    assert_eq!(hours("2017-08-30"), [("2017-08-30T00:00:00+08:00".to_owned(), 5)]);

    let said = import();
    assert!(said.stdout.contains("0 buckets imported, 3 left out"), "{}", said.stdout);
    assert_eq!(hours("2017-09-01"), first);
}

#[test]
fn a_day_of_which_the_log_has_an_hour_is_left_out_and_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.toml"), "node = \"hk-1\"\ntimezone = \"UTC\"\nstate_dir = \"state\"\n").unwrap();
    let (config, log) = (dir.path().join("config.toml"), dir.path().join("170901_daylog.txt"));
    let import =
        |path: &std::path::Path| flow_agent(&["import", path.to_str().unwrap(), "--config", config.to_str().unwrap()]);
    fs::write(&log, "2017/09/01_13:00:07 port:8388 100\n\n").unwrap();
    assert_eq!(import(&log).code, Some(0));
    // The same hour again is in the log already; the whole day is not.
    assert_eq!(import(&log).code, Some(0));
    let month = dir.path().join("1709_monthlog.txt");
    fs::write(&month, "170901  port:8388 999\n\n").unwrap();
    let said = import(&month);
    assert_eq!(said.code, Some(6), "{}", said.stdout);
    let expected = "2017-09-01T00:00:00+00:00 to 2017-09-02T00:00:00+00:00: left out, because a part of this time is \
                    already in the log; what the scripts logged for the rest is not imported\n";
    assert!(said.stdout.starts_with(expected), "{}", said.stdout);
}

#[test]
fn a_line_without_an_end_is_named_and_takes_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.toml"), "node = \"hk-1\"\nstate_dir = \"state\"\n").unwrap();
    let log = dir.path().join("170901_daylog.txt");
    // A line of which only the first 64 KiB would be a valid figure, followed by 256 MiB that take no space on the
    // disk.
    let long = format!("2017/09/01_13:00:07 port:8388 {}100\n", " ".repeat(70_000));
    fs::write(&log, long + "2017/09/01_14:00:07 port:8388 5\n").unwrap();
    fs::OpenOptions::new().append(true).open(&log).unwrap().set_len(256 << 20).unwrap();
    let config = dir.path().join("config.toml");
    let program = [env!("CARGO_BIN_EXE_flow-agent"), "import", log.to_str().unwrap(), "--config"];
    // The file does not fit into this address space.
    let limited = ["--as=201326592", "--"].iter().chain(&program).collect::<Vec<_>>();
    let output = std::process::Command::new("prlimit").args(limited).arg(config).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(6), "{said} {}", String::from_utf8_lossy(&output.stderr));
    assert!(
        said.contains("1 bucket imported, 0 left out (their time is already in the log), 2 lines skipped"),
        "{said}"
    );
    assert!(
        said.contains("daylog.txt:1: not a line of these logs") && said.contains("daylog.txt:3: not a line"),
        "{said}"
    );
}

#[test]
fn files_without_a_usable_line_are_reported_as_incomplete() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.toml"), "node = \"hk-1\"\nstate_dir = \"state\"\n").unwrap();
    let config = dir.path().join("config.toml");
    fs::create_dir(dir.path().join("nothing")).unwrap();
    fs::write(dir.path().join("empty_daylog.txt"), "\n\n").unwrap();
    for from in ["nothing", "empty_daylog.txt"].map(|name| dir.path().join(name)) {
        let said = flow_agent(&["import", from.to_str().unwrap(), "--config", config.to_str().unwrap()]);
        assert_eq!(said.code, Some(6), "{} {}", said.stdout, said.stderr);
        assert!(said.stdout.contains("no usable lines found"), "{}", said.stdout);
    }
}

#[test]
fn what_counters_may_hold_and_days_whose_hours_are_gone_are_left_out_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("config.toml"), "node = \"hk-1\"\ntimezone = \"Asia/Shanghai\"\nstate_dir = \"state\"\n").unwrap();
    let import = |log: &str| {
        fs::write(path("1709_monthlog.txt"), log).unwrap();
        let (log, config) = (path("1709_monthlog.txt"), path("config.toml"));
        flow_agent(&["import", log.to_str().unwrap(), "--config", config.to_str().unwrap()])
    };
    // The agent counted for an hour on the 5th and is stopped now. Its counters go on.
    crate::hourly::go_on(&path("state"), "2017-09-05T13", 1, 100).unwrap();
    let said = import("170904  port:8388 4\n170906  port:8388 6\n\n");
    assert_eq!(said.code, Some(6), "{}", said.stdout);
    let expected = "2017-09-06T00:00:00+08:00 to 2017-09-07T00:00:00+08:00: left out, because flow-agent has counted";
    assert!(said.stdout.contains(expected) && said.stdout.contains("1 bucket imported"), "{}", said.stdout);

    // The hours of the 3rd were deleted.
    assert_eq!(import("170903  port:8388 3\n\n").code, Some(0));
    assert!(flow_agent(&["rollup", "--config", path("config.toml").to_str().unwrap()]).code.is_some());
    fs::remove_file(path("state/hourly/2017-09-03.jsonl")).unwrap();
    let said = import("170903  port:8388 3\n\n");
    assert_eq!(said.code, Some(6), "{}", said.stdout);
    assert!(said.stdout.contains("the daily log has this day"), "{}", said.stdout);
    assert!(!path("state/hourly/2017-09-03.jsonl").exists());
}
