//! The clocks of the running agent: a wall clock that is set, and a machine that was suspended.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::flood::Flood;
use crate::common::have_program;
use crate::common::netns::{HOST4, PEER4, Pair, inside};
use crate::common::observer::Observer;
use crate::soak::{PORTS, compare_at_rest};
use crate::support::send;

const DEADLINE: Duration = Duration::from_secs(30);
const DATAGRAM: u64 = 100 + 20 + 8;
const DAY: i64 = 86_400;

/// A wall clock for a single program: libfaketime reads a file at every query. The program asks the kernel directly for
/// the boot-time clock, which therefore stays unchanged.
pub struct Wall {
    file: PathBuf,
    preload: String,
}

impl Wall {
    /// If faketime is not installed, prints that on stderr and returns `None`.
    pub fn new(node: &Node) -> Option<Self> {
        if !have_program("faketime", "set clocks") {
            return None;
        }
        let library = ["x86_64", "aarch64"].map(|arch| format!("/usr/lib/{arch}-linux-gnu/faketime/libfaketime.so.1"));
        let library = library.into_iter().find(|path| Path::new(path).exists()).expect("faketime has its library");
        let wall = Self { file: node.path("wall"), preload: format!("LD_PRELOAD={library}") };
        wall.set(0);
        Some(wall)
    }

    /// Sets the wall clock to this many seconds after the true time.
    pub fn set(&self, seconds: i64) {
        let new = self.file.with_extension("new");
        fs::write(&new, format!("{seconds:+}\n")).unwrap();
        fs::rename(new, &self.file).unwrap();
    }

    /// Starts the agent with this clock.
    pub fn start(&self, node: &mut Node, arguments: &[&str]) {
        let file = format!("FAKETIME_TIMESTAMP_FILE={}", self.file.display());
        let settings = ["env", &self.preload, &file, "FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1"];
        node.start_under(&settings, arguments);
    }
}

fn seals(node: &Node) -> Vec<Value> {
    let mut seals: Vec<Value> = node.hourly().into_iter().filter(|line| line["kind"] == "seal").collect();
    seals.sort_by_key(|seal| seal["seq"].as_u64());
    seals
}

fn pass(pair: &Pair, count: usize) {
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, count));
}

#[test]
fn a_clock_that_is_set_closes_the_bucket_and_moves_no_byte() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    let Some(wall) = Wall::new(&node) else { return };
    wall.start(&mut node, &[]);
    let now = chrono::Utc::now().timestamp();
    pass(&pair, 1);
    // A second is not a step.
    wall.set(1);
    let mut sent = 1;
    let (to_1970, to_2038) = (3 * DAY - now, 2_147_483_647 - now + 3_600);
    let steps = [3_600, 0, DAY, 0, to_1970, 0, to_2038, 0];
    for (index, step) in steps.into_iter().enumerate() {
        pass(&pair, 1 << (index + 1));
        sent += 1 << (index + 1);
        wall.set(step);
        node.wait_for_buckets(index + 1);
    }
    pass(&pair, 1_000);
    sent += 1_000;
    node.stop();

    assert_eq!(node.totals()[&443]["udp_in_bytes"], sent * DATAGRAM);
    let seals = seals(&node);
    assert!(seals.iter().take(steps.len()).all(|seal| seal["quality"] == "clock"), "{seals:#?}");
    // Each bucket is named by the wall clock that was valid when it began, and its bytes belong to that day.
    let dates: Vec<&str> = seals.iter().map(|seal| &seal["start"].as_str().unwrap()[..10]).collect();
    assert!(dates[5].starts_with("1970-01-0") && dates[7].starts_with("2038-01-19"), "{dates:?}");
    let lines: Vec<Value> = node.hourly().into_iter().filter(|line| line["kind"] == "hour").collect();
    let of = |index: usize| lines.iter().find(|line| line["start"] == seals[index]["start"]).unwrap();
    assert_eq!(of(5)["udp_in_packets"], 1 << 6);
    assert_eq!(of(7)["udp_in_packets"], 1 << 8);
    let days = node.command(&["show", "days", "--from", "1970-01-01", "--to", "2039-01-01", "--json"]);
    let days = String::from_utf8(days.stdout).unwrap();
    let days = days.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let shown: u64 = days.filter(|day| day["port"] == 443).map(|day| day["udp_in_bytes"].as_u64().unwrap()).sum();
    assert_eq!(shown, sent * DATAGRAM, "the days have what the hours have");
}

#[test]
fn a_clock_that_is_wrong_at_the_start_is_waited_for() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    let Some(wall) = Wall::new(&node) else { return };
    wall.start(&mut node, &[]);
    pass(&pair, 3);
    node.stop();
    wall.set(-10 * DAY);
    pass(&pair, 5);
    let log = node.path("agent.log");
    fs::remove_file(&log).unwrap();
    std::thread::scope(|scope| {
        let setter = scope.spawn(|| {
            wait_until("the agent waits", DEADLINE, || {
                fs::read_to_string(&log).is_ok_and(|text| text.contains("waiting for it to be set"))
            });
            wall.set(0);
        });
        wall.start(&mut node, &[]);
        setter.join().unwrap();
    });
    node.stop();
    assert_eq!(node.totals()[&443]["udp_in_packets"], 8);
    let qualities: Vec<Value> = seals(&node).into_iter().map(|seal| seal["quality"].clone()).collect();
    assert!(qualities.iter().all(|quality| quality == "exact"), "{qualities:?}");
}

#[test]
fn a_machine_that_slept_for_an_hour_has_one_late_bucket() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    let Some(wall) = Wall::new(&node) else { return };
    wall.start(&mut node, &[]);
    pass(&pair, 3);
    node.kill();
    // Both clocks have advanced by an hour and 59 minutes, as after waking up. The counters still exist and have not
    // moved.
    let slept = 3_600 + 59 * 60;
    let file = format!("FAKETIME_TIMESTAMP_FILE={}", wall.file.display());
    wall.set(slept);
    let boottime = slept.to_string();
    let unshare = ["unshare", "--time", "--boottime", &boottime, "--"];
    let settings = ["env", &wall.preload, &file, "FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1"];
    node.start_under(&[&unshare[..], &settings[..]].concat(), &[]);
    pass(&pair, 5);
    wait_until("the late bucket is written", DEADLINE, || !seals(&node).is_empty());
    node.stop();
    assert_eq!(node.totals()[&443]["udp_in_packets"], 8);
    let first = &seals(&node)[0];
    assert_eq!(first["quality"], "late", "{first}");
    let instant = |name: &str| chrono::DateTime::parse_from_rfc3339(first[name].as_str().unwrap()).unwrap();
    assert!((instant("end") - instant("start")).num_seconds() >= slept, "{first}");
}

#[test]
fn an_agent_that_gets_no_time_writes_one_late_bucket_and_loses_nothing() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    node.start(&["--bucket", "1s", "--checkpoint", "1s"]);
    let observer = Observer::install(&pair.host, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    node.wait_for_buckets(1);
    node.signal(rustix::process::Signal::STOP);
    let stopped_at = std::time::Instant::now();
    wait_until("it was stopped for some buckets", DEADLINE, || stopped_at.elapsed() > Duration::from_secs(4));
    node.signal(rustix::process::Signal::CONT);
    let is_late = || seals(&node).iter().any(|seal| seal["quality"] == "late");
    wait_until("it writes a late bucket", DEADLINE, is_late);
    flood.end();
    node.stop();
    compare_at_rest(&node, &observer);
}
