//! The agent's loop, with a kernel that does what the test says.
#![expect(clippy::disallowed_methods, reason = "a test writes its own files")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;

use super::agent::Agent;
use super::setup::start_with;
use crate::backend::Place;
use crate::backend::scripted::{Operation, Script};
use crate::clock;
use crate::config::{self, Config};
use crate::ledger::block::HourBlock;
use crate::ledger::counters::Counters;
use crate::ledger::record::HourLine;
use crate::store::StateDir;
use crate::store::hours::{Hour, Hours, dates};

fn config(dir: &Path, ports: &[u16]) -> Config {
    config_and(dir, ports, "")
}

/// The same, with `more` at its end.
fn config_and(dir: &Path, ports: &[u16], more: &str) -> Config {
    let path = dir.join("config.toml");
    let state_dir = dir.join("state");
    let text =
        format!("node = \"n\"\ntimezone = \"UTC\"\nstate_dir = {state_dir:?}\n[ports]\nwatch = {ports:?}\n{more}");
    std::fs::write(&path, text).unwrap();
    config::load(Some(&path), None).unwrap()
}

async fn start(script: &Script, dir: &Path, ports: &[u16]) -> Agent {
    start_with(config(dir, ports), Place::Auto, false, |options| script.start(options)).await.unwrap()
}

fn bytes(count: u64) -> Counters {
    Counters { tcp_in_bytes: count, tcp_in_packets: 1, ..Counters::default() }
}

/// All that the hourly log says.
fn buckets(dir: &Path) -> Vec<HourBlock> {
    let state = StateDir::new(dir.join("state"));
    let dates = dates(&state).unwrap();
    let hours = Hours::read(&state, dates[0]..=dates[dates.len() - 1]).unwrap();
    hours.map(|hour| if let Hour::Bucket(bucket) = hour.unwrap() { *bucket } else { panic!("damaged") }).collect()
}

fn lines(dir: &Path) -> Vec<HourLine> {
    buckets(dir).into_iter().flat_map(|bucket| bucket.lines).collect()
}

/// All that it says, by port.
fn logged(dir: &Path) -> BTreeMap<u16, u64> {
    let mut sums = BTreeMap::new();
    for line in lines(dir) {
        *sums.entry(line.port).or_default() += line.counters().bytes();
    }
    sums
}

#[tokio::test]
async fn an_agent_that_dies_leaves_its_bytes_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new(8);
    let mut agent = start(&script, dir.path(), &[443, 4433]).await;
    script.pass(443, bytes(100));
    assert!(agent.recorder().close());
    script.pass(443, bytes(20));
    // As `kill -9`: nothing is written.
    drop(agent);
    script.pass(443, bytes(3));
    script.pass(4433, bytes(7));
    start(&script, dir.path(), &[443, 4433]).await.leave(Duration::MAX).unwrap();
    assert_eq!(logged(dir.path()), [(443, 123), (4433, 7)].into());
}

#[tokio::test]
async fn a_port_that_goes_and_comes_back_counts_from_where_its_last_line_ended() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new(8);
    let mut agent = start(&script, dir.path(), &[443, 4433]).await;
    script.pass(4433, bytes(1_000));
    agent.reconfigure(config(dir.path(), &[443]));
    assert_eq!(logged(dir.path())[&4433], 1_000, "its last line is written at once");
    assert!(script.draining().is_empty(), "and its counters are let go");
    script.pass(4433, bytes(50));
    agent.reconfigure(config(dir.path(), &[443, 4433]));
    script.pass(4433, bytes(8));
    agent.leave(Duration::MAX).unwrap();
    assert_eq!(logged(dir.path()), [(443, 0), (4433, 1_008)].into());
}

#[tokio::test]
async fn counters_that_cannot_be_let_go_are_not_counted_again() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new(8);
    let mut agent = start(&script, dir.path(), &[443, 4433]).await;
    script.pass(4433, bytes(1_000));
    script.fail_next(Operation::Release);
    agent.reconfigure(config(dir.path(), &[443]));
    agent.reconfigure(config(dir.path(), &[443, 4433]));
    agent.tick();
    script.pass(4433, bytes(8));
    agent.leave(Duration::MAX).unwrap();
    let sum = logged(dir.path())[&4433];
    assert!(sum == 1_000 || sum == 1_008, "{sum}: what was sealed is not counted again");
}

#[tokio::test]
async fn a_reading_that_fails_delays_a_bucket_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new(8);
    let mut agent = start(&script, dir.path(), &[443]).await;
    script.pass(443, bytes(5));
    script.fail_next(Operation::Read);
    assert!(!agent.recorder().close());
    script.pass(443, bytes(6));
    agent.leave(Duration::MAX).unwrap();
    assert_eq!(logged(dir.path()), [(443, 11)].into());
}

