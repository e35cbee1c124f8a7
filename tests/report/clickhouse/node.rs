//! A node without an agent: an hourly log, a configuration, and `flow-agent ship`.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use chrono::{DateTime, FixedOffset};

use super::engine::Engine;
use super::hours::{Hour, line, put};
use crate::common::daemon::in_netns;
use crate::fleet::{Ended, PROGRAM};

pub struct Node {
    pub name: String,
    pub dir: tempfile::TempDir,
    pub netns: Option<String>,
}

impl Node {
    pub fn new(name: &str, engine: &Engine) -> Self {
        let node = Self { name: name.to_owned(), dir: tempfile::tempdir().unwrap(), netns: None };
        node.configure("UTC", &engine.section());
        node
    }

    pub fn configure(&self, zone: &str, fleet: &str) {
        let text = format!("node = {:?}\ntimezone = {zone:?}\nstate_dir = {:?}\n{fleet}", self.name, self.state_dir());
        fs::write(self.config(), text).unwrap();
    }

    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    pub fn cursor(&self) -> PathBuf {
        self.state_dir().join("ship/ship.json")
    }

    pub fn put(&self, hours: &[Hour]) {
        put(&self.state_dir(), &self.name, hours);
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match &self.netns {
            Some(netns) => in_netns(netns, PROGRAM),
            None => Command::new(PROGRAM),
        };
        command.args(arguments).arg("--config").arg(self.config()).stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.command(arguments).output().unwrap().into()
    }

    /// Creates the tables.
    pub fn init(&self) {
        self.run(&["fleet", "init"]).with_code(0);
    }

    /// Makes a new report of October from ClickHouse.
    pub fn report(&self) -> Reported {
        let main = tempfile::tempdir().unwrap();
        let state_dir = main.path().to_str().unwrap();
        let arguments = ["report", "--from", "clickhouse", "--month", "2026-10", "--no-mail", "--state-dir", state_dir];
        let ended = self.run(&arguments);
        let lines = crate::fleet::lines(&main.path().join("monthly/2026.jsonl"));
        let bytes = |line: &serde_json::Value| {
            ["tcp_in_bytes", "tcp_out_bytes", "udp_in_bytes", "udp_out_bytes"]
                .iter()
                .map(|name| line[*name].as_u64().unwrap())
                .sum()
        };
        let of = |user: &str| lines.iter().find(|line| line["user"].as_str().is_some_and(|name| name.ends_with(user)));
        Reported { alice: of("alice").map_or(0, bytes), ended }
    }

    /// Sends everything that was not sent yet.
    pub fn ship(&self) -> Ended {
        self.run(&["ship", "--once"])
    }
}

/// The result of a report.
#[derive(Debug)]
pub struct Reported {
    /// The bytes of alice, in both directions and of both protocols.
    pub alice: u64,
    pub ended: Ended,
}

/// The bytes of alice in [`hours_from`].
pub fn of_alice(hours: u64) -> u64 {
    11 * hours * (hours + 1) / 2
}

/// `hours` hours from `start` on, in UTC. In hour n, counted from 1, alice's port 443 receives n bytes and sends 10 n
/// over TCP, and port 53, which has no owner, receives 100 n over UDP. Port 9000 is idle.
pub fn hours_from(start: &str, hours: u64, first_seq: u64, epoch: &'static str) -> Vec<Hour> {
    let start: DateTime<FixedOffset> = DateTime::parse_from_rfc3339(start).unwrap();
    (0..hours)
        .map(|index| {
            let n = index + 1;
            let lines = vec![
                line(53, None, [0, 0, 100 * n, 0]),
                line(443, Some("alice"), [n, 10 * n, 0, 0]),
                line(9000, None, [0; 4]),
            ];
            let start = start + chrono::TimeDelta::hours(i64::try_from(index).unwrap());
            Hour::exact(start, first_seq + index, epoch, lines)
        })
        .collect()
}

/// What ClickHouse should hold of [`hours_from`]: rows, bytes in, bytes out, and manifests.
pub fn expected(hours: u64) -> String {
    let numbers = hours * (hours + 1) / 2;
    // One row for each port and hour: two ports use one protocol each, and an idle port has one row.
    format!("{}\t{}\t{}\t{hours}\n", 3 * hours, 101 * numbers, 10 * numbers)
}

/// The same figures as ClickHouse adds them up, by the rules that docs/fleet.md gives for queries.
pub fn found(engine: &Engine, node: &str) -> String {
    let rows = engine.query(&format!(
        "SELECT count(), sum(in_bytes), sum(out_bytes) FROM flow_agent.port_hour FINAL WHERE node = '{node}'"
    ));
    let buckets = engine.query(&format!("SELECT uniqExact(epoch, seq) FROM flow_agent.bucket WHERE node = '{node}'"));
    format!("{}\t{buckets}", rows.trim_end())
}
