use super::*;
use crate::backend::iptables::saved::members;
use crate::backend::iptables::saved::ruleset::parse;
use crate::ledger::counters::Flow;

const RULES: &str = include_str!("../../../../../../tests/fixtures/iptables/v4-nft-ipset.txt");
const IPSETS: &str = include_str!("../../../../../../tests/fixtures/iptables/v4-ipset.txt");

const TCP_OUT: &str = "flow-4pujjs-1m3d4i-to4";
const STILL: &str = "flow-4pujjs-1m3d4i-still4";

fn name() -> RuleSetName {
    RuleSetName::parse("flow-4pujjs-1m3d4i-in").unwrap().0
}

/// Reads the set from `rules` with these `ipsets`.
fn view(rules: &str, ipsets: &str) -> Result<VerifiedSet, SetDamage> {
    let mut table = parse(rules).unwrap().remove("mangle").unwrap();
    for name in ipsets.lines().filter_map(|line| line.strip_prefix("create ")?.split(' ').next()) {
        let lines = ipsets.lines().filter(|line| line.split(' ').nth(1) == Some(name));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        let key = RuleSetName::parse_ipset(name, Family::V4).unwrap();
        table.ipsets.insert(key, members::parse(&text, name).unwrap());
    }
    VerifiedSet::read(&table, Family::V4, &name())
}

/// `text` without the lines with this prefix.
fn without(text: &str, begin: &str) -> String {
    let kept: String = text.lines().filter(|line| !line.starts_with(begin)).map(|line| format!("{line}\n")).collect();
    assert!(kept.len() < text.len(), "{begin}");
    kept
}

/// The rules without those that keep packets away from frozen counters.
fn without_shields() -> String {
    RULES.lines().filter(|line| !line.contains(STILL)).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_capture_says_what_was_counted() {
    let view = view(RULES, IPSETS).unwrap();
    assert_eq!(view.layout.interfaces, ["eth0", "wg0"]);
    assert_eq!(view.layout.dispatch, Dispatch::Ipsets { shielded: true });
    assert_eq!(view.layout.ports, [443, 4433, 8000, 8001, 8002].into());
    assert_eq!((view.draining, view.is_settled), ([4433].into(), true));
    let numbers = [5_000_000_000, 1, 10_000_000_000, 2, 15_000_000_000, 3, 20_000_000_000, 4];
    assert_eq!(view.counters[&443].to_array(), numbers);
    assert_eq!(view.counters[&4433].to_array(), [101, 11, 18_446_744_073_709_551_000, 12, 103, 13, 104, 14]);
    assert!(view.counters[&8000].is_zero());
    // Port 0 is a sentinel in every ipset. What it counts belongs to no watched port.
    let nobody = view.others.other_ports;
    assert_eq!((nobody.in_bytes, nobody.out_bytes, nobody.out_packets), (0, 77, 1));
}

#[test]
fn a_change_that_was_left_unfinished_is_seen() {
    let unsettled = |rules: &str, ipsets: &str| {
        let view = view(rules, ipsets).unwrap();
        assert!(!view.is_settled);
        view
    };
    // A port is being added or removed. Those of its counters that exist are read.
    let begun = unsettled(RULES, &without(IPSETS, &format!("add {TCP_OUT} 443 ")));
    assert_eq!(begun.counters[&443].to_array(), [5_000_000_000, 1, 0, 0, 15_000_000_000, 3, 20_000_000_000, 4]);
    // The rules exist before a port is frozen, and still exist when it no longer is.
    let begun = unsettled(RULES, &without(IPSETS, &format!("add {STILL} 4433")));
    assert!(begun.draining.is_empty());
    // Its counters are removed before it is removed from the frozen ports.
    let mut gone = IPSETS.to_owned();
    for ipset in ["ti4", "to4", "ui4", "uo4"] {
        gone = without(&gone, &format!("add flow-4pujjs-1m3d4i-{ipset} 4433 "));
    }
    assert!(unsettled(RULES, &gone).draining.is_empty());
    let settled = view(&without_shields(), &without(IPSETS, &format!("add {STILL} 4433"))).unwrap();
    assert!(settled.is_settled);
    assert_eq!(settled.layout.dispatch, Dispatch::Ipsets { shielded: false });
}

#[test]
fn every_damage_is_seen() {
    let why = |rules: &str, ipsets: &str| view(rules, ipsets).unwrap_err().to_string();
    let no_ipset = without(&without(IPSETS, &format!("create {TCP_OUT} ")), &format!("add {TCP_OUT} "));
    assert_eq!(why(RULES, &no_ipset), format!("ipset {TCP_OUT} is gone"));
    let emptied = without(IPSETS, &format!("add {TCP_OUT} "));
    assert_eq!(why(RULES, &emptied), format!("ipset {TCP_OUT} was emptied"));
    assert_eq!(why(RULES, ""), "ipset flow-4pujjs-1m3d4i-ti4 is gone");
    assert_eq!(why(&without_shields(), IPSETS), format!("ipset {STILL} has ports, but no rule uses it"));
    let other = RULES.replace("ti4 dst -j RETURN", "ui4 dst -j RETURN");
    assert_eq!(why(&other, IPSETS), "chain flow-4pujjs-1m3d4i-ip-in has a rule that is not ours");
    let accepts = RULES.replace("ti4 dst -j RETURN", "ti4 dst -j ACCEPT");
    assert_eq!(why(&accepts, IPSETS), "chain flow-4pujjs-1m3d4i-ip-in has a rule that is not ours");
    let fewer = without(RULES, "[0:0] -A flow-4pujjs-1m3d4i-ip-out -p udp -g");
    assert_eq!(why(&fewer, IPSETS), "chain flow-4pujjs-1m3d4i-ip-out has lost or gained rules");
}

/// A table without chains of ours, with these ipsets of our set.
fn only_ipsets<const N: usize>(ipsets: [(Ipset, Members); N]) -> Table<'static> {
    let mut table = parse("*mangle\n:INPUT ACCEPT [0:0]\nCOMMIT\n").unwrap().remove("mangle").unwrap();
    table.ipsets = ipsets.into_iter().map(|(ipset, members)| ((name(), ipset), members)).collect();
    table
}

#[test]
fn a_set_is_sealed_by_the_ipset_of_that_name_alone() {
    assert!(!sets::marks(&only_ipsets([(Ipset::Still, Members::new())]), &name()).sealed);
    assert!(sets::marks(&only_ipsets([(Ipset::Sealed, Members::new())]), &name()).sealed);
}

#[test]
fn what_was_refused_is_read_of_ports_that_are_counted_in_both_directions() {
    let incoming = (Ipset::Blocked(Direction::Ingress), [(80, (9, 1)), (443, (500, 5))].into());
    let outgoing = (Ipset::Blocked(Direction::Egress), [(443, (70, 7))].into());
    let refused = Flow { in_bytes: 500, in_packets: 5, out_bytes: 70, out_packets: 7 };
    assert_eq!(sets::blocked(&only_ipsets([incoming, outgoing]), &name()), [(443, refused)].into());
}
