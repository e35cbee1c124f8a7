use super::*;
use crate::backend::iptables::model::place::Made;
use crate::backend::iptables::model::set_name::RuleSetName;
use crate::backend::iptables::saved::ruleset::parse;
use crate::backend::iptables::saved::sets::{self, Entrance};
use crate::ledger::counters::Flow;

const V4_LEGACY: &str = include_str!("../../../../../../tests/fixtures/iptables/v4-legacy.txt");
const V4_NFT: &str = include_str!("../../../../../../tests/fixtures/iptables/v4-nft.txt");
const V6_LEGACY: &str = include_str!("../../../../../../tests/fixtures/iptables/v6-legacy.txt");
const V6_NFT: &str = include_str!("../../../../../../tests/fixtures/iptables/v6-nft.txt");

fn name() -> RuleSetName {
    RuleSetName::parse("flow-6fwql3-1ci2fm-in").unwrap().0
}

fn view(text: &str) -> Result<VerifiedSet, SetDamage> {
    VerifiedSet::read(&parse(text).unwrap()["mangle"], Family::V4, &name())
}

/// The capture with one line replaced or dropped.
fn changed(line: &str, to: &str) -> String {
    assert_eq!(V4_LEGACY.lines().filter(|found| *found == line).count(), 1, "{line}");
    V4_LEGACY.lines().map(|found| if found == line { to } else { found }.to_owned() + "\n").collect()
}

fn entrance(text: &str) -> Entrance {
    sets::entrance(&parse(text).unwrap()["mangle"], &name(), Direction::Ingress)
}

#[test]
fn a_capture_says_what_was_counted() {
    // As in the capture, port 443 has 5, 10, 15 and 20 GB in as many packets as the tree's number, and 4433 is
    // draining.
    for text in [V4_LEGACY, V4_NFT, V6_LEGACY] {
        let view = view(text).unwrap();
        assert_eq!(view.layout.interfaces, ["eth0", "wg0"]);
        assert_eq!(view.layout.ports.len(), 20);
        assert_eq!(view.draining, [4433].into());
        let numbers = [5_000_000_000, 1, 10_000_000_000, 2, 15_000_000_000, 3, 20_000_000_000, 4];
        assert_eq!(view.counters[&443].to_array(), numbers);
        assert_eq!(view.counters[&4433].to_array(), [101, 11, 18_446_744_073_709_551_000, 12, 103, 13, 104, 14]);
        assert!(view.counters[&8017].is_zero());
        assert_eq!(view.others.other_ports, Flow { in_bytes: 700, in_packets: 7, out_bytes: 800, out_packets: 8 });
        assert_eq!(view.others.other_ip, Flow { in_bytes: 900, in_packets: 9, out_bytes: 1000, out_packets: 10 });
    }
}

#[test]
fn fragments_are_the_kernels_concern_where_a_rule_asks_for_it() {
    assert_eq!(view(V4_NFT).unwrap().layout.fragments, Fragments::Delivered);
    for text in [V6_NFT, V6_LEGACY] {
        assert_eq!(view(text).unwrap().layout.fragments, Fragments::Reassembled);
    }
}

#[test]
fn the_marks_are_in_the_names() {
    let tables = parse(V4_NFT).unwrap();
    let marks = sets::marks(&tables["mangle"], &name());
    assert_eq!(marks.made, Made { table: true, input: true, output: true });
    assert!(marks.sealed);
    assert_eq!(sets::sets(&tables["mangle"]).into_keys().collect::<Vec<_>>(), [name()]);
    // `flow-control` belongs to somebody else.
    assert!(sets::sets(&tables["filter"]).is_empty());
}

#[test]
fn every_damage_is_seen() {
    let counter = "[1:5000000000] -A flow-6fwql3-1ci2fm-ti-0000 -p tcp -m tcp --dport 443 -j RETURN";
    let shield = "[0:0] -A flow-6fwql3-1ci2fm-ti-0000 -p tcp -m tcp --dport 4433 -g flow-6fwql3-1ci2fm-rest-in";
    let inner = "[0:0] -A flow-6fwql3-1ci2fm-ti-0000-1 -p tcp -m tcp --dport 0:8007 -g flow-6fwql3-1ci2fm-ti-0000";
    let end = "[0:0] -A flow-6fwql3-1ci2fm-uo-1f48 -g flow-6fwql3-1ci2fm-rest-out";
    let entry = "[0:0] -A flow-6fwql3-1ci2fm-in -i wg0 -g flow-6fwql3-1ci2fm-ip-in";
    let split = "[0:0] -A flow-6fwql3-1ci2fm-ip-out -p udp -g flow-6fwql3-1ci2fm-uo-0000-1";
    for (line, to, why) in [
        (counter, "", "and its siblings count different ports"),
        (counter, &counter.replace("443 ", "444 "), "and its siblings count different ports"),
        (counter, &format!("{counter}\n{counter}"), "counts a port twice"),
        (counter, &counter.replace("RETURN", "ACCEPT"), "has a rule that is not ours"),
        (counter, &counter.replace("443 ", "9000 "), "has a port outside its range"),
        (shield, "", "and its siblings count different ports"),
        (
            shield,
            &format!("[0:0] -A flow-6fwql3-1ci2fm-ti-0000 -s 10.0.0.1/32 -j DROP\n{shield}"),
            "has a rule that is not ours",
        ),
        (inner, "", "has lost or gained rules"),
        (inner, &inner.replace("8007", "8008"), "has a rule that is not ours"),
        (end, "", "does not end as expected"),
        (entry, "", "has lost or gained rules"),
        (entry, &entry.replace("-i wg0", "-s 10.0.0.1/32"), "has a rule that is not ours"),
        (split, &split.replace("udp", "tcp"), "has a rule that is not ours"),
        (":flow-6fwql3-1ci2fm-sealed - [0:0]", ":flow-6fwql3-1ci2fm-ti-0001 - [0:0]", "has lost or gained rules"),
        (":flow-6fwql3-1ci2fm-sealed - [0:0]", ":flow-6fwql3-1ci2fm-uo-0001 - [0:0]", "is not one of this set"),
        (":flow-6fwql3-1ci2fm-sealed - [0:0]", ":flow-6fwql3-1ci2fm-what - [0:0]", "is not one of this set"),
    ] {
        assert_eq!(view(&changed(line, to)).unwrap_err().why, why, "{line} -> {to}");
    }
    // The chain that does not belong there is named.
    for chain in ["flow-6fwql3-1ci2fm-uo-0001", "flow-6fwql3-1ci2fm-what"] {
        let text = changed(":flow-6fwql3-1ci2fm-sealed - [0:0]", &format!(":{chain} - [0:0]"));
        assert_eq!(view(&text).unwrap_err().part, format!("chain {chain}"));
    }
    let empty: String =
        V4_LEGACY.lines().filter(|line| !line.contains("] -A flow-")).map(|line| line.to_owned() + "\n").collect();
    assert_eq!(view(&empty).unwrap_err().why, "has lost or gained rules");
    let none = parse("*mangle\n:INPUT ACCEPT [0:0]\nCOMMIT\n").unwrap();
    assert_eq!(VerifiedSet::read(&none["mangle"], Family::V4, &name()).unwrap_err().why, "is gone");
}

