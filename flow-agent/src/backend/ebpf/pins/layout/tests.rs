use super::*;

const ID: &str = "9f86d081884c7d65";

#[test]
fn a_set_is_called_by_its_layout() {
    let name = MapSetName { count: CountMode::Wire, slots: 125, cpus: 2, id: ID.into() };
    assert_eq!(name.to_string(), format!("v1-wire-s125-c2-{ID}"));
    assert_eq!(MapSetName::parse(&name.to_string()), Some(Ok(name.clone())));
    // Line 0, the slots, and five reserved lines.
    assert_eq!(name.lines(), 131);
}

#[test]
fn a_newer_layout_is_known_as_such_however_its_name_goes_on() {
    assert_eq!(MapSetName::parse("v2-whatever"), Some(Err(Newer { layout: 2 })));
    assert_eq!(MapSetName::parse("v10-ip-s64-c2-x"), Some(Err(Newer { layout: 10 })));
}

#[test]
fn a_gate_is_called_by_its_size_and_is_no_set() {
    let gate = GateName::new(3, 2);
    assert_eq!(gate.to_string(), "limits-v1-b1024-c2");
    assert_eq!(GateName::parse("limits-v1-b1024-c2"), Some(Ok(gate)));
    assert_eq!(GateName::new(1_000, 4).to_string(), "limits-v1-b2001-c4");
    assert_eq!(GateName::parse("limits-v9-whatever"), Some(Err(Newer { layout: 9 })));
    assert_eq!(["limits-v1-b1-c2", "limits-v1-b2-c0", "links"].map(GateName::parse), [None, None, None]);
    assert_eq!(MapSetName::parse("limits-v1-b1024-c2"), None);
}

#[test]
fn what_is_no_set_is_not_taken_for_one() {
    let short = format!("v1-ip-s64-c2-{}", &ID[1..]);
    let zero = format!("v1-ip-s0-c2-{ID}");
    let more = format!("v1-ip-s64-c2-{ID}-x");
    let no_cpu = format!("v1-ip-s64-c0-{ID}");
    let no_digit = format!("v1-ip-s64-c2-{}g", &ID[1..]);
    for name in ["links", "clsact", "v1-ip", "v-ip-s64-c2", &short, &zero, &more, &no_cpu, &no_digit] {
        assert_eq!(MapSetName::parse(name), None, "{name}");
    }
}

#[test]
fn slots_are_a_quarter_more_than_ports() {
    let slots = |ports, max_ports| slots_for(ports, max_ports).unwrap();
    assert_eq!([slots(0, 65_530), slots(51, 65_530), slots(52, 65_530), slots(1_001, 65_530)], [64, 64, 65, 1_252]);
    assert_eq!([slots(60_000, 65_530), slots(65_530, 65_530), slots(10, 20)], [65_530, 65_530, 20]);
    let error = slots_for(21, 20).unwrap_err();
    assert!(matches!(error, BackendError::TooManyPorts { wanted: 21, max_ports: 20 }));
}

#[test]
fn a_link_is_called_by_its_place_without_dots() {
    let link = LinkName { netns: 4_026_531_840, index: 3, direction: Direction::Egress, interface: "eth0.1-x".into() };
    assert_eq!(link.to_string(), "4026531840-3-out-eth0=2e1=2dx");
    assert_eq!(LinkName::parse(&link.to_string()), Some(link));
    for other in ["x", "1-2-up-eth0", "1-2-in-=z", "1-2-in-=2"] {
        assert_eq!(LinkName::parse(other), None, "{other}");
    }
}

#[test]
fn a_filter_says_whose_it_is() {
    let set = MapSetName { count: CountMode::Ip, slots: 64, cpus: 2, id: ID.into() };
    assert_eq!(filter_owner(&filter_name("abc", &set)), Some("abc"));
    assert_eq!(filter_owner("flow-agentx/abc"), None);
    assert_eq!(filter_owner("ingress_eth"), None);
}
