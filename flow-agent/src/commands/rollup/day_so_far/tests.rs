//! The sums that go on from the last time give the same day as the whole log.

use std::collections::BTreeSet;
use std::io::Write as _;

use super::*;
use crate::commands::rollup::day_of;
use crate::ledger::block::HourBlock;
use crate::ledger::calendar::BucketLength;
use crate::ledger::reading::Moment;
use crate::store::hours;
use crate::testing::fixtures;

const DAY: &str = "2026-10-05";

/// An hour that begins at this hour of a day of October, with `bytes` on port 443.
fn hour(day: u32, hour: u32, seq: u64, bytes: u64) -> HourBlock {
    let mut block = fixtures::bucket(&format!("2026-10-{day:02}T{hour:02}:00:00+08:00"), "boot.map", 0, bytes);
    block.seal.seq = Some(seq);
    block
}

/// A node in Hong Kong with a log, and the sums that its agent keeps.
struct Node {
    dir: tempfile::TempDir,
    so_far: DaySoFar,
}

impl Node {
    fn new() -> Self {
        let dir = fixtures::dir();
        fs::create_dir_all(StateDir::new(dir.path()).hourly_dir()).unwrap();
        Self { dir, so_far: DaySoFar::default() }
    }

    fn state(&self) -> StateDir {
        StateDir::new(self.dir.path())
    }

