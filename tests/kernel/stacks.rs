//! Devices that are stacked on each other: each byte is counted once, or the configuration is rejected with the reason.

mod kinds;
mod table;

use std::process::Command;
use std::time::Duration;

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::flood::Flood;
use crate::common::netns::{HOST4, LAN, PEER4, Pair, WAN, inside, run};
use crate::common::observer::Observer;
use crate::soak::{PORTS, compare_at_rest};
use crate::support::send;
use table::{BRIDGE, BRIDGE_OVER_MACVLAN, BRIDGE_OVER_TWO, MACVLAN, Stack};

const DEADLINE: Duration = Duration::from_secs(30);

/// Asserts that the agent counts with these interfaces what the rules of the namespace saw, in and out.
fn each_byte_once(pair: &Pair, node: &mut Node, observer: &Observer, what: &str) {
    let flood = Flood::begin(pair, &PORTS);
    flood.pass(200);
    flood.end();
    node.stop();
    eprintln!("{what}");
    compare_at_rest(node, observer);
}

#[test]
fn each_byte_over_a_bridge_is_counted_once_or_refused() {
    each_byte_is_counted_once_or_refused(&BRIDGE);
    each_byte_is_counted_once_or_refused(&BRIDGE_OVER_TWO);
}

#[test]
fn each_byte_over_a_macvlan_is_counted_once_or_refused() {
    each_byte_is_counted_once_or_refused(&MACVLAN);
}

#[test]
fn each_byte_over_three_devices_is_counted_once_or_refused() {
    each_byte_is_counted_once_or_refused(&BRIDGE_OVER_MACVLAN);
}

fn each_byte_is_counted_once_or_refused(stack: &Stack) {
    for backend in ["ebpf", "nftables", "iptables"] {
        for choice in [&["auto"][..], &["*"], &[stack.top()], &[stack.top(), "w*", "m*", "s*"], stack.devices] {
            let Some(pair) = Pair::make() else { return };
            if !stack.is_possible(&pair) {
                return;
            }
            stack.build(&pair);
            let what = format!("{}, {backend}, {choice:?}", stack.what);
            let mut node = Node::new(&pair, &PORTS, "");
            let interfaces = format!("[count]\ninterfaces = {choice:?}\nbackend = {backend:?}\n");
            node.replace_config("[count]\n", &interfaces);
            // Rules see a packet once, together with the device by which it came in. For a macvlan, a VLAN and the
            // device below, both devices are right.
            let is_exact_by_rules = backend != "ebpf" && stack.is_exact_by_rules;
            if choice == stack.devices && !is_exact_by_rules {
                let refused = node.command(&["run", "--once"]);
                assert_eq!(refused.status.code(), Some(4), "{what}");
                let said = String::from_utf8_lossy(&refused.stderr).into_owned();
                assert!(said.contains("is stacked on") && said.contains("allow_stacked"), "{what}: {said}");
                assert_eq!(node.command(&["check"]).status.code(), Some(4), "{what}");
                node.replace_config("[count]\n", "[count]\nallow_stacked = true\n");
                assert!(node.command(&["run", "--once"]).status.success(), "{what}");
                continue;
            }
            let observer = Observer::install(&pair.host, &PORTS);
            node.start(&[]);
            if backend == "ebpf" && choice.contains(&"w*") {
                assert!(node.log().contains(&format!("`{WAN}` is left out")), "{what}: {}", node.log());
            }
            each_byte_once(&pair, &mut node, &observer, &what);
        }
    }
}

#[test]
fn a_port_is_left_out_when_it_becomes_one() {
    for backend in ["ebpf", "nftables", "iptables"] {
        let Some(pair) = Pair::make() else { return };
        let mut node = Node::new(&pair, &PORTS, "");
        let observer = Observer::install(&pair.host, &PORTS);
        node.start(&["--backend", backend, "--interface", "w*", "br*"]);
        BRIDGE.build(&pair);
        wait_until("the bridge is counted", DEADLINE, || node.log().contains("counted") && node.log().contains("br0"));
        let said = if backend == "ebpf" { "is left out" } else { "now arrive through another" };
        wait_until("it is said", DEADLINE, || node.log().contains(said));
        // What came before is not part of this test.
        wait_until("only it is", DEADLINE, || {
            let check = node.command(&["check"]);
            String::from_utf8_lossy(&check.stdout).contains("attached to br0;")
        });
        each_byte_once(&pair, &mut node, &observer, backend);
    }
}

