//! PURE: a set of counters in a saved table, after verification that it is as we made it.

use std::collections::{BTreeMap, BTreeSet};

use super::damage::{CounterDoubt, SetDamage};
use super::members::Members;
use super::ruleset::{SavedRule, Table};
use super::sets::{self, eight, places, read};
use crate::backend::iptables::model::family::Family;
use crate::backend::iptables::model::flow::{Direction, FlowClass, hook};
use crate::backend::iptables::model::ipset::{Ipset, SENTINEL_PORT};
use crate::backend::iptables::model::layout::{Dispatch, Fragments, Layout};
use crate::backend::iptables::model::place::ChainPlace;
use crate::backend::iptables::model::rule::{IptablesRule, Match, RuleTarget};
use crate::backend::iptables::model::set_name::RuleSetName;
use crate::backend::iptables::model::shape::{Node, Shape};
use crate::ledger::counters::{Counters, Flow, Others};

/// One verified set of counters in one family: every chain exists, and every rule is as we made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSet {
    /// Its ports are all that have counters, including draining ones.
    pub layout: Layout,
    /// The ports whose counters are frozen.
    pub draining: BTreeSet<u16>,
    /// Whether no change was left unfinished by an agent that died.
    pub is_settled: bool,
    pub counters: BTreeMap<u16, Counters>,
    pub others: Others,
    /// The ports that are cut.
    pub cut: BTreeSet<u16>,
    /// What was refused, by port, of the ports that are or were cut.
    pub blocked: BTreeMap<u16, Flow>,
}

