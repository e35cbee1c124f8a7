//! The report from ClickHouse is identical, byte for byte, to the report from the nodes' own files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::{DateTime, FixedOffset, TimeDelta};
use chrono_tz::Tz;

use super::engine::Engine;
use super::hours::{Hour, line, put};
use crate::common::daemon::in_netns;
use crate::common::have_program;
use crate::fleet::{Ended, Fleet, PROGRAM};

/// The clock stands still, so that both reports are made at the same instant.
const NOW: &str = "2026-11-03 12:00:00";

/// October as a node in `zone` sees it, hour by hour. `lines` gives the lines of an hour from its number.
fn october(zone: Tz, epoch: &'static str, lines: impl Fn(u64) -> Vec<super::hours::Line>) -> Vec<Hour> {
    let local = |day: u32| {
        let midnight = chrono::NaiveDate::from_ymd_opt(2026, 10, 1).unwrap() + chrono::Days::new(u64::from(day));
        midnight.and_hms_opt(0, 0, 0).unwrap().and_local_timezone(zone).unwrap().fixed_offset()
    };
    let (mut start, end): (DateTime<FixedOffset>, _) = (local(0), local(31));
    let mut hours = Vec::new();
    while start < end {
        let next = (start + TimeDelta::hours(1)).with_timezone(&zone).fixed_offset();
        let number = hours.len() as u64 + 1;
        let hour = Hour { end: next, ..Hour::exact(start, number, epoch, lines(number)) };
        hours.push(hour);
        start = next;
    }
    hours
}

fn in_october(fleet: &Fleet, arguments: &[&str], config: &Path) -> Ended {
    let mut command: Command = in_netns(&fleet.main, "faketime");
    command.args(["-f", NOW, PROGRAM]).args(arguments).arg("--config").arg(config);
    command.envs([("TZ", "UTC"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]);
    command.output().unwrap().into()
}

/// All files below `directory`, by their relative paths.
fn files(directory: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => {
                    let text = fs::read_to_string(&path).unwrap();
                    found.insert(path.strip_prefix(directory).unwrap().to_owned(), text);
                }
            }
        }
    }
    found
}

#[test]
fn a_report_from_clickhouse_is_the_report_by_scp_byte_for_byte() {
    if !have_program("faketime", "two reports at the same instant") {
        return;
    }
    let Some(mut fleet) = Fleet::make(&["hk-1", "de-1"]) else { return };
    let Some(engine) = Engine::start(&fleet.dir.path().join("engine"), Some(&fleet.main.clone())) else { return };
    fleet.nodes.iter_mut().for_each(|node| fs::create_dir_all(&node.state_dir).unwrap());

    // Hong Kong has 744 hours. Port 8388 passes from bob to carol, the counters begin anew in the middle, one bucket
    // was read late and extends over midnight, part of one was not measured, and six hours have no bucket.
    let mut hours = october(chrono_tz::Asia::Hong_Kong, "boot-1", |n| {
        let owner = if n <= 400 { "bob" } else { "carol" };
        vec![
            line(443, Some("alice"), [n, 2 * n, 0, 0]),
            line(8388, Some(owner), [0, 1_000_000 * n, 5, 0]),
            line(9000, None, [0; 4]),
        ]
    });
    hours.iter_mut().skip(360).for_each(|hour| hour.epoch = "boot-2");
    (hours[47].end, hours[47].quality) = (hours[48].end, "late");
    hours.remove(48);
    let gap = (hours[100].start + TimeDelta::minutes(10), hours[100].start + TimeDelta::minutes(25));
    (hours[100].gaps, hours[100].quality) = (vec![gap], "gap");
    hours.drain(500..506);
    put(&fleet.nodes[0].state_dir, "hk-1", &hours);
    // In Germany the clocks are set back on the 25th, so October has 745 hours.
    let de = october(chrono_tz::Europe::Berlin, "boot-9", |n| vec![line(443, Some("alice"), [7 * n, 0, 0, n])]);
    assert_eq!((hours.len(), de.len()), (744 - 1 - 6, 745));
    put(&fleet.nodes[1].state_dir, "de-1", &de);

    for (node, zone) in fleet.nodes.iter().zip(["Asia/Hong_Kong", "Europe/Berlin"]) {
        let config = fleet.dir.path().join(format!("{}.toml", node.name));
        let text = format!("node = {:?}\ntimezone = {zone:?}\nstate_dir = {:?}\n", node.name, node.state_dir);
        fs::write(&config, text + &engine.section()).unwrap();
        if node.name == "hk-1" {
            in_october(&fleet, &["fleet", "init"], &config).with_code(0);
        }
        let rolled_up = in_october(&fleet, &["rollup"], &config);
        assert!(matches!(rolled_up.code, Some(0 | 6)), "{rolled_up:?}");
        in_october(&fleet, &["ship", "--once"], &config).with_code(0);
    }

    let users = "[[users]]\nname = \"alice\"\nports = []\nemail = \"alice@example.com\"\nlanguage = \"zh\"\n\
                 [[users]]\nname = \"carol\"\nports = []\nemail = \"carol@example.com\"\nquota = \"1 GiB\"\n";
    let mut reports = Vec::new();
    for from in ["scp", "clickhouse"] {
        fleet.configure(users, "");
        let mut text = fs::read_to_string(fleet.config()).unwrap();
        let state_dir = fleet.dir.path().join(format!("main-{from}"));
        text = text.replace(&format!("{:?}", fleet.state_dir()), &format!("{state_dir:?}")) + &engine.section();
        fs::write(fleet.config(), text).unwrap();
        let ended = in_october(&fleet, &["report", "--month", "2026-10", "--no-mail", "--from", from], &fleet.config());
        reports.push((
            ended.code,
            ended.stdout.replace(from, "SOURCE"),
            files(&state_dir.join("reports/2026-10")),
            files(&state_dir.join("monthly")),
        ));
    }
    let [scp, clickhouse] = &reports[..] else { unreachable!() };
    assert_eq!(scp.0, Some(6), "six hours and a part of one are missing: {}", scp.1);
    assert_eq!(clickhouse.0, scp.0, "{}", clickhouse.1);
    assert_eq!(clickhouse.1, scp.1);
    let names: Vec<&PathBuf> = scp.2.keys().collect();
    assert!(names.len() >= 4, "a report, a page and letters: {names:?}");
    for (name, text) in &scp.2 {
        assert_eq!(clickhouse.2.get(name), Some(text), "{}", name.display());
    }
    assert_eq!(clickhouse.2.len(), scp.2.len());
    assert_eq!(clickhouse.3, scp.3);

    // The figures of alice by hand. Hong Kong counted 3 n in hour n, without hour 49 (read together with hour 48) and
    // without hours 502 to 507, which were removed after hour 49 had been. Germany counted 8 n.
    let sum = |last: u64| last * (last + 1) / 2;
    let hk = 3 * (sum(744) - 49 - (502..=507).sum::<u64>());
    let total = hk + 8 * sum(745);
    let report: serde_json::Value = serde_json::from_str(&clickhouse.2[Path::new("report.json")]).unwrap();
    let alice = report["statements"].as_array().unwrap().iter().find(|one| one["user"] == "alice").unwrap();
    assert_eq!(alice["billed_bytes"], total);
}
