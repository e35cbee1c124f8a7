//! Which devices `auto` counts, and the message if there is none.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::flood::Flood;
use crate::common::netns::{PEER4, PEER6, Pair, WAN, inside, run};
use crate::common::observer::Observer;
use crate::soak::{PORTS, compare_at_rest};

const DEADLINE: Duration = Duration::from_secs(30);

const FAST: [&str; 4] = ["--bucket", "1s", "--checkpoint", "1s"];

/// Default routes that are not in the table main, or that are listed without their devices.
const ROUTES: [(&str, &[&[&str]]); 4] = [
    (
        "a policy rule",
        &[
            &["rule", "add", "pref", "32765", "lookup", "100"],
            &["route", "add", "default", "via", "10.99.0.1", "table", "100"],
        ],
    ),
    (
        "IPv6 in a table of its own",
        &[&["-6", "route", "add", "default", "via", "fd99::1", "dev", WAN, "table", "51820"]],
    ),
    (
        "a next hop that is an object",
        &[&["nexthop", "add", "id", "7", "via", "10.99.0.1", "dev", WAN], &["route", "add", "default", "nhid", "7"]],
    ),
    (
        "a group of next hops in a table of its own",
        &[
            &["nexthop", "add", "id", "7", "via", "10.99.0.1", "dev", WAN],
            &["nexthop", "add", "id", "8", "group", "7"],
            &["route", "add", "default", "nhid", "8", "table", "100"],
        ],
    ),
];

/// A host without a default route, whose kernel lists next hops only by their ids.
fn without_default_route() -> Option<Pair> {
    let pair = Pair::make()?;
    pair.host_ip(&["route", "del", "default"]);
    inside(&pair.host, || std::fs::write("/proc/sys/net/ipv4/nexthop_compat_mode", "0").unwrap());
    Some(pair)
}

#[test]
fn a_default_route_of_any_table_is_counted() {
    for backend in ["ebpf", "nftables", "iptables"] {
        for (what, commands) in ROUTES {
            let Some(pair) = without_default_route() else { return };
            commands.iter().for_each(|command| pair.host_ip(command));
            let mut node = Node::new(&pair, &PORTS, "");
            node.start(&["--backend", backend]);
            assert!(node.log().contains(&format!("on {WAN} with")), "{what}: {}", node.log());
            let observer = Observer::install(&pair.host, &PORTS);
            let flood = Flood::begin(&pair, &PORTS);
            flood.pass(300);
            flood.end();
            node.stop();
            compare_at_rest(&node, &observer);
        }
    }
}

fn seals(node: &Node) -> impl Iterator<Item = serde_json::Value> {
    node.hourly().into_iter().filter(|line| line["kind"] == "seal")
}

#[test]
fn time_without_any_interface_is_a_gap() {
    for backend in ["ebpf", "nftables", "iptables"] {
        let Some(pair) = without_default_route() else { return };
        let mut node = Node::new(&pair, &PORTS, "");
        let check = node.command(&["check"]);
        assert_eq!(check.status.code(), Some(4), "{}", String::from_utf8_lossy(&check.stdout));
        assert!(String::from_utf8_lossy(&check.stdout).contains("no interface is counted"));
        node.start(&[&FAST[..], &["--backend", backend]].concat());
        node.wait_for_buckets(2);
        for seal in seals(&node) {
            assert_eq!(seal["quality"], "gap", "{seal}");
            assert_eq!(
                (&seal["gaps"][0]["why"], &seal["gaps"][0]["interface"]),
                (&"no interface".into(), &"auto".into())
            );
            assert_eq!((&seal["gaps"][0]["start"], &seal["gaps"][0]["end"]), (&seal["start"], &seal["end"]), "{seal}");
        }
        pair.host_ip(&["route", "add", "default", "via", &PEER4.to_string()]);
        pair.host_ip(&["-6", "route", "add", "default", "via", &PEER6.to_string(), "table", "9"]);
        wait_until("a bucket is exact again", DEADLINE, || seals(&node).any(|seal| seal["quality"] == "exact"));
        node.stop();
        let last = seals(&node).last().unwrap();
        assert_eq!((&last["quality"], &last["interfaces"]), (&"exact".into(), &serde_json::json!([WAN])));
    }
}

#[test]
fn one_reading_without_any_interface_is_a_gap() {
    for backend in ["ebpf", "nftables", "iptables"] {
        let Some(pair) = without_default_route() else { return };
        let node = Node::new(&pair, &PORTS, "");
        let once = || assert!(node.command(&["run", "--once", "--backend", backend]).status.success());
        once();
        let sealed_at = chrono::Utc::now().timestamp();
        wait_until("two seconds are over", DEADLINE, || chrono::Utc::now().timestamp() > sealed_at + 1);
        once();
        let seals: Vec<_> = seals(&node).collect();
        let last = seals.last().unwrap();
        assert_eq!((&last["quality"], &last["gaps"][0]["why"]), (&"gap".into(), &"no interface".into()), "{seals:?}");
    }
}

#[test]
fn a_restart_while_the_default_route_is_renewed_goes_on_counting() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    node.start(&[]);
    let observer = Observer::install(&pair.host, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    node.kill();
    run(Command::new("ip").args(["-n", &pair.host, "route", "del", "default"]));
    flood.pass(300);
    node.start(&[]);
    flood.pass(300);
    flood.end();
    node.stop();
    compare_at_rest(&node, &observer);
}

#[test]
fn connections_over_a_device_that_is_not_counted_are_named() {
    let Some(pair) = Pair::make() else { return };
    pair.join("wan2", "lan2");
    pair.host_ip(&["addr", "add", "10.98.0.2/24", "dev", "wan2"]);
    pair.peer_ip(&["addr", "add", "10.98.0.1/24", "dev", "lan2"]);
    let listen = |address: &str| inside(&pair.host, || TcpListener::bind(address).unwrap());
    let (counted, uncounted) = (listen("10.99.0.2:443"), listen("10.98.0.2:4433"));
    let connect = |to: &TcpListener| inside(&pair.peer, || TcpStream::connect(to.local_addr().unwrap()).unwrap());
    let _connections = (connect(&counted), connect(&uncounted), counted.accept().unwrap(), uncounted.accept().unwrap());
    let mut node = Node::new(&pair, &PORTS, "");
    let text = "TCP connections of port 4433 use `wan2`, which is not counted";
    let check = node.command(&["check"]);
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(said.contains(text) && !said.contains("go over `wan`"), "{said}");
    node.start(&[]);
    wait_until("it is named", DEADLINE, || node.log().contains(text));
    node.stop();
    assert!(!node.log().contains("go over `wan`"), "{}", node.log());
}
