//! Whatever goes wrong on the way, ClickHouse holds exactly the sealed figures afterwards.

use std::fs;
use std::process::Command;
use std::time::Duration;

use chrono::TimeDelta;

use super::engine::Engine;
use super::hours::line;
use super::node::{Node, expected, found, hours_from, of_alice};
use super::relay::{Fault, Relay};
use crate::common::daemon::wait_until;
use crate::common::have_root;

const START: &str = "2026-10-05T00:00:00+00:00";

fn engine() -> Option<(tempfile::TempDir, Engine)> {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::start(dir.path(), None)?;
    Some((dir, engine))
}

#[test]
fn the_same_hours_again_in_other_batches_and_another_order_change_nothing() {
    let Some((_dir, engine)) = engine() else { return };
    let node = Node::new("hk-1", &engine);
    node.init();
    let hours = hours_from(START, 72, 1, "boot-1");
    // As they are sealed, a few at a time.
    for until in [1, 5, 6, 30, 72] {
        node.put(&hours[..until]);
        node.ship().with_code(0);
        assert_eq!(found(&engine, "hk-1"), expected(until as u64));
    }
    let said = node.ship().with_code(0);
    assert_eq!(said.stdout, "0 buckets sent in 0 rows\n");
    // All at once, and then the last day before the others.
    for first in [0, 48] {
        fs::remove_file(node.cursor()).unwrap();
        fs::remove_dir_all(node.state_dir().join("hourly")).unwrap();
        node.put(&hours[first..]);
        node.ship().with_code(0);
    }
    node.put(&hours);
    node.ship().with_code(0);
    assert_eq!(found(&engine, "hk-1"), expected(72));
    assert_eq!(node.report().alice, of_alice(72));
    assert_eq!(node.run(&["fleet", "status"]).stdout.matches("missing").count(), 0);
}

#[test]
fn an_answer_that_is_lost_or_wrong_is_no_acknowledgement() {
    let Some((_dir, engine)) = engine() else { return };
    for (name, fault) in [
        ("a-1", Fault::Status500),
        ("a-2", Fault::Dropped),
        ("a-3", Fault::LateException),
        ("a-4", Fault::CutBody),
        ("a-5", Fault::Foreign),
    ] {
        let node = Node::new(name, &engine);
        node.init();
        node.put(&hours_from(START, 24, 1, "boot-1"));
        // The first insert is that of the rows, and the second that of the manifests.
        for number in [1, 2] {
            let relay = Relay::start(engine.port, &[(number, fault)]);
            node.configure("UTC", &relay.section());
            let ended = node.ship().with_code(6);
            assert_eq!(*relay.inserts.lock().unwrap(), number, "{fault:?}: {}", ended.stderr);
            assert!(!node.cursor().exists(), "{fault:?}: nothing was acknowledged");
        }
        node.configure("UTC", &engine.section());
        node.ship().with_code(0);
        assert_eq!(found(&engine, name), expected(24), "{fault:?}");
    }
}

#[test]
fn a_server_that_is_killed_in_the_middle_holds_everything_afterwards() {
    let Some((_dir, mut engine)) = engine() else { return };
    let node = Node::new("hk-1", &engine);
    node.init();
    node.put(&hours_from(START, 600, 1, "boot-1"));
    let mut kills = 0;
    let mut child = node.command(&["ship", "--once"]).spawn().unwrap();
    loop {
        // ClickHouse is killed each time after a few more days were acknowledged.
        let acknowledged = || fs::read_to_string(node.cursor()).map_or(0, |text| text.matches("digest").count());
        let before = acknowledged();
        let mut has_ended = false;
        wait_until("another day is acknowledged", Duration::from_secs(60), || {
            has_ended = child.try_wait().unwrap().is_some();
            has_ended || acknowledged() > before + 2
        });
        if has_ended {
            break;
        }
        engine.kill();
        kills += 1;
        child.wait().unwrap();
        engine.run();
        child = node.command(&["ship", "--once"]).spawn().unwrap();
    }
    assert!(kills > 1, "{kills}");
    node.ship().with_code(0);
    assert_eq!(found(&engine, "hk-1"), expected(600));
    assert_eq!(node.report().alice, of_alice(600));
}