#[test]
fn a_shield_behind_its_counter_shields_nothing() {
    let shield = "[0:0] -A flow-6fwql3-1ci2fm-ti-0000 -p tcp -m tcp --dport 4433 -g flow-6fwql3-1ci2fm-rest-in";
    let counter = "[11:101] -A flow-6fwql3-1ci2fm-ti-0000 -p tcp -m tcp --dport 4433 -j RETURN";
    let text = changed(shield, "@").replace(counter, &format!("{counter}\n{shield}")).replace("@\n", "");
    assert_eq!(view(&text).unwrap_err().why, "has a shield in the wrong place");
}

#[test]
fn only_what_could_decide_before_us_hides_us() {
    let jump = "[0:0] -A INPUT -j flow-6fwql3-1ci2fm-in";
    assert_eq!(entrance(V4_LEGACY), Entrance::First);
    assert_eq!(entrance(&changed(jump, "")), Entrance::Absent);
    for before in [
        "[9:9] -A INPUT -p tcp -m tcp --dport 443",
        "[9:9] -A INPUT -s 10.0.0.1/32 -p tcp",
        "[9:9] -A INPUT -j flow-aaaaaa-1bbbbb-in",
    ] {
        assert_eq!(entrance(&changed(jump, &format!("{before}\n{jump}"))), Entrance::First, "{before}");
    }
    for before in [
        "-p tcp -m tcp --dport 443 -j ACCEPT",
        "-j MARK --set-xmark 0x1/0xffffffff",
        "-j flow-control",
        "-s 10.0.0.1/32 -g other",
        "-m x \"",
    ] {
        let text = changed(jump, &format!("[9:9] -A INPUT {before}\n{jump}"));
        assert_eq!(entrance(&text), Entrance::Behind(before.to_owned()));
    }
    // A jump that is limited to some packets is not ours.
    assert_eq!(entrance(&changed(jump, "[0:0] -A INPUT -i lo -j flow-6fwql3-1ci2fm-in")), Entrance::Absent);
}

#[test]
fn what_is_left_of_a_damaged_set_can_be_read() {
    let text = changed("[1:5000000000] -A flow-6fwql3-1ci2fm-ti-0000 -p tcp -m tcp --dport 443 -j RETURN", "");
    let tables = parse(&text).unwrap();
    let remains = sets::remains(&tables["mangle"], &name());
    assert_eq!(remains.len(), 19);
    assert_eq!(remains[&4433].tcp_in_bytes, 101);
}

#[test]
fn packets_that_would_be_counted_twice_are_noticed() {
    let jump = "[0:0] -A INPUT -j flow-6fwql3-1ci2fm-in";
    let damage = view(&changed(jump, &format!("{jump}\n{jump}"))).unwrap_err();
    let why = "leads every packet to the counters more than once";
    assert_eq!((damage.part.as_str(), damage.why, damage.doubt), ("chain INPUT", why, CounterDoubt::All));
}

#[test]
fn a_mark_tells_of_zeroed_rules_and_of_another_table() {
    let damage = |place: ChainPlace, rules: &str, handle: Option<u64>| {
        let chain = name().chain(&place);
        let rules = rules.replace('@', &format!("-A {chain}"));
        let text = format!("*mangle\n:INPUT ACCEPT [0:0]\n:{chain} - [0:0]\n{rules}COMMIT\n");
        let mut table = parse(&text).unwrap().remove("mangle").unwrap();
        table.handle = handle;
        refuse_doubtful(&table, &name()).err().map(|damage| damage.why)
    };
    assert_eq!(damage(ChainPlace::Tripwire, "[3:120] @ -p tcp\n", None), None);
    for zeroed in ["", "[0:0] @ -p tcp\n", "[3:0] @ -p tcp\n", "[0:3] @ -p tcp\n"] {
        assert_eq!(damage(ChainPlace::Tripwire, zeroed, None), Some("was zeroed or emptied"), "{zeroed}");
    }
    assert_eq!(damage(ChainPlace::table(7), "", Some(7)), None);
    assert_eq!(damage(ChainPlace::table(7), "", None), None, "the variant has no handles");
    assert_eq!(damage(ChainPlace::table(7), "", Some(8)), Some("was restored into a new table"));
}
