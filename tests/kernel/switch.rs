//! From one backend to another and back, with the same state directory: each byte is in one bucket, and what nobody saw is
//! recorded.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::flood::Flood;
use crate::common::netns::{HOST4, HOST6, PEER4, PEER6, Pair, inside, run};
use crate::common::observer::{Observed, Observer};
use crate::common::variant::Variant;
use crate::support::send;

const PORTS: [u16; 3] = [443, 4433, 8388];
const BACKENDS: [&str; 3] = ["ebpf", "nftables", "iptables"];

/// The backend of each round, so that each of them follows each other one.
fn backend(round: usize) -> &'static str {
    BACKENDS[[0, 1, 2, 0, 2, 1][round % 6]]
}

/// (logged, seen by iptables) for each port, protocol and chain.
fn figures(node: &Node, observed: Observed) -> Vec<(String, u64, u64)> {
    let totals = node.totals();
    let figure = |((port, protocol, chain), (bytes, _)): ((u16, String, String), (u64, u64))| {
        let direction = if chain == "INPUT" { "in" } else { "out" };
        (format!("{port} {protocol} {direction}"), totals[&port][&format!("{protocol}_{direction}_bytes")], bytes)
    };
    observed.into_iter().map(figure).collect()
}

#[test]
fn twenty_switches_of_the_backend_count_every_byte_once() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    let observer = Observer::install(&pair.host, &PORTS);
    for round in 0..20 {
        node.start(&["--backend", backend(round)]);
        // Only while an agent counts, so that nothing may be missing.
        let flood = Flood::begin(&pair, &PORTS);
        flood.pass(500);
        flood.end();
        node.stop();
    }
    for (what, logged, seen) in figures(&node, observer.read()) {
        assert_eq!(logged, seen, "{what}");
    }
    let seals: Vec<_> = node.hourly().into_iter().filter(|line| line["kind"] == "seal").collect();
    for backend in BACKENDS {
        assert!(seals.iter().filter(|seal| seal["backend"] == backend).count() >= 6, "{backend} has counted");
    }
}

#[test]
fn what_passes_during_a_switch_is_a_gap_and_never_counted_twice() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    node.start(&["--bucket", "1s", "--backend", "ebpf"]);
    let observer = Observer::install(&pair.host, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    for round in 1..=20 {
        // The bucket that the last switch closed, and one of this agent.
        node.wait_for_buckets(2);
        node.stop();
        node.start(&["--bucket", "1s", "--backend", backend(round)]);
    }
    node.wait_for_buckets(2);
    flood.end();
    node.stop();
    let mut unseen = 0;
    for (what, logged, seen) in figures(&node, observer.read()) {
        assert!(logged <= seen, "{what}: {logged} logged, {seen} seen by iptables");
        unseen += seen - logged;
    }
    eprintln!("{unseen} bytes passed during twenty switches");
    let gaps = node.hourly().iter().filter(|line| line["quality"] == "gap").count();
    assert!(gaps >= 20, "each switch is marked: {gaps}");
}

#[test]
fn a_switch_that_is_refused_lets_the_other_backend_count_on() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    let observer = Observer::install(&pair.host, &PORTS);
    for (counts, other) in [
        ("ebpf", "iptables"),
        ("iptables", "ebpf"),
        ("nftables", "ebpf"),
        ("iptables", "nftables"),
        ("nftables", "iptables"),
    ] {
        node.start(&["--backend", counts]);
        node.stop();
        let refused = node.command(&["run", "--once", "--backend", other, "--interface", "not-there"]);
        assert_eq!(refused.status.code(), Some(4), "{}", String::from_utf8_lossy(&refused.stderr));
        // No agent runs, but the counters that the last one left still count.
        let flood = Flood::begin(&pair, &PORTS);
        flood.pass(500);
        flood.end();
        node.start(&["--backend", counts]);
        node.stop();
    }
    for (what, logged, seen) in figures(&node, observer.read()) {
        assert_eq!(logged, seen, "{what}");
    }
}

