//! PURE: our table as `nft -j -t list table` lists it (libnftables-json(5)), and what is not as we made it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::model::layout::NftLayout;
use super::model::place::{NftChain, NftSet, base_chain};
use super::model::transaction::PRIORITY;
use crate::backend::iptables::model::flow::{Direction, FlowClass};
use crate::backend::iptables::model::layout::Fragments;
use crate::backend::iptables::model::set_name::RuleSetName;
use crate::backend::iptables::saved::damage::{CounterDoubt, SetDamage};
use crate::backend::netlink::TableFacts;

/// The structure of a table.
#[derive(Debug, Default)]
pub struct ListedTable {
    sets: BTreeMap<String, ListedSet>,
    chains: BTreeMap<String, ListedChain>,
}

/// A named set.
#[derive(Debug, Deserialize)]
struct ListedSet {
    name: String,
    #[serde(default)]
    size: Option<u32>,
}

/// A chain with its rules.
#[derive(Debug, Deserialize)]
struct ListedChain {
    name: String,
    #[serde(default)]
    hook: Option<String>,
    #[serde(default)]
    prio: Option<i64>,
    #[serde(default)]
    policy: Option<String>,
    #[serde(skip)]
    rules: Vec<Value>,
}

#[derive(Deserialize)]
struct ListedRule {
    chain: String,
    expr: Value,
}

/// How packets enter a set of counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NftEntrance {
    /// All packets of the interfaces, before any other rule of our table.
    Whole,
    /// The chains are there, but their rules are others.
    Changed(&'static str),
    /// A chain that packets enter is missing, or is at another hook.
    Absent,
}

