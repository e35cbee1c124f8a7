//! The agent's loop with a scripted kernel.
#![expect(clippy::disallowed_methods, reason = "a test writes its own files")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;

use super::agent::Agent;
use super::setup::start_with;
use super::watched::Heard;
use crate::backend::AttachPlace;
use crate::clock;
use crate::config::{self, Config};
use crate::exit::Code;
use crate::ledger::block::HourBlock;
use crate::ledger::counters::Counters;
use crate::ledger::record::{HourLine, Quality};
use crate::store::hours::{HourItem, Hours, dates};
use crate::store::{StateDir, checkpoint};
use crate::testing::scripted_backend::{Operation, Script};

fn config(dir: &Path, ports: &[u16]) -> Config {
    config_and(dir, ports, "")
}

/// A configuration for `ports`, with `more` at its end.
fn config_and(dir: &Path, ports: &[u16], more: &str) -> Config {
    let path = dir.join("config.toml");
    let state_dir = dir.join("state");
    let text =
        format!("node = \"n\"\ntimezone = \"UTC\"\nstate_dir = {state_dir:?}\n[ports]\nwatch = {ports:?}\n{more}");
    std::fs::write(&path, text).unwrap();
    config::load(Some(&path), None).unwrap()
}

async fn start(script: &Script, dir: &Path, ports: &[u16]) -> Agent {
    start_with(config(dir, ports), AttachPlace::Auto, false, |options| script.start(options)).await.unwrap()
}

/// Applies a configuration, and waits until its ports were looked up.
async fn reconfigure(agent: &mut Agent, config: Config) {
    agent.reconfigure(config);
    loop {
        let heard = agent.hear_of_ports().await;
        let has_looked = matches!(heard, Heard::Looked(_));
        agent.attend_ports(heard);
        if has_looked {
            return;
        }
    }
}

fn bytes(count: u64) -> Counters {
    Counters { tcp_in_bytes: count, tcp_in_packets: 1, ..Counters::default() }
}

/// All buckets in the hourly log.
fn buckets(dir: &Path) -> Vec<HourBlock> {
    let state = StateDir::new(dir.join("state"));
    let dates = dates(&state).unwrap();
    let hours = Hours::read(&state, dates[0]..=dates[dates.len() - 1]).unwrap();
    hours.map(|hour| if let HourItem::Bucket(bucket) = hour.unwrap() { *bucket } else { panic!("damaged") }).collect()
}

fn lines(dir: &Path) -> Vec<HourLine> {
    buckets(dir).into_iter().flat_map(|bucket| bucket.lines).collect()
}

/// The bytes of all buckets by port.
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
    // As with `kill -9`, nothing is written.
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
    reconfigure(&mut agent, config(dir.path(), &[443])).await;
    assert_eq!(logged(dir.path())[&4433], 1_000, "its last line is written at once");
    assert!(script.draining().is_empty(), "and its counters are let go");
    script.pass(4433, bytes(50));
    reconfigure(&mut agent, config(dir.path(), &[443, 4433])).await;
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
    reconfigure(&mut agent, config(dir.path(), &[443])).await;
    reconfigure(&mut agent, config(dir.path(), &[443, 4433])).await;
    agent.tick().unwrap();
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
    reconfigure(&mut agent, config(dir.path(), &[443, 4433, 8388])).await;
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
    let mut agent = start_with(adas, AttachPlace::Auto, false, |options| script.start(options)).await.unwrap();
    script.pass(4433, bytes(1_000));
    // The port drains, but the reading for its last line fails at first.
    script.fail_next(Operation::Read);
    reconfigure(&mut agent, config(dir.path(), &[443])).await;
    agent.tick().unwrap();
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
    // The last reading of the smaller set fails, and so does the first of the larger one.
    script.fail_next(Operation::Read);
    script.fail_next(Operation::Read);
    reconfigure(&mut agent, config(dir.path(), &[443, 4433, 8388])).await;
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
    // Neither the smaller set nor the larger one can be read.
    script.fail_next(Operation::Read);
    script.fail_next(Operation::Read);
    reconfigure(&mut agent, config(dir.path(), &[443, 4433, 8388])).await;
    script.pass(8388, bytes(2));
    script.pass(443, bytes(100));
    reconfigure(&mut agent, config(dir.path(), &[443, 4433, 8388, 9000])).await;
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

/// The path and the length of today's hourly file.
fn hourly(dir: &Path) -> (std::path::PathBuf, u64) {
    let state = StateDir::new(dir.join("state"));
    let path = state.hourly(*dates(&state).unwrap().last().unwrap());
    let length = std::fs::metadata(&path).unwrap().len();
    (path, length)
}

fn qualities(dir: &Path) -> Vec<Quality> {
    buckets(dir).iter().map(|bucket| bucket.seal.quality).collect()
}