impl VerifiedSet {
    /// Reads the set `name` and compares every chain with what we would have made.
    ///
    /// # Errors
    /// When a chain is missing, or a rule is missing, foreign, or in the wrong place.
    pub fn read(table: &Table<'_>, family: Family, name: &RuleSetName) -> Result<Self, SetDamage> {
        refuse_doubtful(table, name)?;
        let places: BTreeMap<ChainPlace, &[SavedRule<'_>]> = places(table, name).collect();
        let damage =
            |place: &ChainPlace, why| SetDamage { part: chain(name, place), why, doubt: CounterDoubt::Nothing };
        let entry = ChainPlace::Entry(Direction::Ingress);
        let interfaces = interfaces(places.get(&entry).ok_or_else(|| damage(&entry, "is gone"))?)
            .ok_or_else(|| damage(&entry, "has a rule that is not ours"))?;
        let fragments = match (places.get(&ChainPlace::Reassembly), places.get(&ChainPlace::Fragments)) {
            (Some(_), _) => Fragments::Reassembled,
            (None, Some(_)) => Fragments::Apart,
            (None, None) => Fragments::Delivered,
        };
        let can_cut = places.contains_key(&ChainPlace::Cut(Direction::Ingress));
        let dispatch = dispatch(&places, name, can_cut)?;
        let ports = BTreeSet::new();
        let empty = Layout { name: name.clone(), family, interfaces, dispatch, ports, fragments, can_cut };

        let mut leaves = Leaves::default();
        let mut expected = 0;
        for (place, rules) in empty.chains() {
            let saved = places.get(&place).ok_or_else(|| damage(&place, "is gone"))?;
            expected += 1;
            match (&place, &empty.dispatch) {
                (ChainPlace::Node(tree, node @ Node { level: 0, .. }), Dispatch::FlowClass(shape)) => {
                    leaves.read(&empty, shape, *tree, *node, saved).map_err(|why| damage(&place, why))?;
                }
                (ChainPlace::Cut(direction), Dispatch::FlowClass(_)) => {
                    counts_what_is_refused(&empty, *direction, saved).map_err(|why| damage(&place, why))?;
                }
                _ if rules.len() != saved.len() => return Err(damage(&place, "has lost or gained rules")),
                _ => {
                    let same = rules.iter().zip(*saved).all(|(rule, saved)| read(saved).as_ref() == Some(rule));
                    same.then_some(()).ok_or_else(|| damage(&place, "has a rule that is not ours"))?;
                }
            }
        }
        let marks = places.keys().filter(|place| place.is_mark()).count();
        if let Some(odd) = sets::sets(table).get(name).filter(|chains| chains.len() != expected + marks) {
            let chain = odd.iter().find(|chain| !is_of(&empty, chain)).unwrap_or(&odd[0]);
            let part = format!("chain {chain}");
            return Err(SetDamage { part, why: "is not one of this set", doubt: CounterDoubt::Nothing });
        }
        let Held { counters, draining, cut, is_settled } = match empty.dispatch {
            Dispatch::FlowClass(_) => leaves.finish().map_err(|why| damage(&FIRST_LEAF, why))?,
            Dispatch::Ipsets { shielded } => members(table, &empty, shielded)?,
        };
        let layout = Layout { ports: counters.keys().copied().collect(), ..empty };
        let (others, blocked) = (sets::remaining_others(table, name), sets::blocked(table, name));
        Ok(Self { layout, draining, is_settled, counters, others, cut, blocked })
    }
}

/// Fails if somebody zeroed or restored rules, or if packets enter the counters twice.
fn refuse_doubtful(table: &Table<'_>, name: &RuleSetName) -> Result<(), SetDamage> {
    let twice = |direction: &&Direction| sets::jumps(table, name, **direction) > 1;
    if let Some(direction) = Direction::BOTH.iter().find(twice) {
        let part = format!("chain {}", hook(*direction));
        return Err(SetDamage {
            part,
            why: "leads every packet to the counters more than once",
            doubt: CounterDoubt::All,
        });
    }
    let marks = sets::marks(table, name);
    if let (Some(mark), Some(handle)) = (&marks.table, table.handle)
        && *mark != ChainPlace::table(handle)
    {
        return Err(SetDamage {
            part: chain(name, mark),
            why: "was restored into a new table",
            doubt: CounterDoubt::Rules,
        });
    }
    if marks.was_zeroed {
        return Err(SetDamage {
            part: chain(name, &ChainPlace::Tripwire),
            why: "was zeroed or emptied",
            doubt: CounterDoubt::Rules,
        });
    }
    Ok(())
}

const FIRST_LEAF: ChainPlace = ChainPlace::Node(FlowClass::ALL[0], Node { bound: 0, level: 0 });

fn chain(name: &RuleSetName, place: &ChainPlace) -> String {
    format!("chain {}", name.chain(place))
}

fn ipset(layout: &Layout, ipset: Ipset) -> String {
    format!("ipset {}", layout.ipset(ipset))
}

/// How the chains find a port's counter, if they are complete.
fn dispatch(
    places: &BTreeMap<ChainPlace, &[SavedRule<'_>]>,
    name: &RuleSetName,
    can_cut: bool,
) -> Result<Dispatch, SetDamage> {
    if !places.keys().any(|place| matches!(place, ChainPlace::Node(..))) {
        // Frozen ports need additional rules before the ipsets.
        let plain = SPLIT_RULES + if can_cut { CUT_RULES } else { 0 };
        let shielded = places.get(&ChainPlace::Split(Direction::Ingress)).is_some_and(|rules| rules.len() > plain);
        return Ok(Dispatch::Ipsets { shielded });
    }
    let bounds = places.keys().filter_map(|place| match place {
        ChainPlace::Node(tree, Node { bound, level: 0 }) if *tree == FlowClass::ALL[0] => Some(*bound),
        _ => None,
    });
    let shape = Shape::from_bounds(&bounds.collect());
    let part = || chain(name, &FIRST_LEAF);
    shape.map(Dispatch::FlowClass).ok_or_else(|| SetDamage {
        part: part(),
        why: "is gone",
        doubt: CounterDoubt::Nothing,
    })
}

/// The rules of a split chain: two ipsets, two that lead to the chain for other ports, and one for all other IP.
const SPLIT_RULES: usize = 5;
/// Two more rules where ports can be cut, one for each protocol.
const CUT_RULES: usize = 2;

/// The counters of a set, and the state of its ports.
struct Held {
    counters: BTreeMap<u16, Counters>,
    draining: BTreeSet<u16>,
    cut: BTreeSet<u16>,
    is_settled: bool,
}

/// Checks that a chain counts refused packets by port and drops them.
fn counts_what_is_refused(layout: &Layout, direction: Direction, saved: &[SavedRule<'_>]) -> Result<(), &'static str> {
    let (last, counting) = saved.split_last().ok_or("is empty")?;
    let is_ours = |saved| match read(saved) {
        Some(IptablesRule { matching: Match::Port(tree, _), target: RuleTarget::Next }) => tree.direction == direction,
        _ => false,
    };
    if read(last) != Some(layout.drop_rest()) || !counting.iter().all(is_ours) {
        return Err("has a rule that is not ours");
    }
    Ok(())
}

/// Reads the ipsets of a set.
fn members(table: &Table<'_>, layout: &Layout, shielded: bool) -> Result<Held, SetDamage> {
    let members: BTreeMap<Ipset, &Members> = sets::ipsets(table, &layout.name).collect();
    let damage = |part, why| SetDamage { part: ipset(layout, part), why, doubt: CounterDoubt::Nothing };
    let needed = Ipset::all().chain(Ipset::of_cut().filter(|_| layout.can_cut));
    if let Some(gone) = { needed }.find(|ipset| !members.contains_key(ipset)) {
        return Err(damage(gone, "is gone"));
    }
    let still: BTreeSet<u16> = members[&Ipset::Still].keys().copied().collect();
    if !still.is_empty() && !shielded {
        return Err(damage(Ipset::Still, "has ports, but no rule uses it"));
    }
    let trees = FlowClass::ALL.map(|tree| (tree, members[&Ipset::Counters(tree)]));
    if let Some((tree, _)) = trees.iter().find(|(_, members)| !members.contains_key(&SENTINEL_PORT)) {
        return Err(damage(Ipset::Counters(*tree), "was emptied"));
    }
    let counters = sets::remains(table, &layout.name);
    let ports = || [&SENTINEL_PORT].into_iter().chain(counters.keys());
    let same = trees.iter().all(|(_, members)| members.keys().eq(ports()));
    let is_settled = same && still.iter().all(|port| counters.contains_key(port)) && shielded != still.is_empty();
    let draining = still.into_iter().filter(|port| counters.contains_key(port)).collect();
    // If ports cannot be cut, no rule uses this ipset.
    let cut = members.get(&Ipset::Cut).filter(|_| layout.can_cut);
    let cut = cut.map(|cut| cut.keys().copied().collect()).unwrap_or_default();
    Ok(Held { counters, draining, cut, is_settled })
}

/// The contents of the leaf chains of the four trees.
#[derive(Default)]
struct Leaves {
    counters: BTreeMap<FlowClass, BTreeMap<u16, (u64, u64)>>,
    shields: BTreeMap<FlowClass, BTreeSet<u16>>,
    cut: BTreeMap<FlowClass, BTreeSet<u16>>,
}

impl Leaves {
    fn read(
        &mut self,
        layout: &Layout,
        shape: &Shape,
        tree: FlowClass,
        leaf: Node,
        saved: &[SavedRule<'_>],
    ) -> Result<(), &'static str> {
        let (last, ports) = saved.split_last().ok_or("is empty")?;
        if read(last) != Some(layout.rest(tree)) {
            return Err("does not end as expected");
        }
        for saved in ports {
            let rule = read(saved).ok_or("has a rule that is not ours")?;
            let Match::Port(_, port) = rule.matching else { return Err("has a rule that is not ours") };
            if shape.leaf_of(port) != leaf {
                return Err("has a port outside its range");
            }
            let counters = self.counters.entry(tree).or_default();
            if rule == layout.counter(tree, port) {
                if counters.insert(port, (saved.bytes, saved.packets)).is_some() {
                    return Err("counts a port twice");
                }
            } else if layout.can_cut && rule == layout.refuse(tree, port) {
                if counters.contains_key(&port) || !self.cut.entry(tree).or_default().insert(port) {
                    return Err("refuses a port after its counter, or twice");
                }
            } else if rule != layout.shield(tree, port) {
                return Err("has a rule that is not ours");
            } else if counters.contains_key(&port) || !self.shields.entry(tree).or_default().insert(port) {
                return Err("has a shield in the wrong place");
            }
        }
        Ok(())
    }

    /// Checks that the four trees have the same ports.
    fn finish(mut self) -> Result<Held, &'static str> {
        let trees = FlowClass::ALL.map(|tree| self.counters.remove(&tree).unwrap_or_default());
        let shields = FlowClass::ALL.map(|tree| self.shields.remove(&tree).unwrap_or_default());
        let [draining, others @ ..] = shields;
        let [cut, other_cuts @ ..] = FlowClass::ALL.map(|tree| self.cut.remove(&tree).unwrap_or_default());
        if other_cuts.iter().any(|other| *other != cut) {
            return Err("and its siblings refuse different ports");
        }
        if trees.iter().any(|tree| !tree.keys().eq(trees[0].keys()))
            || others.iter().any(|shields| *shields != draining)
        {
            return Err("and its siblings count different ports");
        }
        if draining.iter().any(|port| !trees[0].contains_key(port)) {
            return Err("or a sibling shields a port that it does not count");
        }
        let counters = trees[0].keys().map(|port| {
            let numbers = FlowClass::ALL.into_iter().zip(trees.iter().map(|tree| tree[port])).collect();
            (*port, eight(&numbers))
        });
        Ok(Held { counters: counters.collect(), draining, cut, is_settled: true })
    }
}

fn is_of(layout: &Layout, chain: &str) -> bool {
    let place = RuleSetName::parse(chain).and_then(|(_, place)| ChainPlace::parse(place));
    place.is_some_and(|place| place.is_mark() || layout.chains().iter().any(|(known, _)| *known == place))
}

fn interfaces(entry: &[SavedRule<'_>]) -> Option<Vec<String>> {
    let name = |saved| match read(saved)?.matching {
        Match::Interface(_, name) => Some(name),
        Match::All
        | Match::Protocol(_)
        | Match::Port(..)
        | Match::UpTo(..)
        | Match::Member(..)
        | Match::Fragment
        | Match::FirstFragment
        | Match::Socket => None,
    };
    entry.iter().map(name).collect()
}

#[cfg(test)]
mod cut_tests;
#[cfg(test)]
mod ipset_tests;
#[cfg(test)]
mod tests;
