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
    /// The handles of `rules`.
    #[serde(skip)]
    handles: Vec<u64>,
}

#[derive(Deserialize)]
struct ListedRule {
    chain: String,
    #[serde(default)]
    handle: u64,
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
                chain.handles.push(rule.handle);
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
        let chains = Direction::BOTH.map(|direction| self.entry_chain(direction));
        let [Some(incoming), Some(outgoing)] = chains else { return NftEntrance::Absent };
        for (chain, direction) in [incoming, outgoing].into_iter().zip(Direction::BOTH) {
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

    /// The chain that packets of a direction enter, if it is at its hook.
    fn entry_chain(&self, direction: Direction) -> Option<&ListedChain> {
        let hook = base_chain(direction);
        self.chains.get(hook).filter(|chain| {
            chain.hook.as_deref() == Some(hook)
                && chain.prio == Some(PRIORITY)
                && chain.policy.as_deref() == Some("accept")
        })
    }

    /// Whether there is a chain at the hook of this direction, of whatever kind.
    pub fn has_entry_chain(&self, direction: Direction) -> bool {
        self.chains.contains_key(base_chain(direction))
    }

    /// The handles of all rules through which packets reach the counters, in their order. The kernel uses no handle
    /// twice, so rules that were removed and made again have others.
    pub fn handles(&self, layout: &NftLayout) -> Vec<u64> {
        let own = layout.chains().into_iter().map(|(chain, _)| layout.chain(chain));
        let chains = Direction::BOTH.map(|direction| base_chain(direction).to_owned()).into_iter().chain(own);
        chains.filter_map(|chain| self.chains.get(&chain)).flat_map(|chain| chain.handles.clone()).collect()
    }

    /// A chain of somebody else that leads packets into a set of counters or looks up its sets: these packets are
    /// counted more than once.
    fn foreign_use(&self, name: &RuleSetName) -> Option<&str> {
        let own = name.to_string();
        let uses = |rule: &&Value| mentions(rule, &own);
        let is_foreign = |chain: &&ListedChain| {
            let rules = chain.rules.iter().filter(uses);
            let is_base = Direction::BOTH.iter().any(|direction| base_chain(*direction) == chain.name);
            match RuleSetName::parse(&chain.name) {
                Some(_) => false,
                // Rules of ours lead into it once for each interface.
                None if is_base => {
                    let rules: Vec<&Value> = rules.collect();
                    let is_ours = |rule: &&&Value| leads_to(rule, name);
                    let ours = rules.iter().filter(is_ours).map(|rule| rule.to_string()).collect::<BTreeSet<_>>();
                    ours.len() < rules.len()
                }
                None => rules.count() > 0,
            }
        };
        self.chains.values().find(is_foreign).map(|chain| chain.name.as_str())
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
        if let Some(chain) = self.foreign_use(&layout.name) {
            return damage(format!("chain {chain}"), "has a rule that counts packets twice", CounterDoubt::All);
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
                    // An additional rule may look up a counter that the packet is also counted by later.
                    let is_used = found.rules.iter().any(|rule| {
                        mentions(rule, &layout.name.to_string()) && !rules.iter().any(|wanted| same(rule, wanted))
                    });
                    let doubt = if is_used { CounterDoubt::All } else { CounterDoubt::Nothing };
                    return damage(format!("chain {name}"), "has lost or gained rules", doubt);
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

/// Whether a rule has the name of one of the sets or chains of a set of counters.
fn mentions(rule: &Value, name: &str) -> bool {
    match rule {
        Value::String(text) => text.strip_prefix('@').unwrap_or(text).starts_with(name),
        Value::Array(values) => values.iter().any(|value| mentions(value, name)),
        Value::Object(fields) => fields.values().any(|value| mentions(value, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
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
