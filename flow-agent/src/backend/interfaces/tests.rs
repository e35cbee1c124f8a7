use super::super::interface::LinkLayer;
use super::*;

fn interface(index: u32, name: &str, device_type: u16, default_route: bool) -> Interface {
    Interface { index, name: name.into(), device_type, default_route, ..Interface::default() }
}

fn present() -> Vec<Interface> {
    vec![
        interface(1, "lo", 772, false),
        interface(2, "eth0", 1, true),
        interface(3, "eth1", 1, false),
        interface(4, "wg0", 0xfffe, false),
        interface(5, "ib0", 32, false),
    ]
}

fn select(patterns: &[&str], present: &[Interface], counted: &[u32]) -> Result<Selection, BackendError> {
    let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    Ok(Patterns::parse(&patterns)?.select(present, &counted.iter().copied().collect()))
}

fn names(selection: &Selection) -> Vec<&str> {
    selection.chosen.iter().map(|interface| interface.name.as_str()).collect()
}

#[test]
fn auto_is_what_carries_a_default_route() {
    assert_eq!(names(&select(&["auto"], &present(), &[]).unwrap()), ["eth0"]);
    let mut both = present();
    both[2].default_route = true;
    assert_eq!(names(&select(&["auto"], &both, &[]).unwrap()), ["eth0", "eth1"]);
}

#[test]
fn auto_never_picks_loopback() {
    let only_loopback = [interface(1, "lo", 772, true)];
    assert!(select(&["auto"], &only_loopback, &[1]).unwrap().chosen.is_empty());
}

#[test]
fn auto_follows_a_moved_route_but_not_a_vanished_one() {
    let mut moved = present();
    moved[1].default_route = false;
    assert_eq!(names(&select(&["auto"], &moved, &[2]).unwrap()), ["eth0"]);
    moved[2].default_route = true;
    assert_eq!(names(&select(&["auto"], &moved, &[2]).unwrap()), ["eth1"]);
}

#[test]
fn names_and_globs_pick_each_interface_once() {
    let selection = select(&["eth*", "eth1", "wg[0-9]", "auto"], &present(), &[]).unwrap();
    assert_eq!(names(&selection), ["eth0", "eth1", "wg0"]);
}

#[test]
fn loopback_is_counted_when_it_is_named() {
    assert_eq!(names(&select(&["lo"], &present(), &[]).unwrap()), ["lo"]);
}

#[test]
fn of_stacked_devices_one_is_counted_and_two_names_are_refused() {
    let mut present = present();
    present[1].master = Some(9);
    present.push(Interface { kind: "bridge".into(), ..interface(9, "br0", 1, true) });
    let left_out = LeftOut { interface: "eth0".into(), counted: "br0".into(), is_missed: false };
    for patterns in [&["auto"][..], &["*0"], &["br0", "eth*"]] {
        let selection = select(patterns, &present, &[]).unwrap();
        assert!(names(&selection).contains(&"br0") && !names(&selection).contains(&"eth0"), "{patterns:?}");
        assert_eq!(selection.left_out, std::slice::from_ref(&left_out));
        selection.refuse_stacked().unwrap();
    }
    assert_eq!(names(&select(&["eth0", "b*"], &present, &[]).unwrap()), ["eth0"]);
    let both = ["br0".to_owned(), "eth0".to_owned()];
    let error = Patterns::parse(&both).unwrap().select(&present, &BTreeSet::new()).refuse_stacked().unwrap_err();
    assert_eq!(error.to_string(), "`br0` is stacked on `eth0`: packets that pass both would be counted twice");
    let allowed = Patterns::parse(&both).unwrap().allow_stacked(true);
    for patterns in [allowed.clone(), allowed.for_rules()] {
        let selection = patterns.select(&present, &BTreeSet::new());
        assert_eq!(names(&selection), ["br0", "eth0"]);
        selection.refuse_stacked().unwrap();
    }
}

#[test]
fn rules_are_told_the_device_that_packets_come_in_by() {
    let mut present = present();
    present[1].master = Some(9);
    present.push(Interface { kind: "bridge".into(), ..interface(9, "br0", 1, false) });
    let rules = |name: &str| Patterns::parse(&[name.to_owned()]).unwrap().for_rules();
    let selection = rules("auto").select(&present, &BTreeSet::new());
    assert_eq!(names(&selection), ["br0"]);
    selection.refuse_stacked().unwrap();
    assert!(rules("eth0").select(&present, &BTreeSet::new()).refuse_stacked().is_err());
}

#[test]
fn an_absent_name_is_said_and_an_absent_glob_is_not() {
    let selection = select(&["eth9", "tun*"], &present(), &[]).unwrap();
    assert_eq!(selection.absent, ["eth9".to_owned()].into());
    assert!(selection.chosen.is_empty());
}

#[test]
fn an_interface_that_may_be_gone_is_picked_alone() {
    let mut present = present();
    present.push(interface(9, "a,b[1]*{", 1, false));
    for name in ["eth0", "a,b[1]*{"] {
        assert_eq!(names(&select(&[&only(name)], &present, &[]).unwrap()), [name]);
    }
    assert_eq!(select(&[&only("eth")], &present, &[]).unwrap(), Selection::default());
}

#[test]
fn an_unreadable_device_is_refused_by_name_and_skipped_by_a_glob() {
    let refused = select(&["ib0", "ib0"], &present(), &[]).unwrap().refused;
    assert_eq!(refused.iter().map(|interface| interface.device_type).collect::<Vec<_>>(), [32]);
    let selection = select(&["ib*", "eth0"], &present(), &[]).unwrap();
    assert_eq!(names(&selection), ["eth0"]);
    assert_eq!(selection.unreadable, ["ib0".to_owned()].into());
}

#[test]
fn the_device_type_decides_the_programs() {
    let layer = |device_type| interface(9, "x", device_type, false).link_layer();
    assert_eq!((layer(1), layer(772)), (Some(LinkLayer::Ethernet), Some(LinkLayer::Ethernet)));
    for raw in [0xfffe, 519, 512, 776, 768, 769] {
        assert_eq!(layer(raw), Some(LinkLayer::Ip), "{raw}");
    }
    assert_eq!(layer(801), None);
}

#[test]
fn what_can_be_no_interface_is_refused() {
    for bad in ["", "a/b", "eth0:1", "sixteen-letters-", "a b", "..", "[a"] {
        assert!(matches!(select(&[bad], &[], &[]), Err(BackendError::Pattern { .. })), "{bad}");
    }
}
