//! What a running agent answers: held against figures computed by hand.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::Duration;

use flow_agent::answer::client;
use flow_agent::ledger::counters::Counters;
use flow_agent::ledger::now::{Now, PortNow};
use flow_agent::ledger::record::Quality;

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::netns::{HOST4, PEER4, Pair, WAN, inside};
use crate::support::send;

/// IP and UDP headers.
const UDP4: u64 = 20 + 8;

/// Where the agent of `node` answers.
pub fn socket(node: &Node) -> PathBuf {
    let instance = std::fs::read_to_string(node.state_dir().join("instance")).unwrap();
    PathBuf::from(format!("/run/flow-agent/{}.sock", instance.trim()))
}

pub fn now(node: &Node) -> Now {
    client::now(&socket(node)).unwrap()
}

fn port(now: &Now, port: u16) -> &PortNow {
    now.ports.iter().find(|found| found.port == port).unwrap()
}

/// Ten datagrams of 100 bytes to port 443, and seven of 1,000 to port 4433, from the peer.
fn pass(pair: &Pair) {
    let _listeners = inside(&pair.host, || [443, 4433].map(|port| UdpSocket::bind((HOST4, port)).unwrap()));
    inside(&pair.peer, || {
        send(PEER4, (HOST4, 443), 100, 10);
        send(PEER4, (HOST4, 4433), 1_000, 7);
    });
}

const PASSED_443: Counters = in_by_udp(10 * (100 + UDP4), 10);
const PASSED_4433: Counters = in_by_udp(7 * (1_000 + UDP4), 7);

const fn in_by_udp(udp_in_bytes: u64, udp_in_packets: u64) -> Counters {
    Counters {
        tcp_in_bytes: 0,
        tcp_in_packets: 0,
        tcp_out_bytes: 0,
        tcp_out_packets: 0,
        udp_in_bytes,
        udp_in_packets,
        udp_out_bytes: 0,
        udp_out_packets: 0,
    }
}

fn answers_to_the_byte(backend: &[&str]) {
    let Some(pair) = Pair::make() else { return };
    let users = "[[users]]\nname = \"alice\"\nports = [443]\nquota = \"1 MiB\"\n";
    let mut node = Node::new(&pair, &[4433], users);
    node.start(backend);
    let first = now(&node);
    assert_eq!((first.node.as_str(), first.zone.as_str(), first.attached), ("node", "UTC", true));
    assert_eq!(first.open.quality, Quality::Exact);
    assert_eq!(first.ports.iter().map(|port| port.port).collect::<Vec<_>>(), [443, 4433]);
    assert_eq!(port(&first, 443).today, Some(Counters::default()));

    pass(&pair);
    let asked = now(&node);
    assert_eq!((port(&asked, 443).open, port(&asked, 4433).open), (PASSED_443, PASSED_4433));
    assert_eq!((port(&asked, 443).total, port(&asked, 443).today), (Some(PASSED_443), Some(PASSED_443)));
    assert_eq!(port(&asked, 4433).month, Some(PASSED_4433));
    assert_eq!(port(&asked, 443).user.as_deref(), Some("alice"));
    let alice = &asked.users[0];
    assert_eq!((alice.user.as_str(), alice.ports.as_slice(), alice.quota), ("alice", [443].as_slice(), Some(1 << 20)));
    assert_eq!((alice.today, alice.month), (Some(PASSED_443), Some(PASSED_443)));
    assert!(client::health(&socket(&node)).unwrap().healthy);

    // What is sealed counts on: of the day, of the month, and no longer of the open bucket.
    let path = socket(&node);
    node.stop();
    // An agent that had no time to leave properly leaves it to the next one.
    assert!(!path.exists() || node.log().contains("kept it busy"), "the socket goes with the agent");
    node.start(backend);
    pass(&pair);
    let after = now(&node);
    let twice = PASSED_443.saturating_add(PASSED_443);
    assert_eq!((port(&after, 443).open, port(&after, 443).today), (PASSED_443, Some(twice)));
    assert_eq!((port(&after, 443).total, after.users[0].month), (Some(twice), Some(twice)));
    assert!(after.open.seq > asked.open.seq && after.last_seal.is_some());
    node.stop();
}

#[test]
fn now_is_what_passed_to_the_byte() {
    answers_to_the_byte(&["--interface", WAN]);
}

#[test]
fn now_is_what_passed_to_the_byte_with_iptables() {
    answers_to_the_byte(&["--interface", WAN, "--iptables"]);
}

#[test]
fn the_socket_of_a_killed_agent_is_replaced() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    node.start(&[]);
    node.kill();
    assert!(socket(&node).exists(), "nobody removed it");
    node.start(&[]);
    wait_until("the agent answers", Duration::from_secs(10), || client::now(&socket(&node)).is_ok());
    node.stop();
}
