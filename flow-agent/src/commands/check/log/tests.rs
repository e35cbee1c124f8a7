use super::*;
use crate::commands::check::finding::Status;
use crate::config;
use crate::store::journal::Journal;
use crate::store::table::put_days;
use crate::testing::fixtures::{self, bucket, dir, instant};

/// The findings at `now` about a log with the hour from 13:00 to 14:00, after `spoil`.
fn said(now: &str, runs: bool, spoil: impl FnOnce(&StateDir)) -> Vec<(Status, String)> {
    let dir = dir();
    let state = StateDir::new(dir.path());
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    let mut hour = bucket("2026-10-05T13:00:00+08:00", "boot-1", 0, 10);
    hour.seal.seq = Some(journal.next_seq());
    journal.append(&mut hour).unwrap();
    spoil(&state);
    let text = config::DEFAULT_CONFIG
        .replace("month_start_day", "node = \"hk-1\"\ntimezone = \"Asia/Shanghai\"\nmonth_start_day");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file.as_file(), text.as_bytes()).unwrap();
    let config = config::load(Some(file.path()), None).unwrap();
    let findings = findings(&state, &config, instant(now).to_utc(), runs).unwrap();
    findings.into_iter().map(|finding| (finding.status, finding.what)).collect()
}

#[test]
fn more_than_the_devices_is_a_warning_and_repeated_headers_are_none() {
    let mut last = bucket("2026-10-05T13:00:00+08:00", "boot-1", 0, 10);
    let judged = |last: &HourBlock, cells_bytes: u128| {
        let incoming = Compared { cells_bytes, devices_bytes: 100_000_000 };
        compared(Reconciliation { incoming, outgoing: Compared::default() }, last).status
    };
    last.seal.backend = Some(BackendKind::Ebpf);
    let cases = [
        (CountMode::Ip, 100_500_000, Status::Ok),
        (CountMode::Ip, 101_200_000, Status::Warn),
        (CountMode::Ip, 96_500_000, Status::Ok),
        (CountMode::Ip, 94_000_000, Status::Warn),
        (CountMode::Wire, 99_600_000, Status::Ok),
        (CountMode::Wire, 99_400_000, Status::Warn),
    ];
    for (count, cells_bytes, expected) in cases {
        last.seal.count = Some(count);
        assert_eq!(judged(&last, cells_bytes), expected, "{count:?} {cells_bytes}");
    }
    // Forwarded packets do not pass the rules of iptables.
    last.seal.backend = Some(BackendKind::Iptables);
    assert_eq!((judged(&last, 50_000_000), judged(&last, 101_200_000)), (Status::Ok, Status::Warn));
}

const SEALED: &str = "last complete hour: until 2026-10-05 14:00:00, exact";

#[test]
fn a_bucket_that_an_agent_should_have_written_is_missed() {
    let at = |now: &str, runs| said(now, runs, |_| ());
    assert_eq!(at("2026-10-05T15:00:30+08:00", true), [(Status::Ok, SEALED.to_owned())]);
    let overdue = format!("{SEALED}: the next one is overdue");
    assert_eq!(at("2026-10-05T15:01:30+08:00", true), [(Status::Warn, overdue)]);
    assert_eq!(at("2026-10-06T15:01:30+08:00", false), [(Status::Ok, SEALED.to_owned())]);
}

#[test]
fn a_node_whose_name_changed_says_what_it_was_called() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    let mut hour = bucket("2026-10-05T13:00:00+08:00", "boot-1", 0, 10);
    hour.seal.seq = Some(journal.next_seq());
    journal.append(&mut hour).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file.as_file(), b"node = \"hk-9\"\ntimezone = \"UTC\"\n").unwrap();
    let config = config::load(Some(file.path()), None).unwrap();
    let found = findings(&state, &config, instant("2026-10-05T15:00:30+08:00").to_utc(), false).unwrap();
    let renamed = found.iter().find(|finding| finding.status == Status::Warn).unwrap();
    assert_eq!(renamed.what, "this node was called `hk-1` and is now called `hk-9`");
    assert!(renamed.help.as_ref().is_some_and(|help| help.starts_with("add aliases = [\"hk-1\"]")), "{renamed:?}");
    // Days that were made under an even older name need it as an alias too.
    let mut day = fixtures::day("2026-08-31", 86_400, 7);
    day.seal.node = "hk-0".to_owned();
    put_days(&state.lock_daily().unwrap(), vec![day], false).unwrap();
    let found = findings(&state, &config, instant("2026-10-05T15:00:30+08:00").to_utc(), false).unwrap();
    let renamed = found.iter().find(|finding| finding.status == Status::Warn).unwrap();
    assert_eq!(renamed.what, "this node was called `hk-0`, then `hk-1`, and is now called `hk-9`");
    let aliases = "add aliases = [\"hk-0\", \"hk-1\"] to its entry";
    assert!(renamed.help.as_ref().is_some_and(|help| help.starts_with(aliases)), "{renamed:?}");
}

#[test]
fn lines_that_do_not_count_are_named() {
    let found = said("2026-10-05T15:00:30+08:00", true, |state| {
        let path = state.hourly("2026-10-05".parse().unwrap());
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, b"what is this\n{\"v\":1,\"kind\":\"seal\"}\n").unwrap();
    });
    assert!(found.len() > 1 && found[1..].iter().all(|(status, _)| *status == Status::Warn), "{found:?}");
    assert!(found[1].1.contains("2026-10-05.jsonl:5: "), "{found:?}");
}
