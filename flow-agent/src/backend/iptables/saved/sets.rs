//! PURE: finds our sets in a saved table, intact or not: their chains, how packets enter them, and what remains of
//! their counters.

use std::collections::BTreeMap;

use super::members::Members;
use super::ruleset::{SavedRule, Table};
use crate::backend::iptables::model::flow::{Direction, FlowClass, Protocol, hook};
use crate::backend::iptables::model::ipset::{Ipset, SENTINEL_PORT};
use crate::backend::iptables::model::place::{ChainPlace, Made};
use crate::backend::iptables::model::rule::{IptablesRule, Match, RuleTarget};
use crate::backend::iptables::model::script;
use crate::backend::iptables::model::set_name::RuleSetName;
use crate::ledger::counters::{Counters, Flow, Others};

/// Whether packets of a built-in chain enter the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// Before any rule that could give a verdict.
    First,
    /// After a rule of somebody else that could give a verdict.
    Behind(String),
    Absent,
}

/// The information in the mark chains of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    pub made: Made,
    /// Whether a bucket of the set has been sealed.
    pub sealed: bool,
    /// The mark of the table in which the set was made, if there is one.
    pub table: Option<ChainPlace>,
    /// Whether the counters of its tripwire rule were zeroed or the rule was removed. Sets made by older releases have
    /// none.
    pub was_zeroed: bool,
}

/// All sets in a table, with the names of their chains. A set may have nothing left but ipsets.
pub fn sets<'a>(table: &'a Table<'_>) -> BTreeMap<RuleSetName, Vec<&'a str>> {
    let mut sets: BTreeMap<RuleSetName, Vec<&str>> =
        table.ipsets.keys().map(|(name, _)| (name.clone(), Vec::new())).collect();
    for chain in table.chains.keys() {
        if let Some((name, _)) = RuleSetName::parse(chain) {
            sets.entry(name).or_default().push(chain);
        }
    }
    sets
}

/// The marks of a set.
pub fn marks(table: &Table<'_>, name: &RuleSetName) -> Marks {
    let sealed = ipsets(table, name).any(|(ipset, _)| ipset == Ipset::Sealed);
    let mut marks = Marks { sealed, ..Marks::default() };
    for (place, rules) in places(table, name) {
        match place {
            ChainPlace::Made(made) => marks.made = made,
            ChainPlace::Sealed => marks.sealed = true,
            ChainPlace::Tripwire => marks.was_zeroed = !rules.iter().any(|rule| rule.packets > 0 && rule.bytes > 0),
            ChainPlace::Table(_) => marks.table = Some(place),
            ChainPlace::Entry(_)
            | ChainPlace::Fragments
            | ChainPlace::LateFragments
            | ChainPlace::Split(_)
            | ChainPlace::Node(..)
            | ChainPlace::Rest(_)
            | ChainPlace::Cut(_)
            | ChainPlace::Drop
            | ChainPlace::Reassembly => {}
        }
    }
    marks
}

/// How packets of `direction` enter a set. Rules without a target, and jumps into our sets, give no verdict.
pub fn entrance(table: &Table<'_>, name: &RuleSetName, direction: Direction) -> Entrance {
    let mut before = None;
    let jump = script::jump(name, direction);
    for rule in rules(table, hook(direction)) {
        match read(rule) {
            Some(rule) if rule == jump => return before.map_or(Entrance::First, Entrance::Behind),
            Some(IptablesRule { target: RuleTarget::Next, .. }) => {}
            Some(IptablesRule { target: RuleTarget::Jump(chain), .. }) if RuleSetName::parse(&chain).is_some() => {}
            Some(_) => before = before.or_else(|| Some(rule.text.to_owned())),
            None if has_target(rule) => before = before.or_else(|| Some(rule.text.to_owned())),
            None => {}
        }
    }
    Entrance::Absent
}

/// The number of jumps of `direction` into a set.
pub fn jumps(table: &Table<'_>, name: &RuleSetName, direction: Direction) -> usize {
    let jump = script::jump(name, direction);
    rules(table, hook(direction)).iter().filter(|rule| read(rule).as_ref() == Some(&jump)).count()
}

/// What remains of a set's counters, intact or not. Of counters in rules, only ports with all four are included.
pub fn remains(table: &Table<'_>, name: &RuleSetName) -> BTreeMap<u16, Counters> {
    let mut seen: BTreeMap<u16, BTreeMap<FlowClass, (u64, u64)>> = BTreeMap::new();
    let mut is_by_ipsets = true;
    for (place, rules) in places(table, name) {
        let ChainPlace::Node(tree, _) = place else { continue };
        is_by_ipsets = false;
        for saved in rules {
            if let Some(IptablesRule { matching: Match::Port(_, port), target: RuleTarget::Return }) = read(saved) {
                seen.entry(port).or_default().insert(tree, (saved.bytes, saved.packets));
            }
        }
    }
    seen.retain(|_, trees| trees.len() == FlowClass::ALL.len());
    for (tree, members) in in_ipsets(table, name).filter(|_| is_by_ipsets) {
        for (port, numbers) in members.iter().filter(|(port, _)| **port != SENTINEL_PORT) {
            seen.entry(*port).or_default().insert(tree, *numbers);
        }
    }
    seen.into_iter().map(|(port, trees)| (port, eight(&trees))).collect()
}