#[test]
fn every_backend_counts_what_ebpf_counts() {
    let Some(pair) = Pair::make() else { return };
    let mut figures = Vec::new();
    for backend in BACKENDS {
        let mut node = Node::new(&pair, &PORTS, "");
        let before = inside(&pair.host, Variant::everything);
        node.start(&["--backend", backend]);
        for (from, to) in [(PEER4, HOST4), (PEER6, HOST6)] {
            inside(&pair.peer, || {
                send(from, (to, 443), 100, 10);
                send(from, (to, 4433), 1_000, 7);
            });
        }
        node.stop();
        assert!(node.command(&["uninstall"]).status.success());
        assert_eq!(inside(&pair.host, Variant::everything), before);
        figures.push(node.totals());
    }
    assert!(figures.iter().all(|of_one| *of_one == figures[0]), "{figures:?}");
    // By hand: IPv4 adds 28 bytes to each datagram, and IPv6 48.
    assert_eq!(figures[1][&443]["udp_in_bytes"], 10 * 128 + 10 * 148);
    assert_eq!(figures[1][&4433]["udp_in_bytes"], 7 * 1_028 + 7 * 1_048);
    assert_eq!(figures[1][&8388]["udp_in_bytes"], 0);
}

#[test]
fn a_switch_that_is_refused_leaves_the_former_counters_counting() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    let config = fs::read_to_string(node.path("config.toml")).unwrap();
    fs::write(node.path("config.toml"), config.replace("[count]\n", "[count]\ncount = \"wire\"\n")).unwrap();
    node.start(&["--backend", "ebpf"]);
    node.stop();
    // Rules cannot count what is on the wire.
    assert_eq!(node.command(&["run", "--backend", "iptables", "--once"]).status.code(), Some(4));
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 10));
    node.start(&["--backend", "ebpf"]);
    node.stop();
    // By hand: IPv4 and UDP add 28 bytes to each datagram.
    assert_eq!(node.totals()[&443]["udp_in_bytes"], 10 * 128);
    assert!(node.hourly().iter().all(|line| line["quality"] != "gap"), "nothing was unseen");
}

#[test]
fn nobody_counts_beside_ipsets_that_cannot_be_read() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    node.start(&["--backend", "iptables"]);
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 10));
    node.stop();
    // Somebody has removed ipset, but its kernel part still counts.
    let without =
        ["unshare", "--mount", "--", "sh", "-c", "mount --bind /dev/null /usr/sbin/ipset && exec \"$@\"", "sh"];
    for backend in BACKENDS {
        let refused = node.command_under(&without, &["run", "--backend", backend, "--once"]);
        let told = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(4), "{told}");
        assert!(told.contains("counters of this agent are in ipsets, but `ipset` is not installed"), "{told}");
    }
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
    for backend in BACKENDS {
        node.start(&["--backend", backend]);
        node.stop();
    }
    // By hand: IPv4 and UDP add 28 bytes to each datagram.
    assert_eq!(node.totals()[&443]["udp_in_bytes"], 15 * 128);
}

#[test]
fn a_switch_to_an_nft_that_cannot_count_lets_the_other_backend_count_on() {
    use std::os::unix::fs::PermissionsExt as _;

    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    let observer = Observer::install(&pair.host, &PORTS);
    node.start(&["--backend", "iptables"]);
    node.stop();
    let programs = node.path("programs");
    fs::create_dir(&programs).unwrap();
    let nft = "#!/bin/sh\ncase $* in *-j*) echo 'Error: JSON support not compiled-in' >&2; exit 1;; esac\n\
               PATH=${PATH#*:} exec nft \"$@\"\n";
    fs::write(programs.join("nft"), nft).unwrap();
    fs::set_permissions(programs.join("nft"), fs::Permissions::from_mode(0o755)).unwrap();
    node.use_programs(programs.into());
    let refused = node.command(&["run", "--once", "--backend", "nftables"]);
    assert_eq!(refused.status.code(), Some(4), "{}", String::from_utf8_lossy(&refused.stderr));
    let flood = Flood::begin(&pair, &PORTS);
    flood.pass(500);
    flood.end();
    node.start(&["--backend", "iptables"]);
    node.stop();
    for (what, logged, seen) in figures(&node, observer.read()) {
        assert_eq!(logged, seen, "{what}");
    }
}

