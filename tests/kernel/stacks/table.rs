//! The stacks of devices that the tests build.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use crate::common::daemon::wait_until;
use crate::common::netns::{HOST4, HOST6, LAN, PEER4, PEER6, Pair, WAN, inside};
use crate::support::own_machine;

/// A stack of devices, of which the topmost has the addresses and the default route.
pub struct Stack {
    pub what: &'static str,
    /// The names of the devices, from the bottom.
    pub devices: &'static [&'static str],
    pub commands: &'static [&'static [&'static str]],
    /// The commands for the peer, and the peer's device that then has its addresses.
    pub peer: Option<(&'static [&'static [&'static str]], &'static str)>,
    /// Kinds that not every kernel supports.
    pub needs: &'static [&'static str],
    /// Whether rules count its packets as those of the topmost device alone, even if another one is named too.
    pub is_exact_by_rules: bool,
}

/// The rest of a stack that needs nothing from the peer and the kernel.
const PLAIN: Stack = Stack { what: "", devices: &[], commands: &[], peer: None, needs: &[], is_exact_by_rules: false };

pub const BRIDGE: Stack = Stack {
    what: "a bridge and its port",
    devices: &[WAN, "br0"],
    commands: &[&["link", "add", "br0", "type", "bridge"], &["link", "set", WAN, "master", "br0"]],
    ..PLAIN
};

pub const MACVLAN: Stack = Stack {
    what: "a macvlan",
    devices: &[WAN, "mv0"],
    commands: &[&["link", "add", "mv0", "link", WAN, "type", "macvlan", "mode", "bridge"]],
    is_exact_by_rules: true,
    ..PLAIN
};

pub const BRIDGE_OVER_MACVLAN: Stack = Stack {
    what: "a bridge whose port is a macvlan",
    devices: &[WAN, "mv0", "br0"],
    commands: &[
        // Only in this mode does it accept frames for other addresses than its own.
        &["link", "add", "mv0", "link", WAN, "type", "macvlan", "mode", "passthru"],
        &["link", "add", "br0", "type", "bridge"],
        &["link", "set", "mv0", "master", "br0"],
    ],
    ..PLAIN
};

pub const BRIDGE_OVER_TWO: Stack = Stack {
    what: "a bridge over two ports",
    devices: &[WAN, "spare", "br0"],
    commands: &[
        &["link", "add", "spare", "type", "veth", "peer", "name", "spare-end"],
        &["link", "add", "br0", "type", "bridge"],
        &["link", "set", WAN, "master", "br0"],
        &["link", "set", "spare", "master", "br0"],
    ],
    ..PLAIN
};

/// The peer's end of a VLAN.
const PEER_VLAN: (&[&[&str]], &str) = (&[&["link", "add", "lan.7", "link", LAN, "type", "vlan", "id", "7"]], "lan.7");

pub const VLAN: Stack = Stack {
    what: "a VLAN",
    devices: &[WAN, "wan.7"],
    commands: &[&["link", "add", "wan.7", "link", WAN, "type", "vlan", "id", "7"]],
    peer: Some(PEER_VLAN),
    needs: &["vlan"],
    is_exact_by_rules: true,
};

/// Here the device below sees more than the VLAN does.
pub const VLAN_BESIDE: Stack = Stack {
    what: "a VLAN on a device that has an address",
    commands: &[VLAN.commands[0], &["addr", "add", "10.98.0.2/24", "dev", WAN]],
    ..VLAN
};

/// A bond accepts only devices that are down.
const BOND_COMMANDS: [&[&str]; 3] = [
    &["link", "add", "bond0", "type", "bond", "mode", "active-backup", "miimon", "10"],
    &["link", "set", WAN, "down"],
    &["link", "set", WAN, "master", "bond0"],
];

pub const BOND: Stack =
    Stack { what: "a bond", devices: &[WAN, "bond0"], commands: &BOND_COMMANDS, needs: &["bond"], ..PLAIN };

