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
mod tests {
    use super::*;

    fn device(index: u32, name: &str, kind: &str) -> Interface {
        Interface { index, name: name.into(), device_type: 1, kind: kind.into(), ..Interface::default() }
    }

    /// eth0 (1), on it `kind` top0 (2).
    fn on_top(kind: &str, has_address: bool) -> Vec<Interface> {
        let lower = Interface { has_address, ..device(1, "eth0", "") };
        vec![lower, Interface { below: Some(1), ..device(2, "top0", kind) }]
    }

    /// eth0 (1) in `kind` top0 (2).
    fn within(kind: &str) -> Vec<Interface> {
        vec![Interface { master: Some(2), has_address: true, ..device(1, "eth0", "") }, device(2, "top0", kind)]
    }

    /// The devices that are counted when all are chosen, none of them by its name.
    fn counted(present: &[Interface]) -> Vec<&str> {
        let chosen: Vec<&Interface> = present.iter().collect();
        let resolved = resolve(&chosen, present, |_| false);
        let is_out = |name: &str| resolved.left_out.iter().any(|left| left.interface == name);
        present.iter().map(|interface| interface.name.as_str()).filter(|name| !is_out(name)).collect()
    }

    #[test]
    fn the_upper_one_is_counted() {
        for kind in ["bridge", "bond", "team", "openvswitch"] {
            assert_eq!(counted(&within(kind)), ["top0"], "{kind}");
        }
        for kind in ["vlan", "macvlan", "macvtap", "ipvlan", "dsa"] {
            assert_eq!(counted(&on_top(kind, false)), ["top0"], "{kind}");
        }
    }

    #[test]
    fn the_lower_one_is_counted_where_it_sees_all_and_has_more() {
        for kind in ["vlan", "ipvlan"] {
            assert_eq!(counted(&on_top(kind, true)), ["eth0"], "{kind}");
        }
        assert_eq!(counted(&within("vrf")), ["eth0"]);
    }

    #[test]
    fn a_macvlan_hides_the_own_traffic_of_the_device_below() {
        let present = on_top("macvlan", true);
        let chosen: Vec<&Interface> = present.iter().collect();
        let left_out = LeftOut { interface: "eth0".into(), counted: "top0".into(), is_missed: true };
        assert_eq!(resolve(&chosen, &present, |_| false).left_out, [left_out]);
    }

    #[test]
    fn tunnels_and_pairs_are_counted_beside_each_other() {
        for kind in ["vxlan", "macsec", "gre", "veth"] {
            assert_eq!(counted(&on_top(kind, true)), ["eth0", "top0"], "{kind}");
        }
        let pair = vec![
            Interface { below: Some(2), ..device(1, "v0", "veth") },
            Interface { below: Some(1), ..device(2, "v1", "veth") },
        ];
        assert_eq!(counted(&pair), ["v0", "v1"]);
    }

    #[test]
    fn stacks_are_followed_over_devices_in_between() {
        // A bridge over a VLAN over a bond of two devices.
        let mut present = vec![
            Interface { master: Some(3), ..device(1, "eth0", "") },
            Interface { master: Some(3), ..device(2, "eth1", "") },
            Interface { has_address: true, ..device(3, "bond0", "bond") },
            Interface { below: Some(3), master: Some(5), ..device(4, "bond0.10", "vlan") },
            device(5, "br10", "bridge"),
        ];
        assert_eq!(counted(&present), ["br10"]);
        let ends = [&present[0], &present[4]];
        let resolved = resolve(&ends, &present, |_| false);
        assert_eq!(resolved.left_out.iter().map(|left| left.interface.as_str()).collect::<Vec<_>>(), ["eth0"]);
        assert_eq!(topmost_master(&present[1], &present).name, "bond0");
        // A circle, which the kernel does not make, ends all the same.
        present[4].master = Some(3);
        present[2].master = Some(5);
        assert_eq!(counted(&present).len(), 1);
        assert_eq!(topmost_master(&present[0], &present).name, "br10");
    }

    #[test]
    fn what_is_named_stays_and_both_are_for_a_person_to_decide() {
        let present = within("bridge");
        let chosen: Vec<&Interface> = present.iter().collect();
        let resolved = resolve(&chosen, &present, |interface| interface.name == "eth0");
        assert_eq!(resolved.left_out[0].interface, "top0");
        assert_eq!(resolved.named, []);
        let both = resolve(&chosen, &present, |_| true);
        assert_eq!(both.named, [Pair { upper: "top0".into(), lower: "eth0".into() }]);
    }
}