/// What was refused, by port, of the ports that are or were cut. Only ports that are counted in both directions are
/// included.
pub fn blocked(table: &Table<'_>, name: &RuleSetName) -> BTreeMap<u16, Flow> {
    let mut seen: BTreeMap<u16, [Option<(u64, u64)>; 2]> = BTreeMap::new();
    let mut note = |port: u16, direction: Direction, (bytes, packets): (u64, u64)| {
        let sum = seen.entry(port).or_default()[direction as usize].get_or_insert((0, 0));
        *sum = (sum.0.saturating_add(bytes), sum.1.saturating_add(packets));
    };
    for (ipset, members) in ipsets(table, name) {
        let Ipset::Blocked(direction) = ipset else { continue };
        members.iter().for_each(|(port, numbers)| note(*port, direction, *numbers));
    }
    for (place, rules) in places(table, name) {
        let ChainPlace::Cut(direction) = place else { continue };
        for saved in rules {
            if let Some(IptablesRule { matching: Match::Port(_, port), target: RuleTarget::Next }) = read(saved) {
                note(port, direction, (saved.bytes, saved.packets));
            }
        }
    }
    let flow = |(port, ways): (u16, [Option<(u64, u64)>; 2])| {
        let [(in_bytes, in_packets), (out_bytes, out_packets)] = [ways[0]?, ways[1]?];
        Some((port, Flow { in_bytes, in_packets, out_bytes, out_packets }))
    };
    seen.into_iter().filter_map(flow).collect()
}

/// The ipsets of a set.
pub fn ipsets<'a>(table: &'a Table<'_>, name: &RuleSetName) -> impl Iterator<Item = (Ipset, &'a Members)> {
    let ipsets = table.ipsets.iter().filter(move |((set, _), _)| set == name);
    ipsets.map(|((_, ipset), members)| (*ipset, members))
}

/// The set's counters in ipsets.
fn in_ipsets<'a>(table: &'a Table<'_>, name: &RuleSetName) -> impl Iterator<Item = (FlowClass, &'a Members)> {
    ipsets(table, name).filter_map(|(ipset, members)| match ipset {
        Ipset::Counters(tree) => Some((tree, members)),
        Ipset::Still | Ipset::Cut | Ipset::Blocked(_) | Ipset::Sealed => None,
    })
}

/// What remains of the set's counters that belong to no port.
pub fn remaining_others(table: &Table<'_>, name: &RuleSetName) -> Others {
    let rules = |place: ChainPlace| rules(table, &name.chain(&place));
    // The last rule, after those for TCP and UDP.
    let all_other = |place: ChainPlace| rules(place).last().filter(|rule| rule.text.is_empty());
    let flow = |incoming: Option<&SavedRule<'_>>, outgoing: Option<&SavedRule<'_>>| Flow {
        in_bytes: incoming.map_or(0, |rule| rule.bytes),
        in_packets: incoming.map_or(0, |rule| rule.packets),
        out_bytes: outgoing.map_or(0, |rule| rule.bytes),
        out_packets: outgoing.map_or(0, |rule| rule.packets),
    };
    let mut other_ports =
        flow(rules(ChainPlace::Rest(Direction::Ingress)).first(), rules(ChainPlace::Rest(Direction::Egress)).first());
    for (tree, members) in in_ipsets(table, name) {
        let (bytes, packets) = members.get(&SENTINEL_PORT).copied().unwrap_or_default();
        let (all_bytes, all_packets) = match tree.direction {
            Direction::Ingress => (&mut other_ports.in_bytes, &mut other_ports.in_packets),
            Direction::Egress => (&mut other_ports.out_bytes, &mut other_ports.out_packets),
        };
        *all_bytes = all_bytes.saturating_add(bytes);
        *all_packets = all_packets.saturating_add(packets);
    }
    Others {
        other_ports,
        other_ip: flow(
            all_other(ChainPlace::Split(Direction::Ingress)),
            all_other(ChainPlace::Split(Direction::Egress)),
        ),
        fragment_unmatched: flow(rules(ChainPlace::LateFragments).first(), None),
        ..Others::default()
    }
}

/// The set's chains that this layout knows, with their rules.
pub(super) fn places<'t, 'a>(
    table: &'t Table<'a>,
    name: &RuleSetName,
) -> impl Iterator<Item = (ChainPlace, &'t [SavedRule<'a>])> {
    table.chains.iter().filter_map(move |(chain, rules)| {
        let (set, place) = RuleSetName::parse(chain)?;
        (set == *name).then_some(())?;
        Some((ChainPlace::parse(place)?, rules.as_slice()))
    })
}

pub(super) fn rules<'t, 'a>(table: &'t Table<'a>, chain: &str) -> &'t [SavedRule<'a>] {
    table.chains.get(chain).map_or(&[], Vec::as_slice)
}

/// Parses a rule if it is one of ours. None of our rules contains a quote.
pub(super) fn read(saved: &SavedRule<'_>) -> Option<IptablesRule> {
    IptablesRule::read(&saved.text.split_ascii_whitespace().collect::<Vec<_>>())
}

/// Whether somebody else's rule could give a verdict. A rule that cannot be parsed counts as one that could.
fn has_target(saved: &SavedRule<'_>) -> bool {
    saved.words().is_none_or(|words| words.iter().any(|word| word == "-j" || word == "-g"))
}

/// Combines the (bytes, packets) of the four trees. A missing tree counts as zero.
pub fn eight(trees: &BTreeMap<FlowClass, (u64, u64)>) -> Counters {
    let of = |protocol, direction| trees.get(&FlowClass { protocol, direction }).copied().unwrap_or_default();
    let (tcp_in, tcp_out) = (of(Protocol::Tcp, Direction::Ingress), of(Protocol::Tcp, Direction::Egress));
    let (udp_in, udp_out) = (of(Protocol::Udp, Direction::Ingress), of(Protocol::Udp, Direction::Egress));
    Counters::from_array([tcp_in.0, tcp_in.1, tcp_out.0, tcp_out.1, udp_in.0, udp_in.1, udp_out.0, udp_out.1])
}