pub const BRIDGE_OVER_VLAN_OVER_BOND: Stack = Stack {
    what: "a bridge over a VLAN over a bond",
    devices: &[WAN, "bond0", "bond0.7", "br0"],
    commands: &[
        BOND_COMMANDS[0],
        BOND_COMMANDS[1],
        BOND_COMMANDS[2],
        &["link", "add", "bond0.7", "link", "bond0", "type", "vlan", "id", "7"],
        &["link", "add", "br0", "type", "bridge"],
        &["link", "set", "bond0.7", "master", "br0"],
    ],
    peer: Some(PEER_VLAN),
    needs: &["bond", "vlan"],
    is_exact_by_rules: false,
};

pub const IPVLAN: Stack = Stack {
    what: "an ipvlan",
    devices: &[WAN, "iv0"],
    commands: &[&["link", "add", "iv0", "link", WAN, "type", "ipvlan", "mode", "l2"]],
    needs: &["ipvlan"],
    is_exact_by_rules: true,
    ..PLAIN
};

impl Stack {
    pub fn top(&self) -> &'static str {
        self.devices[self.devices.len() - 1]
    }

    /// Whether this kernel supports the devices. If not, prints that on stderr; the kernels of virtual machines do.
    pub fn is_possible(&self, pair: &Pair) -> bool {
        self.needs.iter().all(|kind| makes(pair, kind))
    }

    pub fn build(&self, pair: &Pair) {
        // The device below a macvlan must not answer for its address, or incoming packets would pass only the lower
        // one.
        inside(&pair.host, || std::fs::write("/proc/sys/net/ipv4/conf/all/arp_ignore", "1").unwrap());
        pair.host_ip(&["addr", "flush", "dev", WAN]);
        self.commands.iter().for_each(|command| pair.host_ip(command));
        self.devices.iter().for_each(|device| pair.host_ip(&["link", "set", device, "up"]));
        pair.host_ip(&["addr", "add", &format!("{HOST4}/24"), "dev", self.top()]);
        pair.host_ip(&["addr", "add", &format!("{HOST6}/64"), "dev", self.top(), "nodad"]);
        pair.host_ip(&["route", "replace", "default", "via", &PEER4.to_string()]);
        if let Some((commands, device)) = self.peer {
            pair.peer_ip(&["addr", "flush", "dev", LAN]);
            commands.iter().for_each(|command| pair.peer_ip(command));
            pair.peer_ip(&["link", "set", device, "up"]);
            pair.peer_ip(&["addr", "add", &format!("{PEER4}/24"), "dev", device]);
            pair.peer_ip(&["addr", "add", &format!("{PEER6}/64"), "dev", device, "nodad"]);
        }
        reach_each_other(pair);
    }
}

/// Waits until datagrams pass both ways. A bond checks its members only from time to time, and packets wait for the
/// hardware address of a neighbour: until both are known, packets that the rules have already seen may be dropped.
fn reach_each_other(pair: &Pair) {
    let bind = |netns: &str, address| inside(netns, || UdpSocket::bind((address, 0)).unwrap());
    let (host, peer) = (bind(&pair.host, HOST4), bind(&pair.peer, PEER4));
    let arrives = |from: &UdpSocket, to: &UdpSocket| {
        to.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        from.send_to(b"x", to.local_addr().unwrap()).is_ok() && to.recv(&mut [0; 8]).is_ok()
    };
    wait_until("datagrams pass both ways", Duration::from_secs(20), || arrives(&peer, &host) && arrives(&host, &peer));
}

/// Whether this kernel supports devices of `kind`. If the machine is only for the tests, it must.
pub fn makes(pair: &Pair, kind: &str) -> bool {
    let under = if kind == "vlan" { &["link", WAN][..] } else { &[] };
    let id = if kind == "vlan" { &["id", "99"][..] } else { &[] };
    let under = if kind == "ipvlan" { &["link", WAN][..] } else { under };
    let ip = |arguments: &[&str]| Command::new("ip").args(["-n", &pair.host]).args(arguments).output().unwrap();
    let added = ip(&[&["link", "add"], under, &["name", "probe", "type", kind], id].concat());
    if added.status.success() {
        assert!(ip(&["link", "del", "probe"]).status.success());
        return true;
    }
    let is_own = own_machine(&format!("devices of the kind {kind}"));
    assert!(!is_own, "this kernel makes no {kind}: {}", String::from_utf8_lossy(&added.stderr));
    false
}
