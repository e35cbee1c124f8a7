//! The days that a running agent rolls up: none is forgotten because one attempt failed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value;

use crate::agent::{Node, files};
use crate::clock::Wall;
use crate::common::daemon::wait_until;
use crate::common::netns::{HOST4, PEER4, Pair, inside};
use crate::support::send;

const DEADLINE: Duration = Duration::from_secs(60);
const DATAGRAM: u64 = 100 + 20 + 8;
/// How long before midnight by its own clock the agent is started.
const BEFORE_MIDNIGHT: i64 = 12;

/// An agent with buckets of one second, a little before midnight, while somebody else holds `daily.lock`.
struct Evening {
    pair: Pair,
    node: Node,
    wall: Wall,
    day: NaiveDate,
    lock: fs::File,
}

impl Evening {
    fn begin() -> Option<Self> {
        let pair = Pair::make()?;
        let mut node = Node::new(&pair, &[443], "");
        node.replace_config("bucket = \"1h\"", "bucket = \"1s\"");
        let wall = Wall::new(&node)?;
        fs::create_dir_all(node.state_dir()).unwrap();
        let lock = fs::File::create(node.state_dir().join("daily.lock")).unwrap();
        lock.try_lock().unwrap();
        let now = Utc::now();
        let day = now.date_naive();
        let midnight = day.succ_opt().unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc();
        wall.set((midnight - now).num_seconds() - BEFORE_MIDNIGHT);
        wall.start(&mut node, &[]);
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
        Some(Self { pair, node, wall, day, lock })
    }

    /// Waits for the second bucket of the next day: by then the last one of the day before is written, and its roll-up
    /// was attempted.
    fn wait_for_midnight(&self) {
        let next = self.node.state_dir().join(format!("hourly/{}.jsonl", self.day.succ_opt().unwrap()));
        let sealed = || fs::read_to_string(&next).is_ok_and(|text| text.matches("\"kind\":\"seal\"").count() >= 2);
        wait_until("two buckets of the next day are written", DEADLINE, sealed);
    }

    /// What the hourly log has of the day: the number of seals, and the bytes that port 443 received.
    fn hourly(&self) -> (u64, u64) {
        let lines = lines(&self.node.state_dir().join(format!("hourly/{}.jsonl", self.day)));
        let seals = lines.iter().filter(|line| line["kind"] == "seal").count();
        (seals as u64, lines.iter().filter_map(|line| line["udp_in_bytes"].as_u64()).sum())
    }

    /// The same figures in the daily log, and whether the day was sealed after its end; `None` without a seal.
    fn daily(&self) -> Option<(u64, u64)> {
        let daily = self.node.state_dir().join("daily");
        let files = if daily.exists() { files(&daily) } else { Vec::new() };
        let day = self.day.to_string();
        let of_day: Vec<Value> =
            files.iter().flat_map(|path| lines(path)).filter(|line| line["day"] == day.as_str()).collect();
        let seal = of_day.iter().find(|line| line["kind"] == "seal")?;
        let bytes = of_day.iter().filter_map(|line| line["udp_in_bytes"].as_u64()).sum();
        Some((seal["buckets_sealed"].as_u64().unwrap(), bytes))
    }

    fn assert_rolled_up(&self) {
        wait_until("the day is rolled up", DEADLINE, || self.daily() == Some(self.hourly()));
        let (buckets, bytes) = self.hourly();
        assert!(buckets > 1 && bytes == 7 * DATAGRAM, "{buckets} buckets, {bytes} bytes");
    }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// When the last seal of the day was made, according to the seal.
fn sealed_at(evening: &Evening) -> Option<DateTime<Utc>> {
    let path = files(&evening.node.state_dir().join("daily")).pop()?;
    let day = evening.day.to_string();
    let seal = lines(&path).into_iter().find(|line| line["kind"] == "seal" && line["day"] == day.as_str())?;
    seal["at"].as_str().map(|at| at.parse().unwrap())
}

#[test]
fn a_day_whose_roll_up_failed_over_midnight_is_rolled_up_by_the_same_agent() {
    let Some(mut evening) = Evening::begin() else { return };
    evening.wait_for_midnight();
    assert_eq!(evening.daily(), None, "the lock is held:\n{}", evening.node.log());
    evening.lock.unlock().unwrap();
    evening.assert_rolled_up();
    if let Some(at) = sealed_at(&evening) {
        let midnight = evening.day.succ_opt().unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc();
        assert!(at >= midnight, "sealed at {at}");
    }
    evening.node.stop();
    drop(evening.pair);
}

#[test]
fn a_day_whose_roll_up_failed_until_the_agent_died_is_rolled_up_by_the_next() {
    let Some(mut evening) = Evening::begin() else { return };
    evening.wait_for_midnight();
    evening.node.kill();
    assert_eq!(evening.daily(), None);
    evening.lock.unlock().unwrap();
    evening.wall.start(&mut evening.node, &[]);
    evening.assert_rolled_up();
    evening.node.stop();
}
