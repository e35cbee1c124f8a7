//! Lines of every kind with only the fields that a reader needs (docs/formats.md marks them), and some with part of an
//! optional one, as other programs or people may write them. All commands accept them.

use std::fs;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::program::flow_agent;

const EIGHT: &str = r#""tcp_in_bytes":1,"tcp_in_packets":1,"tcp_out_bytes":20,"tcp_out_packets":2,"udp_in_bytes":300,"udp_in_packets":3,"udp_out_bytes":4000,"udp_out_packets":4"#;

/// A line with the seal that `seal` makes from its checksum.
fn block(line: &str, seal: impl Fn(&str) -> String) -> String {
    let line = format!("{line}\n");
    let sum: String = Sha256::digest(line.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{line}{}\n", seal(&sum))
}

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = "node = \"n\"\ntimezone = \"UTC\"\nstate_dir = \"state\"\n\
                      [[users]]\nname = \"alice\"\nports = [443]\nemail = \"alice@example.com\"\n\
                      [mail]\nserver = \"smtp+insecure://127.0.0.1:1\"\nfrom = \"report@example.com\"\n";
        fs::write(dir.path().join("config.toml"), config).unwrap();
        Self { dir }
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join("state").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[track_caller]
    fn run(&self, code: i32, arguments: &[&str]) -> String {
        let config = self.dir.path().join("config.toml");
        let said = flow_agent(&[arguments, &["--config", config.to_str().unwrap()]].concat());
        assert_eq!(said.code, Some(code), "{arguments:?}: {said:?}");
        assert!(!said.stderr.contains("does not count") && !said.stdout.contains("does not count"), "{said:?}");
        said.stdout
    }

    #[track_caller]
    fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        let text = self.run(0, &[&["show"], arguments, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

const OCTOBER: [&str; 4] = ["--from", "2024-10-01", "--to", "2024-10-31"];

#[test]
fn hours_need_only_what_is_marked() {
    let times = r#""start":"2024-10-05T00:00:00Z","end":"2024-10-06T00:00:00Z""#;
    let line = format!(r#"{{"v":1,"kind":"hour",{times},"port":443,{EIGHT}}}"#);
    // Optional fields of the seal: none, or some of them in part.
    for more in [
        "",
        r#","other":{}"#,
        r#","other":{"other_ip":{"in_bytes":5}},"other_total":{"non_ip":{"out_bytes":6,"out_packets":1}}"#,
        r#","devices":[{"name":"eth0"},{"name":"eth1","rx_bytes":7}],"device_total":[{"name":"eth0","tx_bytes":8}]"#,
    ] {
        let place = Place::new();
        let seal = |sum: &str| {
            format!(
                r#"{{"v":1,"kind":"seal",{times},"node":"n","epoch":"e","quality":"exact","ports":1,"sha256":"{sum}"{more}}}"#
            )
        };
        place.write("hourly/2024-10-05.jsonl", &block(&line, seal));
        let rows = place.rows(&[&["hours"], &OCTOBER[..]].concat());
        assert_eq!((rows.len(), &rows[0]["bytes"]), (1, &4_321.into()), "{more}");
        let said = place.run(0, &["rollup"]);
        assert!(said.contains("86400 of 86400 s  written"), "{said}");
        let rows = place.rows(&[&["days"], &OCTOBER[..]].concat());
        assert_eq!((rows.len(), &rows[0]["bytes"]), (1, &4_321.into()), "{more}");
        place.rows(&[&["total"], &OCTOBER[..]].concat());
    }
}

#[test]
fn days_months_and_letters_need_only_what_is_marked() {
    let place = Place::new();
    let day = |number: u32| {
        let day = format!("2024-10-{number:02}");
        let line = format!(r#"{{"v":1,"kind":"day","day":"{day}","port":443,{EIGHT}}}"#);
        block(&line, |sum| {
            format!(
                r#"{{"v":1,"kind":"seal","day":"{day}","node":"n","zone":"UTC","ports":1,"seconds_in_day":86400,"seconds_covered":86400,"sha256":"{sum}"}}"#
            )
        })
    };
    place.write("daily/2024-10.jsonl", &(1..=31).map(day).collect::<String>());
    let line = format!(r#"{{"v":1,"kind":"month","month":"2024-09","user":"alice","ports":[443],{EIGHT}}}"#);
    let september = |sum: &str| format!(r#"{{"v":1,"kind":"seal","month":"2024-09","lines":1,"sha256":"{sum}"}}"#);
    place.write("monthly/2024.jsonl", &block(&line, september));
    let letter = r#"{"v":1,"kind":"mail","at":"2024-11-01T00:11:00Z","month":"2024-10","user":"alice","rev":0,"message_id":"<x@example.com>","state":"sent"}"#;
    place.write("sent.jsonl", &format!("{letter}\n"));

    let said = place.run(0, &["report", "--month", "2024-10", "--dry-run"]);
    assert!(said.contains("2024-10 (2024-10-01 to 2024-10-31, UTC): final"), "{said}");
    assert!(said.contains("was mailed: alice, revision 0"), "{said}");
    place.run(0, &["report", "--month", "2024-10", "--no-mail"]);
    let report = fs::read(place.dir.path().join("state/reports/2024-10/report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let alice = &report["statements"][0];
    assert_eq!((&alice["billed_bytes"], &alice["billed_bytes_before"]), (&(31 * 4_321).into(), &4_321.into()));

    let rows = place.rows(&["months", "--from", "2024-09-01", "--to", "2024-10-31"]);
    let bytes: Vec<_> =
        rows.iter().map(|row| (row["month"].as_str().unwrap(), row["bytes"].as_u64().unwrap())).collect();
    assert_eq!(bytes, [("2024-09", 4_321), ("2024-10", 31 * 4_321)]);
    // It is not known how much of September was measured, which is not the same as 0 %.
    assert_eq!((&rows[0]["coverage"], &rows[1]["coverage"]), (&Value::Null, &1.0.into()));
    let table = place.run(0, &["show", "months", "--from", "2024-09-01", "--to", "2024-09-30"]);
    assert!(!table.contains('%'), "{table}");
}