#[test]
fn a_cursor_from_a_backup_sends_again_and_counts_once() {
    let Some((_dir, engine)) = engine() else { return };
    let node = Node::new("hk-1", &engine);
    node.init();
    let hours = hours_from(START, 30, 1, "boot-1");
    node.put(&hours[..10]);
    node.ship().with_code(0);
    let backup = fs::read(node.cursor()).unwrap();
    node.put(&hours);
    node.ship().with_code(0);
    fs::write(node.cursor(), &backup).unwrap();
    assert_eq!(node.ship().with_code(0).stdout, "20 buckets sent in 60 rows\n");
    assert_eq!(found(&engine, "hk-1"), expected(30));
    // A cursor that is damaged stops it with an error.
    fs::write(node.cursor(), &backup[..backup.len() / 2]).unwrap();
    let refused = node.ship().with_code(5);
    assert!(refused.stderr.contains("ship.json"), "{}", refused.stderr);
}

#[test]
fn hours_that_were_sealed_anew_take_the_place_of_the_former_ones() {
    let Some((_dir, engine)) = engine() else { return };
    let node = Node::new("hk-1", &engine);
    node.init();
    let mut hours = hours_from(START, 48, 1, "boot-1");
    node.put(&hours);
    node.ship().with_code(0);
    let backup = fs::read(node.cursor()).unwrap();
    // In hour 3, alice moved 1,000 bytes instead of 33, and port 9000 was not watched.
    hours[2].lines = vec![line(443, Some("alice"), [400, 600, 0, 0])];
    node.put(&hours);
    let said = node.ship().with_code(0);
    assert_eq!(said.stdout, "24 buckets sent in 70 rows\n", "that day only: {}", said.stderr);
    assert_eq!(node.report().alice, of_alice(48) - 33 + 1000);
    // After the cursor was restored, the same change is found again, and still counts once.
    fs::write(node.cursor(), backup).unwrap();
    node.ship().with_code(0);
    let reported = node.report();
    assert_eq!(reported.alice, of_alice(48) - 33 + 1000, "{reported:?}");
    assert!(!node.run(&["fleet", "status"]).stdout.contains("conflicting"));
}

#[test]
fn a_full_disk_of_the_server_loses_nothing() {
    if !have_root("a disk of its own for the server") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mount = |options: &str| {
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(dir.path()).status();
        assert!(status.unwrap().success());
    };
    mount("size=4m");
    struct Unmount<'a>(&'a std::path::Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0).status();
        }
    }
    let _unmount = Unmount(dir.path());
    let Some(engine) = Engine::start(dir.path(), None) else { return };
    let node = Node::new("hk-1", &engine);
    node.init();
    let hours = hours_from(START, 240, 1, "boot-1");
    node.put(&hours[..24]);
    node.ship().with_code(0);
    // Something else fills the disk.
    let filler = dir.path().join("filler");
    let full = Command::new("dd").args(["if=/dev/zero", "bs=4k"]).arg(format!("of={}", filler.display())).output();
    assert!(!full.unwrap().status.success());
    node.put(&hours);
    let refused = node.ship().with_code(6);
    assert!(refused.stderr.contains("space"), "{}", refused.stderr);
    fs::remove_file(filler).unwrap();
    mount("remount,size=256m");
    node.ship().with_code(0);
    assert_eq!(found(&engine, "hk-1"), expected(240));
}

#[test]
fn a_clock_that_was_a_day_off_shows_a_time_twice_and_both_count() {
    let Some((_dir, engine)) = engine() else { return };
    let node = Node::new("hk-1", &engine);
    node.init();
    let mut hours = hours_from(START, 48, 1, "boot-1");
    // The clock is a day ahead from the ninth hour on. From the 33rd on it is right again, and repeats times that were
    // used before.
    for hour in &mut hours[8..32] {
        (hour.start, hour.end) = (hour.start + TimeDelta::days(1), hour.end + TimeDelta::days(1));
    }
    (hours[8].quality, hours[32].quality) = ("clock", "clock");
    node.put(&hours);
    node.ship().with_code(0);
    assert_eq!(found(&engine, "hk-1"), expected(48));
    assert_eq!(node.report().alice, of_alice(48));
}

#[test]
fn a_node_that_is_installed_anew_adds_to_what_it_sent_before() {
    let Some((_dir, engine)) = engine() else { return };
    let before = Node::new("hk-1", &engine);
    before.init();
    before.put(&hours_from(START, 24, 1, "boot-1"));
    before.ship().with_code(0);
    let anew = Node::new("hk-1", &engine);
    anew.put(&hours_from("2026-10-06T00:00:00+00:00", 24, 1, "boot-2"));
    anew.ship().with_code(0);
    assert_eq!(anew.report().alice, 2 * of_alice(24));
    assert!(!anew.run(&["fleet", "status"]).stdout.contains("two machines"));
}

