//! What the agent needs besides its counters is removed while it runs: its pins, bpffs itself, and its locks. Counting
//! continues, nothing is missed or counted twice, and a successor finds everything again.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::flood::Flood;
use crate::common::netns::{Pair, run};
use crate::common::observer::Observer;
use crate::own_run::OwnRun;
use crate::soak::{PORTS, compare_at_rest};
use crate::support::has_tcx;

/// Counting must be as before within ten seconds. The rest is an allowance for a slow machine.
const DEADLINE: Duration = Duration::from_secs(30);

const FAST: [&str; 4] = ["--bucket", "1s", "--checkpoint", "1s"];

/// Whether every pin and directory of the node exists that should: the four maps, the mark that they were sealed, and
/// both attachments.
fn is_all_pinned(node: &Node) -> bool {
    let children = |path: &Path| -> Vec<_> {
        fs::read_dir(path).map_or(Vec::new(), |entries| entries.map(|entry| entry.unwrap().path()).collect())
    };
    let is_set = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("v1-"));
    let sets: Vec<_> = children(&node.pins()).into_iter().filter(|path| is_set(path)).collect();
    sets.len() == 1 && children(&sets[0]).len() == 5 && children(&node.pins().join("links")).len() == 2
}

type Interference = (&'static str, fn(&Pair, &Node));

const INTERFERENCES: [Interference; 6] = [
    ("bpffs is unmounted", |pair, _| unmount(&pair.bpffs, UnmountFlags::DETACH).unwrap()),
    ("bpffs is unmounted and mounted anew", |pair, _| {
        unmount(&pair.bpffs, UnmountFlags::DETACH).unwrap();
        mount("bpf", &pair.bpffs, "bpf", MountFlags::empty(), c"mode=0700").unwrap();
    }),
    ("another bpffs is mounted over it", |pair, _| {
        mount("bpf", &pair.bpffs, "bpf", MountFlags::empty(), c"mode=0700").unwrap();
    }),
    ("everything is removed", |pair, _| fs::remove_dir_all(pair.bpffs.join("flow-agent")).unwrap()),
    ("the attachments' pins are removed", |_, node| fs::remove_dir_all(node.pins().join("links")).unwrap()),
    ("the pin of one map is removed", |_, node| {
        let sets = fs::read_dir(node.pins()).unwrap().map(|entry| entry.unwrap().path());
        let cells = sets.map(|set| set.join("CELLS")).find(|path| path.exists()).unwrap();
        fs::remove_file(cells).unwrap();
    }),
];

/// Each interference in turn, under flood in both directions. After each, the agent is killed as soon as everything is
/// pinned again, so that what passes until the next one counts is only known through the pins.
fn pins_come_back(place: &str) {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    let arguments = [&FAST[..], &["--attach", place]].concat();
    node.start(&arguments);
    let observer = Observer::install(&pair.host, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    for (what, interfere) in INTERFERENCES {
        node.wait_for_buckets(1);
        wait_until("everything is pinned", DEADLINE, || is_all_pinned(&node));
        interfere(&pair, &node);
        wait_until(what, DEADLINE, || is_all_pinned(&node));
        wait_until("it is said", DEADLINE, || node.log().contains("somebody removed pins: they were re-created"));
        node.kill();
        flood.pass(500);
        node.start(&arguments);
    }
    flood.end();
    node.stop();
    compare_at_rest(&node, &observer);
    for seal in node.hourly().iter().filter(|line| line["kind"] == "seal") {
        assert_eq!(seal["gaps"].as_array().map(Vec::len), Some(0), "nothing was missed: {seal}");
        assert_eq!(seal["pinned"], true);
    }
    // Several were mounted over each other.
    while unmount(&pair.bpffs, UnmountFlags::DETACH).is_ok() {}
}

#[test]
fn removed_pins_come_back_and_no_packet_is_missed() {
    if has_tcx() {
        pins_come_back("tcx");
    }
}

#[test]
fn removed_pins_come_back_on_clsact_and_no_packet_is_missed() {
    pins_come_back("clsact");
}

#[test]
fn without_a_place_for_pins_it_counts_on_and_says_so() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    node.start(&FAST);
    let observer = Observer::install(&pair.host, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    node.wait_for_buckets(1);
    // Nothing can be mounted on a file.
    unmount(&pair.bpffs, UnmountFlags::DETACH).unwrap();
    fs::remove_dir(&pair.bpffs).unwrap();
    fs::write(&pair.bpffs, "").unwrap();
    wait_until("it is said", DEADLINE, || node.log().contains("only as long as this process"));
    let unpinned = |line: &serde_json::Value| line["kind"] == "seal" && line["pinned"] == false;
    wait_until("the seal says so", DEADLINE, || node.hourly().iter().any(unpinned));
    flood.pass(500);
    fs::remove_file(&pair.bpffs).unwrap();
    wait_until("everything is pinned again", DEADLINE, || pair.bpffs.is_dir() && is_all_pinned(&node));
    node.kill();
    flood.pass(500);
    node.start(&FAST);
    flood.end();
    node.stop();
    compare_at_rest(&node, &observer);
}

#[test]
fn locks_that_are_removed_are_taken_again() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    let own_run = OwnRun::of(&pair);
    let wrapper = own_run.wrapper();
    node.start_under(&wrapper.iter().map(String::as_str).collect::<Vec<_>>(), &FAST);
    for remove in [&["sh", "-c", "rm /run/flow-agent/*.lock"][..], &["rm", "-r", "/run/flow-agent"]] {
        let locks = || {
            let found = own_run.beside(&node, &["find", "/run/flow-agent", "-name", "*.lock"]).output().unwrap();
            String::from_utf8(found.stdout).unwrap().lines().count()
        };
        assert_eq!(locks(), 1);
        run(&mut own_run.beside(&node, remove));
        wait_until("the lock is there again", DEADLINE, || locks() == 1);
        let second = Node::new(&pair, &PORTS, "");
        let config = second.path("config.toml");
        let refused = own_run
            .beside(&node, &[crate::agent::PROGRAM, "run", "--config", config.to_str().unwrap()])
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(5), "{}", String::from_utf8_lossy(&refused.stderr));
    }
    assert!(node.log().contains("somebody removed the lock file"), "{}", node.log());
    node.stop();
}