#[test]
fn counters_that_were_damaged_before_a_switch_are_a_gap() {
    for (from, to) in [("nftables", "iptables"), ("iptables", "nftables"), ("ebpf", "nftables"), ("nftables", "ebpf")] {
        for all_of_it in [false, true] {
            let Some(pair) = Pair::make() else { return };
            let mut node = Node::new(&pair, &PORTS, "");
            node.start(&["--backend", from]);
            node.stop();
            match (from, all_of_it) {
                ("ebpf", true) => fs::remove_dir_all(node.pins()).unwrap(),
                ("ebpf", false) => fs::remove_dir_all(node.pins().join("links")).unwrap(),
                (_, true) => drop(inside(&pair.host, || run(Command::new("nft").args(["flush", "ruleset"])))),
                ("nftables", false) => inside(&pair.host, || {
                    let tables = run(Command::new("nft").args(["list", "tables", "inet"]));
                    let table = tables.trim().strip_prefix("table inet ").unwrap();
                    run(Command::new("nft").args(["flush", "chain", "inet", table, "input"]));
                }),
                _ => inside(&pair.host, || {
                    run(Command::new("iptables").args(["-t", "mangle", "-F", "INPUT"]));
                }),
            }
            // The kernel detaches programs of removed links a little later.
            let attached = || inside(&pair.host, || run(Command::new("bpftool").args(["net", "show"])));
            wait_until("nothing is attached", Duration::from_secs(10), || !attached().contains("gress"));
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 10));
            node.start(&["--backend", to]);
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 3));
            node.stop();
            let packets = node.totals()[&443]["udp_in_packets"];
            assert_eq!(packets, 3, "{from} to {to}: nobody saw the first ten");
            let seals: Vec<_> = node.hourly().into_iter().filter(|line| line["kind"] == "seal").collect();
            let gaps = || seals.iter().flat_map(|seal| seal["gaps"].as_array().into_iter().flatten());
            let is_told = gaps().any(|gap| !gap["why"].as_str().unwrap().starts_with("switched"));
            assert!(is_told, "{from} to {to}, {all_of_it}: {:?}\n{}", gaps().collect::<Vec<_>>(), node.log());
        }
    }
}

#[test]
fn a_switch_has_no_other_gap_than_its_own_while_the_counters_are_intact() {
    for (arguments, to) in [
        (&["--backend", "ebpf"][..], "nftables"),
        (&["--backend", "ebpf", "--attach", "clsact"][..], "iptables"),
        (&["--backend", "nftables"][..], "ebpf"),
        (&["--backend", "iptables"][..], "nftables"),
    ] {
        let Some(pair) = Pair::make() else { return };
        let mut node = Node::new(&pair, &PORTS, "");
        pair.join("wan2", "lan2");
        let interfaces = ["--interface", "wan", "--interface", "w*2"];
        node.start(&[arguments, &interfaces[..]].concat());
        node.stop();
        // An interface that goes away has nothing to do with the other.
        pair.host_ip(&["link", "del", "wan2"]);
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 10));
        node.start(&[&["--backend", to][..], &interfaces[..]].concat());
        node.stop();
        assert_eq!(node.totals()[&443]["udp_in_packets"], 10, "{arguments:?} to {to}");
        let seals: Vec<_> = node.hourly().into_iter().filter(|line| line["kind"] == "seal").collect();
        let gaps: Vec<_> = seals.iter().flat_map(|seal| seal["gaps"].as_array().into_iter().flatten()).collect();
        let is_own = |gap: &serde_json::Value| gap["why"].as_str().unwrap().starts_with("switched");
        assert!(gaps.iter().copied().all(is_own), "{arguments:?} to {to}: {gaps:?}");
    }
}
