//! Others at the same place: a second agent, a newer release, and a state directory from yesterday.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::agent::Node;
use crate::common::flood::Flood;
use crate::common::netns::{HOST4, PEER4, Pair, inside, run};
use crate::common::observer::Observer;
use crate::soak::{PORTS, compare_at_rest};
use crate::support::send;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every pin and directory below, with its inode.
fn below(directory: &Path) -> BTreeMap<String, u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        found.insert(entry.path().display().to_string(), entry.metadata().unwrap().ino());
        if entry.file_type().unwrap().is_dir() {
            found.append(&mut below(&entry.path()));
        }
    }
    found
}

#[test]
fn a_second_agent_leaves_at_once_and_says_who_is_there() {
    let Some(pair) = Pair::make() else { return };
    for arguments in [&["run"][..], &["run", "--iptables"]] {
        let mut first = Node::new(&pair, &[443], "");
        first.start(&arguments[1..]);
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        let same_directory = first.command(arguments);
        assert_eq!(same_directory.status.code(), Some(5), "{}", said(&same_directory));
        let second = Node::new(&pair, &[443], "");
        let same_interface = second.command(arguments);
        assert_eq!(same_interface.status.code(), Some(5), "{}", said(&same_interface));
        let holder = format!("instance {}", fs::read_to_string(first.state_dir().join("instance")).unwrap().trim());
        assert!(said(&same_interface).contains(&holder), "{}", said(&same_interface));
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
        if arguments.len() == 1 {
            // It was killed, but its counter is still there.
            first.kill();
            let attached = second.command(arguments);
            assert_eq!(attached.status.code(), Some(4), "{}", said(&attached));
            assert!(said(&attached).contains(&holder), "{}", said(&attached));
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 11));
            first.start(&arguments[1..]);
        } else {
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 11));
        }
        first.stop();
        assert_eq!(first.totals()[&443]["udp_in_packets"], 5 + 7 + 11);
        assert!(first.command(&["uninstall"]).status.success());
    }
}

#[test]
fn the_counters_of_a_newer_release_are_not_touched() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    node.start(&[]);
    node.kill();
    let newer = node.pins().join("v2-of-tomorrow");
    fs::create_dir(&newer).unwrap();
    let before = (below(&node.pins()), below(&node.state_dir()));
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
    let refused = node.command(&["run"]);
    assert_eq!(refused.status.code(), Some(4), "{}", said(&refused));
    assert!(said(&refused).contains("v2-of-tomorrow"), "{}", said(&refused));
    assert_eq!((below(&node.pins()), below(&node.state_dir())), before);
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
    fs::remove_dir(&newer).unwrap();
    node.start(&[]);
    node.stop();
    assert_eq!(node.totals()[&443]["udp_in_packets"], 12);
}

#[test]
fn pins_that_somebody_else_planted_are_refused() {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
    let Some(pair) = Pair::make() else { return };
    let node = Node::new(&pair, &[443], "");
    let planted = pair.bpffs.join("flow-agent");
    let elsewhere = pair.bpffs.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let plants: [(&str, &dyn Fn()); 3] = [
        ("it is a symlink", &|| symlink(&elsewhere, &planted).unwrap()),
        ("its mode 777 gives others access", &|| {
            fs::create_dir(&planted).unwrap();
            fs::set_permissions(&planted, fs::Permissions::from_mode(0o777)).unwrap();
        }),
        ("it belongs to user 65534", &|| {
            fs::set_permissions(&planted, fs::Permissions::from_mode(0o700)).unwrap();
            chown(&planted, Some(65_534), None).unwrap();
        }),
    ];
    for (why, plant) in plants {
        plant();
        let refused = node.command(&["run"]);
        assert_eq!(refused.status.code(), Some(4), "{}", said(&refused));
        assert!(said(&refused).contains(why), "{}", said(&refused));
        assert!(pair.host_tc(&["filter", "show", "dev", "wan", "ingress"]).is_empty(), "nothing was attached");
        if why == "it is a symlink" {
            fs::remove_file(&planted).unwrap();
        }
    }
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
}

/// Copies a directory with all its contents to a path that does not exist.
fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-a").arg(from).arg(to));
}

#[test]
fn a_state_directory_that_was_put_back_whole_lacks_nothing_and_counts_nothing_twice() {
    const FAST: [&str; 4] = ["--bucket", "1s", "--checkpoint", "1s"];
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    node.start(&FAST);
    let observer = Observer::install(&pair.host, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    node.wait_for_buckets(2);
    node.stop();
    let backup = node.path("backup");
    copy(&node.state_dir(), &backup);
    node.start(&FAST);
    node.wait_for_buckets(3);
    node.kill();
    fs::remove_dir_all(node.state_dir()).unwrap();
    fs::rename(&backup, node.state_dir()).unwrap();
    // The counters know what the backup does not.
    node.start(&FAST);
    node.wait_for_buckets(2);
    flood.end();
    node.stop();
    compare_at_rest(&node, &observer);
}

#[test]
fn a_log_that_is_older_than_its_checkpoint_is_refused_until_a_person_says_so() {
    const FAST: [&str; 4] = ["--bucket", "1s", "--checkpoint", "1s"];
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    node.start(&FAST);
    let flood = Flood::begin(&pair, &PORTS);
    node.wait_for_buckets(2);
    node.stop();
    let backup = node.path("backup");
    copy(&node.state_dir().join("hourly"), &backup);
    node.start(&FAST);
    node.wait_for_buckets(4);
    node.kill();
    fs::remove_dir_all(node.state_dir().join("hourly")).unwrap();
    fs::rename(&backup, node.state_dir().join("hourly")).unwrap();
    let sealed = node.hourly().len();
    let refused = node.command(&["run"]);
    assert_eq!(refused.status.code(), Some(5), "{}", said(&refused));
    assert!(said(&refused).contains("an older log was restored"), "{}", said(&refused));
    assert!(said(&refused).contains("--accept-overlap"), "{}", said(&refused));
    assert_eq!(node.hourly().len(), sealed, "nothing was written");
    flood.end();
    let accepted = node.command(&["run", "--once", "--accept-overlap"]);
    assert!(accepted.status.success(), "{}", said(&accepted));
    assert!(node.hourly().len() > sealed);
}
