//! PURE: all chains, rules and sets of one set of counters, as they are made and as they should be found.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::place::{NftChain, NftSet, base_chain, table};
use super::transaction::NftTransaction;
use crate::backend::iptables::model::flow::{Direction, FlowClass, Protocol, protocol_word};
use crate::backend::iptables::model::layout::Fragments;
use crate::backend::iptables::model::set_name::RuleSetName;

/// The smallest room for ports.
const FEWEST_SLOTS: u32 = 64;

/// One set of counters. Both address families share its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NftLayout {
    pub name: RuleSetName,
    /// Sorted by name.
    pub interfaces: Vec<String>,
    /// All ports that have counters, including draining ones.
    pub ports: BTreeSet<u16>,
    /// The ports whose counters are frozen.
    pub draining: BTreeSet<u16>,
    /// The number of elements that each set of ports has room for. With a given number, the kernel uses a table of
    /// fixed size, which is faster than one that grows.
    pub size: u32,
    /// Whether incoming IPv6 fragments are reassembled.
    pub fragments: Fragments,
    /// Whether it has the sets and chains that refuse packets.
    pub can_cut: bool,
}

/// The room for this number of ports: a quarter more, and the port zero.
pub fn slots(ports: usize) -> u32 {
    let ports = u32::try_from(ports).unwrap_or(u32::MAX);
    (ports.saturating_add(ports / 4).saturating_add(1)).clamp(FEWEST_SLOTS, 1 << 16).next_power_of_two()
}

impl NftLayout {
    pub fn table(&self) -> String {
        table(self.name.instance())
    }

    pub fn chain(&self, chain: NftChain) -> String {
        format!("{}{chain}", self.name)
    }

    pub fn set(&self, set: NftSet) -> String {
        format!("{}{set}", self.name)
    }

    /// The number of ports that fit.
    pub fn capacity(&self) -> u32 {
        self.size - 1
    }

    /// The roles of the sets that it has.
    pub fn sets(&self) -> Vec<NftSet> {
        let is_there = |set: &NftSet| match set {
            NftSet::Counters(_) | NftSet::OtherPorts(_) | NftSet::OtherIp(_) | NftSet::Still => true,
            NftSet::LateFragments => self.fragments == Fragments::Apart,
            NftSet::Cut | NftSet::Blocked(_) => self.can_cut,
        };
        NftSet::all().filter(is_there).collect()
    }

    /// The chains that it has, with their rules.
    pub fn chains(&self) -> Vec<(NftChain, Vec<Value>)> {
        let mut chains = Vec::new();
        for direction in Direction::BOTH {
            chains.push((NftChain::Split(direction), self.split(direction)));
            chains.push((NftChain::Rest(direction), vec![self.by_family(NftSet::OtherPorts(direction))]));
            if self.can_cut {
                chains.push((NftChain::Cut(direction), self.refusal(direction)));
            }
        }
        let split = self.chain(NftChain::Split(Direction::Ingress));
        match self.fragments {
            Fragments::Delivered => {}
            Fragments::Reassembled => chains.push((NftChain::Reassembly, vec![reassembly()])),
            Fragments::Apart => {
                chains.push((NftChain::Fragments, vec![self.late(), json!([goto(&split)])]));
                chains.push((NftChain::LateFragments, vec![self.by_family(NftSet::LateFragments)]));
            }
        }
        chains
    }

    /// The rules of a chain that packets enter.
    pub fn entry(&self, direction: Direction) -> Vec<Value> {
        let key = match direction {
            Direction::Ingress => "iifname",
            Direction::Egress => "oifname",
        };
        let next = match (direction, self.fragments) {
            (Direction::Ingress, Fragments::Apart) => NftChain::Fragments,
            (Direction::Ingress, Fragments::Delivered | Fragments::Reassembled) | (Direction::Egress, _) => {
                NftChain::Split(direction)
            }
        };
        let next = self.chain(next);
        let rule = |name: &String| json!([matches(json!({ "meta": { "key": key } }), name), goto(&next)]);
        self.interfaces.iter().map(rule).collect()
    }

    /// The rules that find the counter of a packet.
    fn split(&self, direction: Direction) -> Vec<Value> {
        let of_set = |set: NftSet, then: &Value| {
            Protocol::BOTH.map(|protocol| json!([self.port_in(FlowClass { protocol, direction }, set), then]))
        };
        let rest = goto(&self.chain(NftChain::Rest(direction)));
        let mut rules = Vec::new();
        if self.can_cut {
            rules.extend(of_set(NftSet::Cut, &goto(&self.chain(NftChain::Cut(direction)))));
        }
        if !self.draining.is_empty() {
            rules.extend(of_set(NftSet::Still, &rest));
        }
        rules.extend(Protocol::BOTH.map(|protocol| {
            let class = FlowClass { protocol, direction };
            json!([self.port_in(class, NftSet::Counters(class)), back()])
        }));
        rules.extend(
            Protocol::BOTH.map(|protocol| {
                json!([matches(json!({ "meta": { "key": "l4proto" } }), protocol_word(protocol)), rest])
            }),
        );
        rules.push(self.by_family(NftSet::OtherIp(direction)));
        rules
    }