#[test]
fn a_node_that_is_renamed_and_sends_everything_again_counts_once() {
    let Some((_dir, engine)) = engine() else { return };
    let mut node = Node::new("hk-1", &engine);
    node.init();
    node.put(&hours_from(START, 24, 1, "boot-1"));
    node.ship().with_code(0);
    fs::remove_file(node.cursor()).unwrap();
    node.name = "hk-new".to_owned();
    let nodes = "[[nodes]]\nname = \"hk-new\"\naliases = [\"hk-1\"]\nlocal = true\n";
    node.configure("UTC", &format!("{}{nodes}", engine.section()));
    node.ship().with_code(0);
    // Both names have all rows.
    assert_eq!((found(&engine, "hk-1"), found(&engine, "hk-new")), (expected(24), expected(24)));
    let reported = node.report();
    assert_eq!(reported.alice, of_alice(24));
    assert!(!reported.ended.stdout.contains("two machines"), "{reported:?}");
}

#[test]
fn two_machines_under_one_name_are_named() {
    let Some((_dir, engine)) = engine() else { return };
    for epoch in ["boot-1", "boot-2"] {
        let node = Node::new("hk-1", &engine);
        node.init();
        node.put(&hours_from(START, 24, 1, epoch));
        node.ship().with_code(0);
    }
    let node = Node::new("hk-1", &engine);
    let status = node.run(&["fleet", "status"]).with_code(6);
    assert!(status.stdout.contains("two machines under this name"), "{}", status.stdout);
    let reported = node.report();
    assert_eq!(reported.ended.code, Some(6));
    assert!(reported.ended.stdout.contains("two machines send under this name"), "{reported:?}");
    // It is not known which of them is meant, so neither is billed.
    assert_eq!(reported.alice, 0);
}

#[test]
fn different_figures_under_one_revision_do_not_count_and_are_named() {
    let Some((_dir, engine)) = engine() else { return };
    let mut hours = hours_from(START, 24, 1, "boot-1");
    for change in [false, true] {
        // The cursor was lost together with the file that it referred to.
        let node = Node::new("hk-1", &engine);
        node.init();
        if change {
            hours[4].lines[1] = line(443, Some("alice"), [0, 7, 0, 0]);
        }
        node.put(&hours);
        node.ship().with_code(0);
    }
    let node = Node::new("hk-1", &engine);
    let status = node.run(&["fleet", "status"]).with_code(6);
    assert!(status.stdout.contains("1 conflicting"), "{}", status.stdout);
    let reported = node.report();
    assert_eq!(reported.alice, of_alice(24) - 55, "hour 5 does not count");
    assert!(reported.ended.stdout.contains("1 bucket under one revision with different figures"), "{reported:?}");
}

#[test]
fn a_month_without_a_server_is_caught_up_exactly() {
    let Some((_dir, mut engine)) = engine() else { return };
    let node = Node::new("hk-1", &engine);
    node.init();
    engine.kill();
    let hours = hours_from("2026-10-01T00:00:00+00:00", 744, 1, "boot-1");
    for until in [24, 400, 744] {
        node.put(&hours[..until]);
        let refused = node.ship().with_code(6);
        assert!(refused.stderr.contains("failed to query the version"), "{}", refused.stderr);
        assert!(!node.cursor().exists());
    }
    engine.run();
    assert_eq!(node.ship().with_code(0).stdout, "744 buckets sent in 2232 rows\n");
    assert_eq!(found(&engine, "hk-1"), expected(744));
    let reported = node.report();
    assert_eq!(reported.alice, of_alice(744));
    assert_eq!(reported.ended.code, Some(0), "{reported:?}");
}

#[test]
fn rows_without_their_manifest_and_a_manifest_without_its_rows_do_not_count() {
    let Some((_dir, mut engine)) = engine() else { return };
    let node = Node::new("hk-1", &engine);
    node.init();
    node.put(&hours_from(START, 24, 1, "boot-1"));
    // The rows arrive, but the manifests do not.
    let relay = Relay::start(engine.port, &[(2, Fault::CutBody)]);
    node.configure("UTC", &relay.section());
    node.ship().with_code(6);
    node.configure("UTC", &engine.section());
    assert_eq!(found(&engine, "hk-1").split('\t').next(), Some("72"));
    assert_eq!(node.report().alice, 0);
    node.ship().with_code(0);
    assert_eq!(node.report().alice, of_alice(24));
    // Rows that somebody removed are noticed.
    engine.query("DROP TABLE flow_agent.port_hour");
    engine.kill();
    engine.run();
    node.init();
    let reported = node.report();
    assert_eq!((reported.alice, reported.ended.code), (0, Some(6)));
    assert!(reported.ended.stdout.contains("24 buckets with missing rows"), "{reported:?}");
}
