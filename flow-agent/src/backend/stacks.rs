//! PURE: devices that see the same packets because one is stacked on the other.
//!
//! Programs on both devices would count every packet twice. So one of the devices is left out:
//!
//! - Usually the lower one. The host's own traffic arrives at what is stacked on it (a bridge, a bond, a macvlan).
//! - The upper one if the lower one sees all its traffic and has traffic of its own: a VLAN or ipvlan on a device that
//!   has addresses.
//! - The upper one if it is a VRF, because its packets only meet programs on the devices in it.
//!
//! No rule fits a macvlan on a device when both have addresses: on the lower device, incoming packets of the macvlan
//! look like frames for another host, but outgoing ones do not. The macvlan is counted, and the lower device's own
//! traffic is reported as missed.
//!
//! Tunnels are not stacked in this sense. A datagram to port 443 on the tunnel is a packet of the tunnel's protocol, or
//! to the tunnel's port, on the device below. Devices in other network namespaces are not visible from here: a macvlan
//! that was moved into a container belongs to the container and is counted there.

use std::collections::BTreeSet;
use std::fmt;

use super::interface::Interface;

/// Kinds of devices whose packets are encapsulated in other packets on the lower device.
const WRAPPING: [&str; 21] = [
    "amt",
    "bareudp",
    "erspan",
    "geneve",
    "gre",
    "gretap",
    "gtp",
    "ip6erspan",
    "ip6gre",
    "ip6gretap",
    "ip6tnl",
    "ipip",
    "ipoib",
    "macsec",
    "ppp",
    "rmnet",
    "sit",
    "vti",
    "vti6",
    "vxlan",
    "xfrm",
];

/// Kinds of devices that come in pairs, where each names the other as its lower device.
const PAIRED: [&str; 3] = ["netkit", "veth", "vxcan"];

/// Kinds of devices whose lower device sees all their packets as the host's own.
const SEEN_BELOW: [&str; 3] = ["ipvlan", "ipvtap", "vlan"];

/// A device that is not counted because another one sees the same packets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    pub interface: String,
    /// The device that is counted instead.
    pub counted: String,
    /// Whether traffic that only `interface` sees is lost by this.
    pub is_missed: bool,
}

impl LeftOut {
    /// Logs that the device is left out.
    pub fn say(&self) {
        let Self { interface, counted, is_missed } = self;
        if *is_missed {
            tracing::warn!(interface, counted, "{self}");
        } else {
            tracing::info!(interface, counted, "{self}");
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interface, counted, is_missed } = self;
        write!(
            f,
            "`{interface}` is left out, because `{counted}` is counted and packets that pass both would count twice"
        )?;
        if *is_missed {
            write!(f, "; traffic of `{interface}` alone is not counted")?;
        }
        Ok(())
    }
}

/// Two stacked devices that are both named literally.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    pub upper: String,
    pub lower: String,
}

/// What was decided about devices that see the same packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    pub left_out: Vec<LeftOut>,
    /// Pairs that were both named literally, about which a person has to decide.
    pub named: Vec<Pair>,
}

/// How a device is stacked on another, directly or with others in between.
struct Path<'a> {
    upper: &'a Interface,
    is_seen_below: bool,
    is_vrf: bool,
    /// The first step leads to a master, which takes all packets of the lower device.
    takes_all: bool,
}

/// Decides which of `chosen` are left out. Devices that a person named (`is_named`) are kept over those that were not.
pub fn resolve(chosen: &[&Interface], present: &[Interface], is_named: impl Fn(&Interface) -> bool) -> Resolved {
    let mut resolved = Resolved::default();
    let mut out = BTreeSet::new();
    for lower in chosen {
        for path in paths(lower, present) {
            let upper = path.upper;
            let is_chosen = chosen.iter().any(|interface| interface.index == upper.index);
            if !is_chosen || out.contains(&upper.index) || out.contains(&lower.index) {
                continue;
            }
            let prefers_lower = path.is_vrf || (path.is_seen_below && lower.has_address);
            let lower_stays = match (is_named(upper), is_named(lower)) {
                (true, true) => {
                    resolved.named.push(Pair { upper: upper.name.clone(), lower: lower.name.clone() });
                    false
                }
                (named_upper, named_lower) if named_upper != named_lower => named_lower,
                (_, _) => prefers_lower,
            };
            let (goes, stays) = if lower_stays { (upper, *lower) } else { (*lower, upper) };
            out.insert(goes.index);
            resolved.left_out.push(LeftOut {
                interface: goes.name.clone(),
                counted: stays.name.clone(),
                is_missed: !lower_stays && !path.takes_all && lower.has_address,
            });
        }
    }
    resolved.left_out.sort();
    resolved
}

/// The device by which packets of `interface` come in, as seen by rules: a bridge, bond or VRF takes all packets of its
/// members.
pub fn topmost_master<'a>(interface: &'a Interface, present: &'a [Interface]) -> &'a Interface {
    let mut top = interface;
    let mut seen = BTreeSet::new();
    while let Some(master) = top.master.and_then(|index| present.iter().find(|other| other.index == index))
        && seen.insert(master.index)
    {
        top = master;
    }
    top
}

/// The devices whose packets a program on `interface` counts completely: itself, and what is stacked on it. A macvlan
/// is not among them, because on the lower device its incoming packets look like frames for another host.
pub fn seen_at(interface: &Interface, present: &[Interface]) -> Vec<u32> {
    let above = paths(interface, present).into_iter().filter(|path| path.takes_all || path.is_seen_below);
    above.map(|path| path.upper.index).chain([interface.index]).collect()
}

/// Everything that is stacked on a device, the nearest devices first.
fn paths<'a>(lower: &Interface, present: &'a [Interface]) -> Vec<Path<'a>> {
    let mut paths: Vec<Path<'a>> = Vec::new();
    let mut seen = BTreeSet::from([lower.index]);
    let mut steps = steps(lower, present);
    while !steps.is_empty() {
        let mut next = Vec::new();
        for path in steps {
            if !seen.insert(path.upper.index) {
                continue;
            }
            next.extend(self::steps(path.upper, present).into_iter().map(|step| Path {
                upper: step.upper,
                is_seen_below: path.is_seen_below && step.is_seen_below,
                is_vrf: path.is_vrf || step.is_vrf,
                takes_all: path.takes_all,
            }));
            paths.push(path);
        }
        steps = next;
    }
    paths
}

/// Everything that is stacked directly on a device.
fn steps<'a>(lower: &Interface, present: &'a [Interface]) -> Vec<Path<'a>> {
    let is_on = |upper: &Interface| {
        let shares_packets = !WRAPPING.contains(&upper.kind.as_str()) && !PAIRED.contains(&upper.kind.as_str());
        upper.below == Some(lower.index) && shares_packets
    };
    let stacked = present.iter().filter(|upper| lower.master == Some(upper.index) || is_on(upper));
    stacked
        .map(|upper| Path {
            upper,
            is_seen_below: lower.master != Some(upper.index) && SEEN_BELOW.contains(&upper.kind.as_str()),
            is_vrf: lower.master == Some(upper.index) && upper.kind == "vrf",
            takes_all: lower.master == Some(upper.index),
        })
        .collect()
}

#[cfg(test)]
mod tests;