#[test]
fn the_device_below_a_macvlan_is_missed_where_it_has_traffic_of_its_own() {
    let Some(pair) = Pair::make() else { return };
    pair.host_ip(&["link", "add", "mv0", "link", WAN, "type", "macvlan", "mode", "bridge"]);
    pair.host_ip(&["addr", "add", "10.98.0.2/24", "dev", "mv0"]);
    pair.host_ip(&["link", "set", "mv0", "up"]);
    let mut node = Node::new(&pair, &PORTS, "");
    node.start(&["--bucket", "1s", "--interface", "*"]);
    node.wait_for_buckets(2);
    node.stop();
    for seal in node.hourly().iter().filter(|line| line["kind"] == "seal") {
        assert_eq!((&seal["quality"], &seal["gaps"][0]["interface"]), (&"gap".into(), &WAN.into()), "{seal}");
    }
}

/// The ends of a tunnel between the hosts: the host's has the address 10.98.0.2, and the peer's 10.98.0.1.
type Tunnel = fn(&Pair);

/// Runs `ip` in a namespace.
fn ip(netns: &str, arguments: &[&str]) {
    run(Command::new("ip").args(["-n", netns]).args(arguments));
}

fn up(netns: &str, device: &str, address: &str) {
    ip(netns, &["addr", "add", address, "dev", device]);
    ip(netns, &["link", "set", device, "up"]);
}

fn vxlan(pair: &Pair) {
    for (netns, below, local, remote, address) in
        [(&pair.host, WAN, HOST4, PEER4, "10.98.0.2/24"), (&pair.peer, LAN, PEER4, HOST4, "10.98.0.1/24")]
    {
        let (local, remote) = (local.to_string(), remote.to_string());
        let tunnel = ["link", "add", "tun0", "type", "vxlan", "id", "7", "dstport", "4789", "dev", below];
        ip(netns, &[&tunnel[..], &["local", &local, "remote", &remote]].concat());
        up(netns, "tun0", address);
    }
}

#[test]
fn a_tunnel_and_the_device_below_are_counted_beside_each_other() {
    counted_beside_each_other(vxlan, |_| {});
}

/// `silence` keeps the tunnel from sending anything of its own after the test's datagrams, while the agent ends.
fn counted_beside_each_other(build: Tunnel, silence: fn(&Pair)) {
    for backend in ["ebpf", "nftables", "iptables"] {
        for choice in [&[WAN, "tun0"][..], &["*"]] {
            let Some(pair) = Pair::make() else { return };
            build(&pair);
            // The ports of the tunnel itself are watched as well.
            let ports = [443, 4789, 51_820];
            let mut node = Node::new(&pair, &ports, "");
            let observer = Observer::install(&pair.host, &ports);
            node.start(&[&["--backend", backend, "--interface"], choice].concat());
            let (inner_host, inner_peer) = ("10.98.0.2".parse().unwrap(), "10.98.0.1".parse().unwrap());
            inside(&pair.peer, || {
                send(inner_peer, (inner_host, 443), 100, 7);
                send(PEER4, (HOST4, 443), 100, 5);
            });
            let arrived = || observer.read()[&(443, "udp".to_owned(), "INPUT".to_owned())].1 == 12;
            wait_until("all arrived", DEADLINE, arrived);
            silence(&pair);
            node.stop();
            compare_at_rest(&node, &observer);
            // Each of the seven has passed twice: as itself, and wrapped in a packet of the tunnel.
            let wrapped: u64 = [4789, 51_820]
                .iter()
                .filter_map(|port| node.totals().get(port).map(|totals| totals["udp_in_packets"]))
                .sum();
            assert!(wrapped >= 7, "{choice:?}: {wrapped}");
        }
    }
}
