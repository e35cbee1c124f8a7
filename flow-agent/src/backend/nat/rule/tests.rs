use super::*;

fn touched(way: Way, before: &PortSet, after: Option<&PortSet>) -> Vec<u16> {
    let rule = NatRule { name: "a rule".into(), way, before: before.clone(), after: after.cloned() };
    let touch = rule.touches(&[443, 8_388].into());
    touch.map(|touch| touch.ports.into_iter().collect()).unwrap_or_default()
}

#[test]
fn a_watched_port_is_touched_on_either_side() {
    let (web, hops, other) = (PortSet::of([(443, 443)]), PortSet::of([(8_000, 9_000)]), PortSet::of([(1, 2)]));
    let every = PortSet::every();
    for way in [Way::ToThisHost, Way::ToAnyHost] {
        assert_eq!(touched(way, &other, Some(&web)), [443]);
        assert_eq!(touched(way, &hops, Some(&other)), [8_388]);
        assert_eq!(touched(way, &hops, Some(&web)), [443, 8_388]);
        assert_eq!(touched(way, &every, Some(&other)), [443, 8_388]);
        assert_eq!(touched(way, &other, Some(&other)), [0; 0]);
    }
    assert_eq!(touched(Way::ToAnyHost, &web, None), [443], "it may leave this host");
    assert_eq!(touched(Way::ToThisHost, &web, None), [0; 0], "the same port for both");
}

#[test]
fn going_out_a_port_is_touched_by_its_own_name_only() {
    let (web, other, every) = (PortSet::of([(443, 443)]), PortSet::of([(1, 2)]), PortSet::every());
    assert_eq!(touched(Way::Out, &every, None), [0; 0], "what masquerades as whatever it is");
    assert_eq!(touched(Way::Out, &every, Some(&other)), [0; 0]);
    assert_eq!(touched(Way::Out, &every, Some(&web)), [443]);
    assert_eq!(touched(Way::Out, &web, Some(&other)), [443]);
}

#[test]
fn it_is_told_what_that_means() {
    let rule = NatRule {
        name: "`-j REDIRECT`".into(),
        way: Way::ToThisHost,
        before: PortSet::of([(20_000, 20_010)]),
        after: Some(PortSet::of([(443, 443)])),
    };
    assert_eq!(
        rule.touches(&[443].into()).unwrap().to_string(),
        "NAT touches port 443: `-j REDIRECT`: traffic to ports 20000-20010 is redirected to port 443; eBPF counts it \
         on ports 20000-20010; nftables and iptables, if it stays on this host, on port 443"
    );
    let everybody = NatRule { before: PortSet::every(), ..rule };
    let told = everybody.touches(&(1..=9).collect()).unwrap().to_string();
    assert!(told.starts_with("NAT touches 9 watched ports: `-j REDIRECT`: traffic to every port"), "{told}");
}

#[test]
fn eight_ports_are_named_and_more_are_counted() {
    let rule = NatRule { name: "`-j REDIRECT`".into(), way: Way::ToAnyHost, before: PortSet::every(), after: None };
    let told = |most| rule.touches(&(1..=most).collect()).unwrap().to_string();
    assert!(told(8).starts_with("NAT touches ports 1-8: "), "{}", told(8));
    assert!(told(9).starts_with("NAT touches 9 watched ports: "), "{}", told(9));
}
