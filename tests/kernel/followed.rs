//! The running agent follows interfaces that go down or up, are deleted, created anew or renamed, and a default route
//! that moves.

use std::time::Duration;

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::netns::{HOST4, LAN, PEER4, Pair, WAN, inside};
use crate::support::send;

const DEADLINE: Duration = Duration::from_secs(20);
/// A datagram of 100 bytes with its IP and UDP headers.
const DATAGRAM: u64 = 100 + 20 + 8;

fn pass(pair: &Pair, count: usize) {
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, count));
}

/// Waits until the agent has logged this text this many times.
fn said(node: &Node, text: &str, times: usize) {
    wait_until(text, DEADLINE, || node.log().matches(text).count() >= times);
}

fn address(pair: &Pair, device: &str, peer_device: &str, net: u8) {
    pair.host_ip(&["addr", "replace", &format!("10.{net}.0.2/24"), "dev", device]);
    pair.peer_ip(&["addr", "replace", &format!("10.{net}.0.1/24"), "dev", peer_device]);
}

/// The interfaces and the gaps of every seal, in order.
fn seals(node: &Node) -> Vec<(serde_json::Value, Vec<serde_json::Value>)> {
    let seals = node.hourly().into_iter().filter(|line| line["kind"] == "seal");
    seals.map(|seal| (seal["interfaces"].clone(), seal["gaps"].as_array().unwrap().clone())).collect()
}

#[test]
fn the_default_route_is_followed_through_down_up_deleted_made_again_and_moved() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    node.start(&[]);
    pass(&pair, 5);
    pair.host_ip(&["link", "set", WAN, "down"]);
    pair.host_ip(&["link", "set", WAN, "up"]);
    // The kernel removed the route together with the link.
    pair.host_ip(&["route", "replace", "default", "via", &PEER4.to_string()]);
    pass(&pair, 7);

    pair.host_ip(&["link", "del", WAN]);
    said(&node, "no longer counted interface=\"wan\"", 1);
    pair.join(WAN, LAN);
    address(&pair, WAN, LAN, 99);
    pass(&pair, 3);
    pair.host_ip(&["route", "replace", "default", "via", &PEER4.to_string()]);
    said(&node, "INFO counted interface=\"wan\"", 1);
    pass(&pair, 11);

    pair.join("wan2", "lan2");
    address(&pair, "wan2", "lan2", 98);
    pair.host_ip(&["route", "replace", "default", "via", "10.98.0.1"]);
    said(&node, "INFO counted interface=\"wan2\"", 1);
    said(&node, "no longer counted interface=\"wan\"", 2);
    let other: std::net::IpAddr = "10.98.0.1".parse().unwrap();
    inside(&pair.peer, || send(other, ("10.98.0.2".parse().unwrap(), 443), 100, 13));
    // It no longer has anybody's default route.
    pass(&pair, 17);
    node.stop_after_this_second();

    assert_eq!(node.totals()[&443]["udp_in_bytes"], (5 + 7 + 11 + 13) * DATAGRAM);
    let seals = seals(&node);
    assert_eq!(seals.last().unwrap().0, serde_json::json!(["wan2"]));
    // Three datagrams passed before it had its route again; nobody can know whether there were more.
    let gaps: Vec<_> = seals.iter().flat_map(|(_, gaps)| gaps).filter(|gap| gap["interface"] == "wan").collect();
    assert!(gaps.iter().any(|gap| gap["why"] == "the interface appeared"), "{gaps:?}\n{}", node.log());
}

#[test]
fn restarts_while_there_is_no_default_route_go_on_counting_with_every_backend() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    node.start(&[]);
    pair.host_ip(&["route", "del", "default"]);
    pass(&pair, 1);
    node.stop();
    let backends = ["ebpf", "nftables", "nftables", "iptables", "iptables", "ebpf"];
    for (round, backend) in backends.into_iter().enumerate() {
        node.start(&["--backend", backend]);
        pass(&pair, 2 << round);
        node.stop();
        let (interfaces, gaps) = seals(&node).pop().unwrap();
        assert_eq!(interfaces, serde_json::json!([WAN]), "{backend}: {gaps:?}\n{}", node.log());
    }
    assert_eq!(node.totals()[&443]["udp_in_bytes"], ((2 << backends.len()) - 1) * DATAGRAM);
}

#[test]
fn a_glob_is_followed_through_new_and_renamed_interfaces() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    node.start(&["--interface", "w*"]);
    pass(&pair, 5);
    let rename = |from: &str, to: &str| {
        pair.host_ip(&["link", "set", from, "down"]);
        pair.host_ip(&["link", "set", from, "name", to]);
        pair.host_ip(&["link", "set", to, "up"]);
    };
    rename(WAN, "w.an");
    said(&node, "renamed interface=\"w.an\" before=\"wan\"", 1);
    pass(&pair, 7);

    pair.join("wan2", "lan2");
    said(&node, "INFO counted interface=\"wan2\"", 1);
    address(&pair, "wan2", "lan2", 98);
    let other: std::net::IpAddr = "10.98.0.1".parse().unwrap();
    inside(&pair.peer, || send(other, ("10.98.0.2".parse().unwrap(), 443), 100, 11));
    pair.host_ip(&["link", "del", "wan2"]);
    said(&node, "no longer counted interface=\"wan2\"", 1);

    // It no longer matches the glob.
    rename("w.an", "other");
    said(&node, "no longer counted interface=\"w.an\"", 1);
    pass(&pair, 17);
    rename("other", WAN);
    said(&node, "INFO counted interface=\"wan\"", 1);
    pass(&pair, 13);
    node.stop_after_this_second();
    assert_eq!(node.totals()[&443]["udp_in_bytes"], (5 + 7 + 11 + 13) * DATAGRAM);
    let gaps: Vec<_> = seals(&node).into_iter().flat_map(|(_, gaps)| gaps).collect();
    let why = |gap: &serde_json::Value| gap["why"].as_str().unwrap().to_owned();
    assert!(gaps.iter().any(|gap| gap["interface"] == WAN && why(gap) == "the interface appeared"), "{gaps:?}");
}
