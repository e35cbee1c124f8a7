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
        Self::begin_before_midnight(BEFORE_MIDNIGHT)
    }

    fn begin_before_midnight(seconds: i64) -> Option<Self> {
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
        wall.set((midnight - now).num_seconds() - seconds);
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

    /// The lines of the day in the daily log: of two versions of the day the one that was made later.
    fn daily_lines(&self) -> Vec<Value> {
        let daily = self.node.state_dir().join("daily");
        let files = if daily.exists() { files(&daily) } else { Vec::new() };
        let day = self.day.to_string();
        let of_day = |path| lines(path).into_iter().filter(|line| line["day"] == day.as_str()).collect::<Vec<_>>();
        let sealed_at = |lines: &Vec<Value>| Some(lines.last()?["at"].as_str()?.to_owned());
        files.iter().map(|path| of_day(path)).max_by_key(sealed_at).unwrap_or_default()
    }

    /// The same figures in the daily log; `None` without a seal.
    fn daily(&self) -> Option<(u64, u64)> {
        let of_day = self.daily_lines();
        let bytes = of_day.iter().filter_map(|line| line["udp_in_bytes"].as_u64()).sum();
        Some((of_day.last()?["buckets_sealed"].as_u64().unwrap(), bytes))
    }

    /// The file of the day that is not over.
    fn open(&self) -> std::path::PathBuf {
        self.node.state_dir().join("daily/open.jsonl")
    }

    /// The file of the month.
    fn month(&self) -> std::path::PathBuf {
        self.node.state_dir().join(format!("daily/{}.jsonl", self.day.format("%Y-%m")))
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
fn sealed_at(evening: &Evening) -> DateTime<Utc> {
    evening.daily_lines().last().unwrap()["at"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_day_whose_roll_up_failed_over_midnight_is_rolled_up_by_the_same_agent() {
    let Some(mut evening) = Evening::begin() else { return };
    evening.wait_for_midnight();
    assert_eq!(evening.daily(), None, "the lock is held:\n{}", evening.node.log());
    evening.lock.unlock().unwrap();
    evening.assert_rolled_up();
    let (at, midnight) = (sealed_at(&evening), evening.day.succ_opt().unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc());
    assert!(at >= midnight, "sealed at {at}");
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

#[test]
fn a_day_is_in_a_file_of_its_own_until_it_is_over_also_if_an_older_version_began_it() {
    let Some(mut evening) = Evening::begin_before_midnight(40) else { return };
    evening.lock.unlock().unwrap();
    wait_until("the day is rolled up before it is over", DEADLINE, || {
        evening.open().exists() && evening.daily().is_some()
    });
    assert!(!evening.month().exists());
    evening.node.stop();
    // As an older version has left it: the day is in the file of the month.
    fs::rename(evening.open(), evening.month()).unwrap();
    let before = fs::read(evening.month()).unwrap();
    evening.wall.start(&mut evening.node, &[]);
    inside(&evening.pair.peer, || send(PEER4, (HOST4, 443), 100, 3));
    wait_until("the day is rolled up again", DEADLINE, || evening.open().exists());
    assert_eq!(fs::read(evening.month()).unwrap(), before, "the day is not over");
    evening.wait_for_midnight();
    let text = || fs::read_to_string(evening.month()).unwrap();
    wait_until("the day is closed", DEADLINE, || text().as_bytes() != before);
    let of_month = lines(&evening.month());
    let bytes: u64 = of_month.iter().filter_map(|line| line["udp_in_bytes"].as_u64()).sum();
    assert_eq!(bytes, 10 * DATAGRAM, "{of_month:?}");
    assert_eq!(evening.daily(), Some(evening.hourly()));
    evening.node.stop();
}
