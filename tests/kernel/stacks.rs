//! Devices that are stacked on each other: each byte is counted once, or the configuration is refused with the reason.

use std::time::Duration;

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::flood::Flood;
use crate::common::netns::{HOST4, HOST6, PEER4, Pair, WAN, inside};
use crate::common::observer::Observer;
use crate::soak::{PORTS, compare_at_rest};
use crate::support::send;

const DEADLINE: Duration = Duration::from_secs(30);

/// A stack of devices; the topmost has the addresses and the default route.
struct Stack {
    what: &'static str,
    /// From below.
    devices: &'static [&'static str],
    commands: &'static [&'static [&'static str]],
}

/// All that this kernel makes.
const STACKS: [Stack; 4] = [
    Stack {
        what: "a bridge and its port",
        devices: &[WAN, "br0"],
        commands: &[&["link", "add", "br0", "type", "bridge"], &["link", "set", WAN, "master", "br0"]],
    },
    Stack {
        what: "a macvlan",
        devices: &[WAN, "mv0"],
        commands: &[&["link", "add", "mv0", "link", WAN, "type", "macvlan", "mode", "bridge"]],
    },
    Stack {
        what: "a bridge whose port is a macvlan",
        devices: &[WAN, "mv0", "br0"],
        commands: &[
            // Only then does it take frames for another address than its own.
            &["link", "add", "mv0", "link", WAN, "type", "macvlan", "mode", "passthru"],
            &["link", "add", "br0", "type", "bridge"],
            &["link", "set", "mv0", "master", "br0"],
        ],
    },
    Stack {
        what: "a bridge over two ports",
        devices: &[WAN, "spare", "br0"],
        commands: &[
            &["link", "add", "spare", "type", "veth", "peer", "name", "spare-end"],
            &["link", "add", "br0", "type", "bridge"],
            &["link", "set", WAN, "master", "br0"],
            &["link", "set", "spare", "master", "br0"],
        ],
    },
];

impl Stack {
    fn top(&self) -> &'static str {
        self.devices[self.devices.len() - 1]
    }

    fn build(&self, pair: &Pair) {
        // The device below a macvlan must not answer for its address, or what comes in would pass the lower one alone.
        inside(&pair.host, || std::fs::write("/proc/sys/net/ipv4/conf/all/arp_ignore", "1").unwrap());
        pair.host_ip(&["addr", "flush", "dev", WAN]);
        self.commands.iter().for_each(|command| pair.host_ip(command));
        self.devices.iter().for_each(|device| pair.host_ip(&["link", "set", device, "up"]));
        address(pair, self.top());
    }
}

/// Gives a device the host's addresses, and the default route.
fn address(pair: &Pair, device: &str) {
    pair.host_ip(&["addr", "add", &format!("{HOST4}/24"), "dev", device]);
    pair.host_ip(&["addr", "add", &format!("{HOST6}/64"), "dev", device, "nodad"]);
    pair.host_ip(&["route", "replace", "default", "via", &PEER4.to_string()]);
}

/// What the agent counts with these interfaces is what the rules of the namespace saw, in and out.
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
    each_byte_is_counted_once_or_refused(&STACKS[0]);
    each_byte_is_counted_once_or_refused(&STACKS[3]);
}

#[test]
fn each_byte_over_a_macvlan_is_counted_once_or_refused() {
    each_byte_is_counted_once_or_refused(&STACKS[1]);
}

#[test]
fn each_byte_over_three_devices_is_counted_once_or_refused() {
    each_byte_is_counted_once_or_refused(&STACKS[2]);
}

fn each_byte_is_counted_once_or_refused(stack: &Stack) {
    for backend in ["ebpf", "iptables"] {
        for choice in [&["auto"][..], &["*"], &[stack.top()], &[stack.top(), "w*", "m*", "s*"], stack.devices] {
            let Some(pair) = Pair::make() else { return };
            stack.build(&pair);
            let what = format!("{}, {backend}, {choice:?}", stack.what);
            let mut node = Node::new(&pair, &PORTS, "");
            let interfaces = format!("[count]\ninterfaces = {choice:?}\nbackend = {backend:?}\n");
            node.replace_config("[count]\n", &interfaces);
            // Rules see a packet once, and the device that it came in by: of a macvlan and the device below both are right.
            let is_exact_by_rules = backend == "iptables" && stack.top() == "mv0";
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
    for backend in ["ebpf", "iptables"] {
        let Some(pair) = Pair::make() else { return };
        let mut node = Node::new(&pair, &PORTS, "");
        let observer = Observer::install(&pair.host, &PORTS);
        node.start(&["--backend", backend, "--interface", "w*", "br*"]);
        STACKS[0].build(&pair);
        wait_until("the bridge is counted", DEADLINE, || node.log().contains("counted") && node.log().contains("br0"));
        let said = if backend == "ebpf" { "is left out" } else { "now come in by another" };
        wait_until("it is said", DEADLINE, || node.log().contains(said));
        // What came before is not what is tested.
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

#[test]
fn a_tunnel_and_the_device_below_are_counted_beside_each_other() {
    for backend in ["ebpf", "iptables"] {
        let Some(pair) = Pair::make() else { return };
        for (netns, local, remote, address) in
            [(&pair.host, HOST4, PEER4, "10.98.0.2/24"), (&pair.peer, PEER4, HOST4, "10.98.0.1/24")]
        {
            let ip = |arguments: &[&str]| {
                crate::common::netns::run(std::process::Command::new("ip").args(["-n", netns]).args(arguments))
            };
            let (local, remote) = (local.to_string(), remote.to_string());
            let dev = if *netns == pair.host { WAN } else { "lan" };
            let tunnel = ["link", "add", "vx0", "type", "vxlan", "id", "7", "dstport", "4789", "dev", dev];
            ip(&[&tunnel[..], &["local", &local, "remote", &remote]].concat());
            ip(&["addr", "add", address, "dev", "vx0"]);
            ip(&["link", "set", "vx0", "up"]);
        }
        let mut node = Node::new(&pair, &PORTS, "");
        let observer = Observer::install(&pair.host, &PORTS);
        node.start(&["--backend", backend, "--interface", WAN, "vx0"]);
        let (inner_host, inner_peer) = ("10.98.0.2".parse().unwrap(), "10.98.0.1".parse().unwrap());
        inside(&pair.peer, || {
            send(inner_peer, (inner_host, 443), 100, 7);
            send(PEER4, (HOST4, 443), 100, 5);
        });
        let arrived = || observer.read()[&(443, "udp".to_owned(), "INPUT".to_owned())].1 == 12;
        wait_until("all arrived", DEADLINE, arrived);
        node.stop();
        compare_at_rest(&node, &observer);
    }
}
