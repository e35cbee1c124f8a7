//! Kinds of devices that not every kernel supports. The kernels of virtual machines do (`cargo xtask test
//! stacks::kinds:: --kernels 6.12`).

use std::process::Command;

use super::table::{BOND, BRIDGE_OVER_VLAN_OVER_BOND, IPVLAN, VLAN, VLAN_BESIDE, makes};
use super::{counted_beside_each_other, each_byte_is_counted_once_or_refused, ip, up};
use crate::common::netns::{HOST4, PEER4, Pair, run};

#[test]
fn each_byte_over_a_vlan_is_counted_once_or_refused() {
    each_byte_is_counted_once_or_refused(&VLAN);
}

#[test]
fn each_byte_over_a_vlan_on_a_device_with_an_address_is_counted_once_or_refused() {
    each_byte_is_counted_once_or_refused(&VLAN_BESIDE);
}

#[test]
fn each_byte_over_a_bond_is_counted_once_or_refused() {
    each_byte_is_counted_once_or_refused(&BOND);
}

#[test]
fn each_byte_over_a_bridge_over_a_vlan_over_a_bond_is_counted_once_or_refused() {
    each_byte_is_counted_once_or_refused(&BRIDGE_OVER_VLAN_OVER_BOND);
}

#[test]
fn each_byte_over_an_ipvlan_is_counted_once_or_refused() {
    each_byte_is_counted_once_or_refused(&IPVLAN);
}

fn wireguard(pair: &Pair) {
    let wg =
        |netns: &str, arguments: &[&str]| run(Command::new("ip").args(["netns", "exec", netns, "wg"]).args(arguments));
    let directory = tempfile::tempdir().unwrap();
    let ends =
        [(&pair.host, PEER4, "10.98.0.2/24"), (&pair.peer, HOST4, "10.98.0.1/24")].map(|(netns, remote, address)| {
            ip(netns, &["link", "add", "tun0", "type", "wireguard"]);
            let key = directory.path().join(netns);
            std::fs::write(&key, run(Command::new("wg").arg("genkey"))).unwrap();
            wg(netns, &["set", "tun0", "listen-port", "51820", "private-key", key.to_str().unwrap()]);
            (netns, remote, address, wg(netns, &["show", "tun0", "public-key"]).trim().to_owned())
        });
    for (this, other) in [(0, 1), (1, 0)] {
        let (netns, remote, address, _) = &ends[this];
        let endpoint = format!("{remote}:51820");
        let peer = ["peer", &ends[other].3, "allowed-ips", "10.98.0.0/24", "endpoint", &endpoint];
        wg(netns, &[&["set", "tun0"], &peer[..]].concat());
        up(netns, "tun0", address);
    }
}

/// Removes the tunnel's peers: ten seconds after the last datagram, each end would send a keepalive of its own.
fn silence_wireguard(pair: &Pair) {
    for netns in [&pair.host, &pair.peer] {
        let wg = |arguments: &[&str]| run(Command::new("ip").args(["netns", "exec", netns, "wg"]).args(arguments));
        let other = wg(&["show", "tun0", "peers"]);
        wg(&["set", "tun0", "peer", other.trim(), "remove"]);
    }
}

#[test]
fn wireguard_and_the_device_below_are_counted_beside_each_other() {
    let Some(pair) = Pair::make() else { return };
    if makes(&pair, "wireguard") {
        counted_beside_each_other(wireguard, silence_wireguard);
    }
}
