//! PURE: devices that see the same packets, because one is stacked on the other.
//!
//! A program on each of two such devices counts every packet twice. So one of them is left out:
//!
//! - Usually the lower one. What is stacked on it (a bridge, a bond, a macvlan) is where the host's own traffic arrives.
//! - The upper one where the lower one sees all of it and has traffic of its own besides: a VLAN or ipvlan on a device that
//!   has addresses.
//! - The upper one where it is a VRF, whose packets meet no program but those of the devices in it.
//!
//! A macvlan and the device below it, both with addresses, fit no rule: below, the packets that come in for the macvlan are
//! frames for another host, while those that go out are not. The macvlan is counted, and what passes below is a gap.
//!
//! Tunnels are not stacked in this sense. What is a datagram to port 443 on the tunnel is a packet of the tunnel's protocol,
//! or to the tunnel's port, on the device below. Devices in other network namespaces are not seen from here: a macvlan that
//! was moved to a container counts as the container's own, and there.

use std::collections::BTreeSet;
use std::fmt;

use super::interface::Interface;

/// Kinds whose packets are wrapped in others on the device below.
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

/// Kinds that come in pairs, of which each names the other as the device below.
const PAIRED: [&str; 3] = ["netkit", "veth", "vxcan"];

/// Kinds of which the device below sees every packet, as the host's own.
const SEEN_BELOW: [&str; 3] = ["ipvlan", "ipvtap", "vlan"];

/// A device that is not counted because another one sees the same packets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    pub interface: String,
    /// The one that is counted.
    pub counted: String,
    /// Traffic of its own is lost by that.
    pub is_missed: bool,
}

impl LeftOut {
    /// Tells the person at the terminal.
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
            "`{interface}` is left out: `{counted}` is counted, and packets that pass both would be counted twice"
        )?;
        if *is_missed {
            write!(f, "; what passes `{interface}` alone is missed")?;
        }
        Ok(())
    }
}

/// Two devices that were both named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    pub upper: String,
    pub lower: String,
}

/// What became of the devices that see the same packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    pub left_out: Vec<LeftOut>,
    /// Both were named: for a person to decide.
    pub named: Vec<Pair>,
}

/// How a device is stacked on another, perhaps over others in between.
struct Path<'a> {
    upper: &'a Interface,
    is_seen_below: bool,
    is_vrf: bool,
    /// The first step leads to a device that takes the packets of the lower one, all of them.
    takes_all: bool,
}

/// Which of `chosen` are left out; `is_named` tells those that a person named, and which therefore stay.
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

/// The device that rules see a packet of `interface` come in by: a bridge, bond or VRF takes all packets of the devices in it.
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

/// The devices all of whose packets a program on `interface` counts: itself, and what is stacked on it. A macvlan is not among
/// them: below, what comes in for it are frames for another host.
pub fn seen_at(interface: &Interface, present: &[Interface]) -> Vec<u32> {
    let above = paths(interface, present).into_iter().filter(|path| path.takes_all || path.is_seen_below);
    above.map(|path| path.upper.index).chain([interface.index]).collect()
}

/// Everything that is stacked on a device, the nearest first.
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

/// What is stacked right on a device.
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