#[tokio::test]
async fn more_ports_than_slots_move_to_larger_counters() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new(2);
    let mut agent = start(&script, dir.path(), &[443, 4433]).await;
    script.pass(443, bytes(10));
    agent.reconfigure(config(dir.path(), &[443, 4433, 8388]));
    script.pass(443, bytes(1));
    script.pass(8388, bytes(2));
    agent.leave(Duration::MAX).unwrap();
    assert_eq!(logged(dir.path()), [(443, 11), (4433, 0), (8388, 2)].into());
    assert!(script.retired_epochs().is_empty(), "the smaller ones are deleted when they are sealed");
}

#[tokio::test]
async fn a_port_that_goes_is_its_owners_until_its_last_line_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new(8);
    let adas = config_and(dir.path(), &[443], "[[users]]\nname = \"ada\"\nports = [4433]\n");
    let mut agent = start_with(adas, Place::Auto, false, |options| script.start(options)).await.unwrap();
    script.pass(4433, bytes(1_000));
    // The port drains, but its last line cannot be written at once.
    script.fail_next(Operation::Read);
    agent.reconfigure(config(dir.path(), &[443]));
    agent.tick();
    agent.leave(Duration::MAX).unwrap();
    let lines = lines(dir.path()).into_iter().filter(|line| line.port == 4433 && !line.counters().is_zero());
    let owners: Vec<_> = lines.map(|line| (line.user, line.tcp_in_bytes)).collect();
    assert_eq!(owners, [(Some("ada".to_owned()), 1_000)]);
}

#[tokio::test]
async fn a_port_that_went_while_nobody_was_here_makes_no_bucket_without_time() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new(8);
    start(&script, dir.path(), &[443, 4433]).await.leave(Duration::MAX).unwrap();
    script.reboot();
    start(&script, dir.path(), &[443]).await.leave(Duration::MAX).unwrap();
    assert_eq!(buckets(dir.path()).len(), 2, "one for each agent");
}

#[tokio::test]
async fn larger_counters_that_cannot_be_read_at_once_are_gone_on_with_later() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new(2);
    let mut agent = start(&script, dir.path(), &[443, 4433]).await;
    script.pass(443, bytes(10));
    agent.recorder().checkpoint();
    // The last reading of the smaller ones fails, and the first of the larger ones.
    script.fail_next(Operation::Read);
    script.fail_next(Operation::Read);
    agent.reconfigure(config(dir.path(), &[443, 4433, 8388]));
    script.pass(8388, bytes(2));
    assert!(agent.recorder().close(), "the next try succeeds");
    script.pass(8388, bytes(5));
    agent.leave(Duration::MAX).unwrap();
    assert_eq!(logged(dir.path()), [(443, 10), (4433, 0), (8388, 7)].into());
}

#[tokio::test]
async fn counters_that_are_replaced_before_those_before_them_were_sealed_keep_their_own_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new(2);
    let mut agent = start(&script, dir.path(), &[443, 4433]).await;
    script.pass(443, bytes(10));
    agent.recorder().checkpoint();
    // Neither the smaller ones nor the larger ones can be read.
    script.fail_next(Operation::Read);
    script.fail_next(Operation::Read);
    agent.reconfigure(config(dir.path(), &[443, 4433, 8388]));
    script.pass(8388, bytes(2));
    script.pass(443, bytes(100));
    agent.reconfigure(config(dir.path(), &[443, 4433, 8388, 9000]));
    script.pass(9000, bytes(7));
    agent.leave(Duration::MAX).unwrap();
    assert_eq!(logged(dir.path()), [(443, 110), (4433, 0), (8388, 2), (9000, 7)].into());
}

#[tokio::test]
async fn a_disk_that_takes_nothing_fills_no_memory_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new(8);
    let mut agent = start(&script, dir.path(), &[443, 4433]).await;
    agent.recorder().limit_waiting_lines(4);
    let hourly = dir.path().join("state/hourly");
    std::fs::remove_dir_all(&hourly).unwrap();
    std::fs::write(&hourly, "nothing can be made in a file").unwrap();
    let mut later = clock::now();
    later.wall += TimeDelta::hours(2);
    later.boot_ns += 7_200_000_000_000;
    for round in [1, 2] {
        assert!(agent.recorder().must_close(later), "{round}");
        script.pass(443, bytes(10));
        assert!(agent.recorder().close());
    }
    assert!(!agent.recorder().must_close(later), "two buckets of two lines wait");
    script.pass(443, bytes(1));
    std::fs::remove_file(&hourly).unwrap();
    agent.leave(Duration::MAX).unwrap();
    assert_eq!(logged(dir.path()), [(443, 21), (4433, 0)].into());
    assert!(agent.recorder().must_close(later));
}