    /// The rules that count and refuse packets.
    fn refusal(&self, direction: Direction) -> Vec<Value> {
        let counted = Protocol::BOTH.map(|protocol| {
            let class = FlowClass { protocol, direction };
            json!([self.port_in(class, NftSet::Blocked(direction)), { "drop": null }])
        });
        counted.into_iter().chain([json!([{ "drop": null }])]).collect()
    }

    fn port_in(&self, class: FlowClass, set: NftSet) -> Value {
        let field = match class.direction {
            Direction::Ingress => "dport",
            Direction::Egress => "sport",
        };
        let payload = json!({ "payload": { "protocol": protocol_word(class.protocol), "field": field } });
        matches(payload, &format!("@{}", self.set(set)))
    }

    /// Finds the counter of a packet's address family.
    fn by_family(&self, set: NftSet) -> Value {
        json!([matches(json!({ "meta": { "key": "nfproto" } }), &format!("@{}", self.set(set))), back()])
    }

    /// Finds IPv6 fragments after the first.
    fn late(&self) -> Value {
        let offset = json!({ "exthdr": { "name": "frag", "field": "frag-off" } });
        let is_late = json!({ "match": { "op": ">", "left": offset, "right": 0 } });
        json!([is_late, goto(&self.chain(NftChain::LateFragments))])
    }

    /// Makes everything, without letting any packet in.
    pub fn make(&self, transaction: &mut NftTransaction) {
        transaction.make_table();
        for set in self.sets() {
            self.make_set(transaction, set);
        }
        self.add_ports(transaction, &self.ports);
        let chains = self.chains();
        for (chain, _) in &chains {
            transaction.add_chain(&self.chain(*chain));
        }
        for (chain, rules) in chains {
            transaction.add_rules(&self.chain(chain), rules);
        }
    }

    /// Makes a set that has no ports yet.
    pub fn make_set(&self, transaction: &mut NftTransaction, set: NftSet) {
        transaction.add_set(&self.set(set), set, self.size);
        if !set.is_of_ports() {
            transaction.add_elements(&self.set(set), ["ipv4".into(), "ipv6".into()]);
        }
    }

    /// Adds the counters of `ports`. Each has a comment, so that it is noticed if somebody removes it and adds another.
    pub fn add_ports(&self, transaction: &mut NftTransaction, ports: &BTreeSet<u16>) {
        let element = |port: &u16| json!({ "elem": { "val": port, "comment": "flow-agent" } });
        for class in FlowClass::ALL {
            transaction.add_elements(&self.set(NftSet::Counters(class)), ports.iter().map(element));
        }
    }

    /// Removes the counters of `ports`.
    pub fn remove_ports(&self, transaction: &mut NftTransaction, ports: &BTreeSet<u16>) {
        for class in FlowClass::ALL {
            self.delete_ports(transaction, NftSet::Counters(class), ports);
        }
    }

    /// Deletes ports from a set.
    pub fn delete_ports(&self, transaction: &mut NftTransaction, set: NftSet, ports: &BTreeSet<u16>) {
        transaction.delete_elements(&self.set(set), ports.iter().map(|port| (*port).into()));
    }

    /// Writes the rules that find counters anew, after a change of what they depend on.
    pub fn rewrite_split(&self, transaction: &mut NftTransaction) {
        for direction in Direction::BOTH {
            transaction.rewrite(&self.chain(NftChain::Split(direction)), self.split(direction));
        }
    }

    /// Directs the packets of the interfaces into this set of counters, and into no other.
    pub fn enter(&self, transaction: &mut NftTransaction) {
        // Somebody may have removed the chains at the hooks.
        transaction.make_table();
        for direction in Direction::BOTH {
            transaction.rewrite(base_chain(direction), self.entry(direction));
        }
    }
}

/// A rule that makes the kernel reassemble IPv6 fragments. It has no other effect, because no packet reaches it.
fn reassembly() -> Value {
    json!([matches(json!({ "meta": { "key": "l4proto" } }), "tcp"), { "tproxy": { "family": "ip6", "port": 1 } }])
}

fn matches(left: Value, right: &str) -> Value {
    json!({ "match": { "op": "==", "left": left, "right": right } })
}

fn goto(chain: &str) -> Value {
    json!({ "goto": { "target": chain } })
}

/// Ends the evaluation of our table's rules without a verdict on the packet.
fn back() -> Value {
    json!({ "return": null })
}

#[cfg(test)]
mod tests;