impl ListedTable {
    /// Parses the list of one table.
    ///
    /// # Errors
    /// When the text is not such a list.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct List {
            nftables: Vec<Object>,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Object {
            set: Option<ListedSet>,
            chain: Option<ListedChain>,
            rule: Option<ListedRule>,
        }
        let mut table = Self::default();
        for object in serde_json::from_str::<List>(json)?.nftables {
            table.sets.extend(object.set.map(|set| (set.name.clone(), set)));
            table.chains.extend(object.chain.map(|chain| (chain.name.clone(), chain)));
            if let Some(rule) = object.rule
                && let Some(chain) = table.chains.get_mut(&rule.chain)
            {
                chain.rules.push(rule.expr);
            }
        }
        Ok(table)
    }

    /// The sets of counters of which anything is there.
    pub fn names(&self) -> BTreeSet<RuleSetName> {
        let names = self.sets.keys().chain(self.chains.keys());
        names.filter_map(|name| RuleSetName::parse(name)).map(|(name, _)| name).collect()
    }

    /// Everything of one set of counters: the names of its chains, and of its sets.
    pub fn parts(&self, name: &RuleSetName) -> (Vec<String>, Vec<String>) {
        let is_part = |part: &&String| RuleSetName::parse(part).is_some_and(|(of, _)| of == *name);
        (self.chains.keys().filter(is_part).cloned().collect(), self.sets.keys().filter(is_part).cloned().collect())
    }

    /// Whether somebody else has chains in the table.
    pub fn has_foreign_chains(&self) -> bool {
        let is_base = |chain: &str| Direction::BOTH.iter().any(|direction| base_chain(*direction) == chain);
        self.chains.keys().any(|chain| !is_base(chain) && RuleSetName::parse(chain).is_none())
    }

    fn roles(&self, name: &RuleSetName) -> impl Iterator<Item = NftChain> {
        let words = self.chains.keys().filter_map(|chain| RuleSetName::parse(chain)).filter(move |(of, _)| of == name);
        words.filter_map(|(_, word)| NftChain::parse(word))
    }

    /// Whether a bucket of this set of counters was sealed.
    pub fn is_sealed(&self, name: &RuleSetName) -> bool {
        self.roles(name).any(|chain| chain == NftChain::Sealed)
    }

    /// The shape of a set of counters as far as it is listed: without interfaces and ports.
    pub fn shape(&self, name: &RuleSetName) -> NftLayout {
        let roles: BTreeSet<NftChain> = self.roles(name).collect();
        let counters = FlowClass::ALL.map(|class| format!("{name}{}", NftSet::Counters(class)));
        let sizes = counters.iter().filter_map(|set| self.sets.get(set)).filter_map(|set| set.size);
        NftLayout {
            name: name.clone(),
            interfaces: Vec::new(),
            ports: BTreeSet::new(),
            draining: BTreeSet::new(),
            size: sizes.min().unwrap_or(1),
            fragments: match (roles.contains(&NftChain::Reassembly), roles.contains(&NftChain::Fragments)) {
                (true, _) => Fragments::Reassembled,
                (false, true) => Fragments::Apart,
                (false, false) => Fragments::Delivered,
            },
            can_cut: self.sets.contains_key(&format!("{name}{}", NftSet::Cut)),
        }
    }

    /// Whether packets of any interface enter a set of counters.
    pub fn is_entered(&self, name: &RuleSetName) -> bool {
        Direction::BOTH.iter().any(|direction| {
            let rules = self.chains.get(base_chain(*direction)).map_or(&[][..], |chain| &chain.rules);
            rules.iter().any(|rule| leads_to(rule, name))
        })
    }

    /// The interfaces whose packets enter a set of counters in both directions.
    pub fn interfaces(&self, name: &RuleSetName) -> Vec<String> {
        let entering = |direction: Direction| -> BTreeSet<String> {
            let rules = self.chains.get(base_chain(direction)).map_or(&[][..], |chain| &chain.rules);
            let into_it = rules.iter().filter(|rule| leads_to(rule, name));
            into_it.filter_map(|rule| rule[0]["match"]["right"].as_str()).map(str::to_owned).collect()
        };
        let [incoming, outgoing] = Direction::BOTH.map(entering);
        incoming.intersection(&outgoing).cloned().collect()
    }

    /// How packets enter a set of counters.
    pub fn entrance(&self, layout: &NftLayout) -> NftEntrance {
        for direction in Direction::BOTH {
            let hook = base_chain(direction);
            let is_ours = |chain: &&ListedChain| {
                chain.hook.as_deref() == Some(hook)
                    && chain.prio == Some(PRIORITY)
                    && chain.policy.as_deref() == Some("accept")
            };
            let Some(chain) = self.chains.get(hook).filter(is_ours) else { return NftEntrance::Absent };
            let wanted = layout.entry(direction);
            if !same_rules(&chain.rules, &wanted) {
                return NftEntrance::Changed(match chain.rules.len() < wanted.len() {
                    true => "somebody removed the rule that leads to the counters",
                    false => "another rule came before the counters",
                });
            }
        }
        NftEntrance::Whole
    }

    /// Compares a set of counters with what we would have made.
    ///
    /// # Errors
    /// Names the first part that is missing or different.
    pub fn verify(&self, facts: TableFacts, layout: &NftLayout) -> Result<(), SetDamage> {
        let damage = |part: String, why, doubt| Err(SetDamage { part, why, doubt });
        let table = || format!("table {}", layout.table());
        if self.roles(&layout.name).any(|chain| matches!(chain, NftChain::Table(handle) if handle != facts.handle)) {
            return damage(table(), "was deleted and restored", CounterDoubt::All);
        }
        if !self.is_marked(&layout.name) {
            return damage(layout.chain(NftChain::Table(facts.handle)), "is gone", CounterDoubt::Nothing);
        }
        if facts.is_dormant {
            return damage(table(), "was switched off", CounterDoubt::Nothing);
        }
        for set in layout.sets() {
            let name = layout.set(set);
            match self.sets.get(&name) {
                None => return damage(format!("set {name}"), "is gone", CounterDoubt::Nothing),
                Some(found) if set.is_of_ports() && found.size != Some(layout.size) => {
                    return damage(format!("set {name}"), "was made anew by somebody else", CounterDoubt::All);
                }
                Some(_) => {}
            }
        }
        for (chain, rules) in layout.chains() {
            let name = layout.chain(chain);
            match self.chains.get(&name) {
                None => return damage(format!("chain {name}"), "is gone", CounterDoubt::Nothing),
                Some(found) if found.rules.len() != rules.len() => {
                    return damage(format!("chain {name}"), "has lost or gained rules", CounterDoubt::Nothing);
                }
                // How it is listed depends on the version of nft. No packet reaches it.
                Some(_) if chain == NftChain::Reassembly => {}
                Some(found) if !same_rules(&found.rules, &rules) => {
                    return damage(format!("chain {name}"), "has a rule that is not ours", CounterDoubt::Nothing);
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Whether a set of counters has the mark of this table.
    pub fn is_marked(&self, name: &RuleSetName) -> bool {
        self.roles(name).any(|chain| matches!(chain, NftChain::Table(_)))
    }
}

/// Whether a rule leads packets into a set of counters.
fn leads_to(rule: &Value, name: &RuleSetName) -> bool {
    let target = rule[1]["goto"]["target"].as_str().and_then(RuleSetName::parse);
    target.is_some_and(|(of, _)| of == *name)
}

fn same_rules(found: &[Value], wanted: &[Value]) -> bool {
    found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| same(found, wanted))
}

/// Whether two expressions mean the same. Hosts without `/etc/protocols` list protocols as numbers.
fn same(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(found), Value::String(wanted)) => {
            matches!((found.as_u64(), wanted.as_str()), (Some(6), "tcp") | (Some(17), "udp"))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| same(found, wanted))
        }
        (Value::Object(found), Value::Object(wanted)) => {
            found.len() == wanted.len()
                && found.iter().all(|(key, found)| wanted.get(key).is_some_and(|wanted| same(found, wanted)))
        }
        _ => found == wanted,
    }
}

#[cfg(test)]
mod tests;