#[tokio::test]
async fn a_log_that_is_cut_or_removed_is_written_again_from_the_counters() {
    for cut_to_first in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let script = Script::new(8);
        let mut agent = start(&script, dir.path(), &[443]).await;
        script.pass(443, bytes(100));
        assert!(agent.recorder().close());
        let (path, length) = hourly(dir.path());
        for usage in [20, 3] {
            script.pass(443, bytes(usage));
            assert!(agent.recorder().close());
        }
        if cut_to_first {
            std::fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
        } else {
            std::fs::remove_file(&path).unwrap();
        }
        script.pass(443, bytes(4_000));
        agent.leave(Duration::MAX).unwrap();
        assert_eq!(logged(dir.path()), [(443, 4_123)].into(), "{cut_to_first}");
        let expected: &[Quality] = if cut_to_first {
            &[Quality::Exact, Quality::Late, Quality::Exact]
        } else {
            &[Quality::Late, Quality::Exact]
        };
        assert_eq!(qualities(dir.path()), expected);
    }
}

#[tokio::test]
async fn counters_that_took_longer_than_a_second_to_read_are_read_again_and_else_not_exact() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new(8);
    let mut agent = start(&script, dir.path(), &[443]).await;
    // How many of the readings for each bucket are slow. If the end of a bucket is uncertain, so is the beginning of
    // the next.
    for (slow, usage) in [(0, 1), (1, 20), (2, 300), (0, 4_000), (0, 50_000)] {
        script.pass(443, bytes(usage));
        script.read_slowly(slow);
        assert!(agent.recorder().close());
    }
    use Quality::{Clock, Exact};
    assert_eq!(qualities(dir.path()), [Exact, Exact, Clock, Clock, Exact]);
    assert_eq!(logged(dir.path()), [(443, 54_321)].into());
}

#[tokio::test]
async fn counters_that_are_gone_with_their_part_of_the_log_are_not_exact() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new(8);
    let mut agent = start(&script, dir.path(), &[443, 4433]).await;
    script.pass(443, bytes(1));
    assert!(agent.recorder().close());
    let (path, length) = hourly(dir.path());
    script.pass(4433, bytes(1_000));
    reconfigure(&mut agent, config(dir.path(), &[443])).await;
    std::fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
    script.pass(443, bytes(20));
    agent.leave(Duration::MAX).unwrap();
    assert_eq!(logged(dir.path()), [(443, 21), (4433, 0)].into());
    assert_eq!(qualities(dir.path()), [Quality::Exact, Quality::Gap, Quality::Exact]);
}

#[tokio::test]
async fn a_state_directory_that_is_moved_away_and_back_loses_and_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (state, aside) = (dir.path().join("state"), dir.path().join("aside"));
    let script = Script::new(8);
    let mut agent = start(&script, dir.path(), &[443]).await;
    let instance = std::fs::read_to_string(state.join("instance")).unwrap();
    script.pass(443, bytes(100));
    assert!(agent.recorder().close());

    std::fs::rename(&state, &aside).unwrap();
    script.pass(443, bytes(20));
    agent.attend_state();
    assert_eq!(std::fs::read_to_string(state.join("instance")).unwrap(), instance);
    assert!(state.join("ports.json").exists());
    assert_eq!(logged(dir.path()), [(443, 120)].into(), "all of today is in the new directory");
    script.pass(443, bytes(3));
    assert!(agent.recorder().close());

    std::fs::rename(&state, dir.path().join("meanwhile")).unwrap();
    std::fs::rename(&aside, &state).unwrap();
    agent.attend_state();
    script.pass(443, bytes(4_000));
    agent.leave(Duration::MAX).unwrap();
    assert_eq!(logged(dir.path()), [(443, 4_123)].into());
    assert_eq!(qualities(dir.path())[..2], [Quality::Exact, Quality::Late]);
}

#[tokio::test]
async fn an_instance_file_that_is_removed_is_made_again_before_a_successor_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state/instance");
    let script = Script::new(8);
    let mut agent = start(&script, dir.path(), &[443]).await;
    let instance = std::fs::read_to_string(&file).unwrap();
    for leaves in [false, true] {
        std::fs::remove_file(&file).unwrap();
        if leaves {
            agent.leave(Duration::MAX).unwrap()
        } else {
            agent.attend_state()
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), instance, "{leaves}");
    }
    assert_eq!(qualities(dir.path()), [Quality::Exact], "and no bucket is closed because of that");
}

#[tokio::test]
async fn a_state_directory_of_another_instance_ends_the_agent() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let mut agent = start(&Script::new(8), dir.path(), &[443]).await;
    std::fs::rename(&state, dir.path().join("aside")).unwrap();
    std::fs::create_dir(&state).unwrap();
    std::fs::write(state.join("instance"), "0123456789abcdef\n").unwrap();
    agent.attend_state();
    let failure = agent.tick().unwrap_err();
    assert_eq!(failure.code, Code::Store);
    assert!(failure.render().contains("belongs to instance 0123456789abcdef"), "{}", failure.render());
    assert!(!state.join("hourly").exists());
}