    fn append(&self, date: &str, text: &str) {
        let mut options = fs::File::options();
        let mut file = options.append(true).create(true).open(self.state().hourly(date.parse().unwrap())).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// The bytes of port 443 on the day; `None` if the whole log had to be read. They are those of the whole log.
    fn sum(&mut self) -> Option<u64> {
        let rules = DayRules { node: "hk-1".into(), zone: chrono_tz::Asia::Hong_Kong, bucket: BucketLength::HOUR };
        let (state, day) = (self.state(), DAY.parse().unwrap());
        let now = Moment { wall: fixtures::instant("2026-10-05T23:10:00+08:00").to_utc(), boot_ns: 0 };
        let dates = hours::dates(&state).unwrap();
        let made = self.so_far.make(&rules, &state, &dates, day, now).unwrap()?;
        let whole = day_of(&rules, &state, &dates, day, now, &mut Vec::new()).unwrap();
        assert_eq!(made, whole);
        let of_port = made.lines.iter().filter(|line| line.port == 443);
        Some(of_port.map(|line| line.tcp_in_bytes).sum())
    }
}

#[test]
fn each_hour_is_added_once_and_what_was_read_is_not_read_again() {
    let mut node = Node::new();
    node.append("2026-10-04", &hour(4, 23, 1, 7).encode());
    node.append(DAY, &hour(5, 0, 2, 10).encode());
    assert_eq!(node.sum(), Some(10));
    assert_eq!(node.sum(), Some(10));
    node.append(DAY, &hour(5, 1, 3, 100).encode());
    node.append(DAY, &hour(5, 2, 4, 1_000).encode());
    assert_eq!(node.sum(), Some(1_110));
    // The disk damages the first hour in place. The sums have it already.
    let path = node.state().hourly(DAY.parse().unwrap());
    let text = fs::read_to_string(&path).unwrap().replacen(":10,", ":11,", 1);
    fs::File::options().write(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
    let so_far = std::mem::take(&mut node.so_far);
    assert_eq!(node.sum(), None, "whoever reads all of it must name the damage");
    node.so_far = so_far;
    let rules = node.so_far.0.as_ref().unwrap().rules.clone();
    let now = Moment { wall: fixtures::instant("2026-10-05T03:00:00+08:00").to_utc(), boot_ns: 0 };
    node.append(DAY, &hour(5, 3, 5, 10_000).encode());
    let dates = hours::dates(&node.state()).unwrap();
    let state = node.state();
    let made = node.so_far.make(&rules, &state, &dates, DAY.parse().unwrap(), now).unwrap().unwrap();
    assert_eq!(made.lines[0].tcp_in_bytes, 11_110);
}

#[test]
fn a_bucket_of_the_day_before_that_ends_in_the_day_covers_a_part_of_it() {
    let mut node = Node::new();
    let mut late = hour(4, 23, 1, 7);
    late.seal.end = fixtures::instant("2026-10-05T02:00:00+08:00");
    late.lines.iter_mut().for_each(|line| line.end = late.seal.end);
    node.append("2026-10-04", &hour(4, 22, 0, 6).encode());
    node.append("2026-10-04", &late.encode());
    node.append(DAY, &hour(5, 2, 2, 10).encode());
    assert_eq!(node.sum(), Some(10), "its bytes belong to the day before");
    let covered =
        node.so_far.0.as_ref().unwrap().rollup.finish(fixtures::instant("2026-10-06T00:00:00+08:00").to_utc());
    assert_eq!(covered.seal.seconds_covered, 3 * 3_600);
    // Another one is added to that file.
    let mut late = hour(4, 21, 3, 8);
    late.seal.end = fixtures::instant("2026-10-05T05:00:00+08:00");
    late.lines.iter_mut().for_each(|line| line.end = late.seal.end);
    node.append("2026-10-04", &late.encode());
    assert_eq!(node.sum(), Some(10));
    let covered =
        node.so_far.0.as_ref().unwrap().rollup.finish(fixtures::instant("2026-10-06T00:00:00+08:00").to_utc());
    assert_eq!(covered.seal.seconds_covered, 5 * 3_600);
}

#[test]
fn an_unfinished_bucket_is_added_when_it_is_whole() {
    let mut node = Node::new();
    node.append(DAY, &hour(5, 0, 1, 10).encode());
    let next = hour(5, 1, 2, 100).encode();
    for (from, to, sum) in [(0, 5, 10), (5, next.len() - 1, 10), (next.len() - 1, next.len(), 110)] {
        node.append(DAY, &next[from..to]);
        assert_eq!(node.sum(), Some(sum), "{to} bytes");
    }
}

#[test]
fn anything_unusual_is_left_to_those_who_read_the_whole_log() {
    type Change = fn(&Node);
    let changes: [(&str, Change); 5] = [
        ("a bucket twice", |node| node.append(DAY, &hour(5, 0, 1, 10).encode())),
        ("two buckets with one number", |node| node.append(DAY, &hour(5, 1, 1, 11).encode())),
        ("damage", |node| node.append(DAY, &hour(5, 1, 2, 20).encode().replace(":20,", ":21,"))),
        ("a compressed part", |node| {
            fs::write(node.state().hourly_compressed(DAY.parse().unwrap()), "").unwrap();
        }),
        ("an unfinished bucket, and a later file", |node| {
            node.append(DAY, "{");
            node.append("2026-10-06", &hour(6, 0, 3, 1).encode());
        }),
    ];
    for (what, change) in changes {
        let mut node = Node::new();
        node.append(DAY, &hour(5, 0, 1, 10).encode());
        assert_eq!(node.sum(), Some(10));
        change(&node);
        assert_eq!(node.sum(), None, "{what}");
    }
}

#[test]
fn a_file_that_was_replaced_is_read_from_its_beginning() {
    let mut node = Node::new();
    node.append(DAY, &hour(5, 0, 1, 10).encode());
    assert_eq!(node.sum(), Some(10));
    let path = node.state().hourly(DAY.parse().unwrap());
    for bytes in [20, 30_000] {
        let aside = node.dir.path().join("aside");
        fs::write(&aside, hour(5, 0, 1, bytes).encode()).unwrap();
        fs::rename(&aside, &path).unwrap();
        assert_eq!(node.sum(), Some(bytes));
    }
    // It was cut, as a start does with a damaged end.
    node.append(DAY, &hour(5, 1, 2, 5).encode());
    assert_eq!(node.sum(), Some(30_005));
    let first = hour(5, 0, 1, 30_000).encode().len() as u64;
    fs::File::options().write(true).open(&path).unwrap().set_len(first).unwrap();
    assert_eq!(node.sum(), Some(30_000));
    let dates: BTreeSet<_> = hours::dates(&node.state()).unwrap().into_iter().collect();
    assert_eq!(dates.len(), 1);
}
