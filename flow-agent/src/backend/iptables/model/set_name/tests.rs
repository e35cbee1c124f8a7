use super::super::flow::{Direction, FlowClass};
use super::super::place::Made;
use super::super::shape::Node;
use super::*;

fn set() -> RuleSetName {
    RuleSetName::new(instance_tag("5c1e0f6e-7a52-4a0f-9d5b-0a8f0d0f6f11"), 0xdead_beef)
}

#[test]
fn a_name_says_whose_it_is() {
    let tag = instance_tag("5c1e0f6e-7a52-4a0f-9d5b-0a8f0d0f6f11");
    assert_eq!(set().instance(), tag);
    assert_ne!(tag, instance_tag("another"));
}

#[test]
fn every_name_fits_and_reads_back() {
    let node = |bound, level| Node { bound, level };
    let mut places = vec![
        ChainPlace::Fragments,
        ChainPlace::LateFragments,
        ChainPlace::Reassembly,
        ChainPlace::Drop,
        ChainPlace::Sealed,
        ChainPlace::Tripwire,
        ChainPlace::table(1),
        ChainPlace::table(u64::MAX),
        ChainPlace::Made(Made::default()),
        ChainPlace::Made(Made { table: true, input: true, output: true }),
        ChainPlace::Made(Made { table: false, input: false, output: true }),
    ];
    for direction in Direction::BOTH {
        places.extend(
            [ChainPlace::Entry, ChainPlace::Split, ChainPlace::Rest, ChainPlace::Cut].map(|place| place(direction)),
        );
    }
    for tree in FlowClass::ALL {
        places.extend([node(0, 0), node(443, 0), node(0xffff, 5)].map(|node| ChainPlace::Node(tree, node)));
    }
    for place in places {
        let name = set().chain(&place);
        assert!(name.len() <= 28, "{name}");
        let (parsed, rest) = RuleSetName::parse(&name).unwrap();
        assert_eq!((parsed, ChainPlace::parse(rest)), (set(), Some(place)));
    }
}

#[test]
fn every_ipset_has_a_name_of_its_own() {
    for family in Family::BOTH {
        for ipset in Ipset::every() {
            let name = set().ipset(family, ipset);
            assert!(name.len() <= 31, "{name}");
            assert_eq!(RuleSetName::parse_ipset(&name, family), Some((set(), ipset)));
            let other = Family::BOTH.into_iter().find(|other| *other != family).unwrap();
            assert_eq!(RuleSetName::parse_ipset(&name, other), None);
            assert_eq!(RuleSetName::parse(&name).and_then(|(_, place)| ChainPlace::parse(place)), None);
        }
    }
    assert_eq!(RuleSetName::parse_ipset("flow-k3v9qa-1h2j4k-ti44", Family::V4), None);
    assert_eq!(RuleSetName::parse_ipset("f2b-sshd", Family::V4), None);
}

#[test]
fn names_of_others_are_not_ours() {
    for name in ["INPUT", "ufw-before-input", "flow-", "flow-control", "flow-abc-def-in", "flow-k3v9qa-xh2j4k-in"] {
        assert_eq!(RuleSetName::parse(name), None, "{name}");
    }
    // One character is wrong, missing or too much.
    for name in ["abcde!-2ghijk", "abcde-2ghijk", "abcdefg-2ghijk", "abcdef-2ghij!", "abcdef-2ghij", "abcdef-2ghijkl"] {
        assert_eq!(RuleSetName::parse(&format!("flow-{name}-in")), None, "{name}");
    }
    for place in ["ti-443", "ti-01BB", "ti-01bb-0", "xi-01bb", "made-ot", "ip-", ""] {
        assert_eq!(ChainPlace::parse(place), None, "{place}");
    }
}

#[test]
fn instances_and_layouts_are_told_apart() {
    assert_ne!(instance_tag("a"), instance_tag("b"));
    // The first six characters of the SHA-256 of `a` in Base32, computed with another program.
    assert_eq!(instance_tag("a"), "zklyce");
    let (newer, _) = RuleSetName::parse("flow-abcdef-2ghijk-whatever").unwrap();
    assert_eq!((newer.layout(), newer.id()), (2, "2ghijk".to_owned()));
}