#[tokio::test]
async fn a_log_that_another_agent_went_on_with_ends_the_agent() {
    let dir = tempfile::tempdir().unwrap();
    let (state, aside) = (dir.path().join("state"), dir.path().join("aside"));
    let script = Script::new(8);
    let mut agent = start(&script, dir.path(), &[443]).await;
    assert!(agent.recorder().close());
    std::fs::rename(&state, &aside).unwrap();
    agent.attend_state();
    // Somebody ran a second agent in the place to which the directory was moved.
    let text = "node = \"n\"\ntimezone = \"UTC\"\n[ports]\nwatch = [443]\n";
    let path = dir.path().join("second.toml");
    std::fs::write(&path, format!("state_dir = {aside:?}\n{text}")).unwrap();
    let second = config::load(Some(&path), None).unwrap();
    let mut second = start_with(second, AttachPlace::Auto, false, |options| script.start(options)).await.unwrap();
    (0..3).for_each(|_| assert!(second.recorder().close()));
    drop(second);
    std::fs::rename(&state, dir.path().join("meanwhile")).unwrap();
    std::fs::rename(&aside, &state).unwrap();
    agent.attend_state();
    assert!(agent.tick().unwrap_err().render().contains("another agent wrote there"));
}

#[tokio::test]
async fn counters_that_are_not_those_of_the_open_bucket_end_the_agent() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new(8);
    let mut agent = start(&script, dir.path(), &[443]).await;
    assert!(agent.recorder().can_close());
    // The counters are new, but no inspection reports it.
    script.reboot();
    assert!(!agent.recorder().can_close(), "no heartbeat any more");
    assert!(!agent.recorder().close());
    let failure = agent.tick().unwrap_err();
    assert_eq!(failure.code, Code::Kernel);
    // A restart continues.
    drop(agent);
    start(&script, dir.path(), &[443]).await.leave(Duration::MAX).unwrap();
}

#[tokio::test]
async fn a_day_that_an_agent_could_not_roll_up_is_rolled_up_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let script = Script::new(8);
    let state = StateDir::new(dir.path().join("state"));
    let mut agent = start(&script, dir.path(), &[443]).await;
    let held = state.lock_daily().unwrap();
    script.pass(443, bytes(10));
    assert!(agent.recorder().close());
    agent.tick().unwrap();
    agent.leave(Duration::MAX).unwrap();
    assert!(!state.daily_dir().exists(), "somebody held the lock all the time");
    drop((agent, held));
    start(&script, dir.path(), &[443]).await.leave(Duration::MAX).unwrap();
    assert!(state.daily_dir().exists());
}

#[tokio::test]
async fn after_a_power_cut_the_log_has_what_the_last_of_several_checkpoints_had() {
    let ports: Vec<u16> = (1..=60).collect();
    // How many lines of the file are left, whether an earlier version has written it, and what ports 1 to 3 have then.
    for (lines, by_earlier_version, expected) in
        [(5, false, [1_100, 2_100, 3_100]), (5, true, [1_100, 2_100, 3_100]), (4, false, [1_100, 2_100, 100])]
    {
        let dir = tempfile::tempdir().unwrap();
        let script = Script::new(80);
        let mut agent = start(&script, dir.path(), &ports).await;
        ports.iter().for_each(|port| script.pass(*port, bytes(100)));
        agent.recorder().checkpoint();
        for port in 1..=3 {
            script.pass(port, bytes(1_000 * u64::from(port)));
            agent.recorder().checkpoint();
        }
        // What moves after the last checkpoint is lost.
        script.pass(4, bytes(7));
        drop(agent);
        script.reboot();
        let state = StateDir::new(dir.path().join("state"));
        let text = std::fs::read_to_string(state.checkpoint()).unwrap();
        assert_eq!(text.lines().count(), 5, "the first, all ports, and three steps");
        let kept: String = text.split_inclusive('\n').take(lines).collect();
        std::fs::write(state.checkpoint(), kept).unwrap();
        if by_earlier_version {
            let newest = checkpoint::read(&state).unwrap().unwrap();
            checkpoint::write(&state.lock_run().unwrap(), &newest).unwrap();
            assert_eq!(std::fs::read_to_string(state.checkpoint()).unwrap().lines().count(), 1);
        }
        start(&script, dir.path(), &ports).await.leave(Duration::MAX).unwrap();
        let logged = logged(dir.path());
        assert_eq!([logged[&1], logged[&2], logged[&3]], expected, "{lines} lines");
        assert!((4..=60).all(|port| logged[&port] == 100), "{logged:?}");
        assert_eq!(buckets(dir.path())[0].seal.quality, Quality::Restart);
    }
}
