use super::*;

fn device(index: u32, name: &str, kind: &str) -> Interface {
    Interface { index, name: name.into(), device_type: 1, kind: kind.into(), ..Interface::default() }
}

/// The device eth0 (1) with top0 (2) of `kind` stacked on it.
fn on_top(kind: &str, has_address: bool) -> Vec<Interface> {
    let lower = Interface { has_address, ..device(1, "eth0", "") };
    vec![lower, Interface { below: Some(1), ..device(2, "top0", kind) }]
}

/// The device eth0 (1) as a member of top0 (2) of `kind`.
fn within(kind: &str) -> Vec<Interface> {
    vec![Interface { master: Some(2), has_address: true, ..device(1, "eth0", "") }, device(2, "top0", kind)]
}

/// The devices that are counted if all are chosen and none is named literally.
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
    // A bridge on a VLAN on a bond of two devices.
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
    // The kernel does not create cycles, but the search would still end.
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

#[test]
fn only_what_no_counted_device_sees_is_missed() {
    let left_out = |present: &[Interface]| {
        let chosen: Vec<&Interface> = present.iter().collect();
        let left = resolve(&chosen, present, |_| false).left_out;
        left.into_iter().map(|left| (left.interface, left.counted, left.is_missed)).collect::<Vec<_>>()
    };
    let out = |interface: &str, counted: &str, is_missed| vec![(interface.to_owned(), counted.to_owned(), is_missed)];
    // A bridge takes all packets of its member, and what is on a VLAN is seen below it.
    assert_eq!(left_out(&within("bridge")), out("eth0", "top0", false));
    assert_eq!(left_out(&on_top("vlan", true)), out("top0", "eth0", false));
    assert_eq!(left_out(&on_top("vlan", false)), out("eth0", "top0", false));
    // In the order of their names.
    let mut two = within("bridge");
    two.insert(0, Interface { master: Some(2), ..device(3, "eth1", "") });
    assert_eq!(left_out(&two), [out("eth0", "top0", false), out("eth1", "top0", false)].concat());
}

#[test]
fn a_device_below_a_vrf_is_counted_over_a_bridge_in_between_too() {
    let present = [
        Interface { master: Some(2), ..device(1, "eth0", "") },
        Interface { master: Some(3), ..device(2, "br0", "bridge") },
        device(3, "red", "vrf"),
    ];
    let resolved = resolve(&[&present[0], &present[2]], &present, |_| false);
    let left_out = LeftOut { interface: "red".into(), counted: "eth0".into(), is_missed: false };
    assert_eq!(resolved.left_out, [left_out]);
}
