//! PURE: the commands that cut ports and open them again.
//!
//! With ipsets, cutting or opening a port adds or removes one member of one ipset and changes no rule. In a tree it
//! adds or removes a rule before the port's counter, in each of the four trees. What was refused is counted separately,
//! in members or rules that stay when a port opens again.

use std::collections::BTreeSet;

use super::flow::{Direction, FlowClass, Protocol};
use super::ipset::Ipset;
use super::layout::{Dispatch, Layout};
use super::place::ChainPlace;
use super::script::Script;

impl Script {
    /// Makes the chains that refuse packets, in a set that has none yet. No port is cut so far. `layout` includes the
    /// chains.
    pub fn prepare_cut(&mut self, layout: &Layout) -> &mut Self {
        if layout.dispatch.is_by_ipsets() {
            for ipset in Ipset::of_cut() {
                self.create(layout, ipset);
                // The ipset may exist already, if an agent died before the rules were made or after they were removed.
                self.before(format_args!("flush {}", layout.ipset(ipset)));
            }
        }
        for (place, rules) in layout.cut() {
            self.chain(&layout.name.chain(&place), &rules);
        }
        if layout.dispatch.is_by_ipsets() {
            for direction in Direction::BOTH {
                let chain = layout.name.chain(&ChainPlace::Split(direction));
                for (index, rule) in layout.cut_rules(direction).iter().enumerate() {
                    self.command(format_args!("-I {chain} {}{rule}", index + 1));
                }
            }
        }
        self
    }

    /// Removes the chains that refuse packets, with their counters. `cut` holds the ports that are cut.
    pub fn abolish_cut(&mut self, layout: &Layout, cut: &BTreeSet<u16>) -> &mut Self {
        let ipsets = match &layout.dispatch {
            Dispatch::Ipsets { .. } => {
                for direction in Direction::BOTH {
                    let chain = layout.name.chain(&ChainPlace::Split(direction));
                    for rule in layout.cut_rules(direction) {
                        self.command(format_args!("-D {chain}{rule}"));
                    }
                }
                Ipset::of_cut().map(|ipset| layout.ipset(ipset)).collect()
            }
            Dispatch::FlowClass(_) => {
                self.reopen(layout, cut);
                Vec::new()
            }
        };
        let chains: Vec<String> = layout.cut().iter().map(|(place, _)| layout.name.chain(place)).collect();
        self.delete(&chains, &ipsets)
    }

    /// Refuses the packets of `ports` from now on. `fresh` holds the ports of which nothing was refused before.
    pub fn cut(&mut self, layout: &Layout, ports: &BTreeSet<u16>, fresh: &BTreeSet<u16>) -> &mut Self {
        match &layout.dispatch {
            Dispatch::Ipsets { .. } => {
                for (port, direction) in both_ways(fresh) {
                    let blocked = layout.ipset(Ipset::Blocked(direction));
                    self.before(format_args!("add {blocked} {port} packets 0 bytes 0 -exist"));
                }
                for port in ports {
                    self.before(format_args!("add {} {port} -exist", layout.ipset(Ipset::Cut)));
                }
                self
            }
            Dispatch::FlowClass(shape) => {
                for tree in FlowClass::ALL {
                    let chain = layout.name.chain(&ChainPlace::Cut(tree.direction));
                    for port in fresh {
                        self.command(format_args!("-I {chain} 1{}", layout.blocked(tree, *port)));
                    }
                }
                self.leaf_commands(layout, shape, ports, |chain, tree, port| {
                    format!("-I {chain} 1{}", layout.refuse(tree, port))
                })
            }
        }
    }

    /// Lets the packets of the cut `ports` pass again.
    pub fn reopen(&mut self, layout: &Layout, ports: &BTreeSet<u16>) -> &mut Self {
        match &layout.dispatch {
            Dispatch::Ipsets { .. } => {
                for port in ports {
                    self.before(format_args!("del {} {port} -exist", layout.ipset(Ipset::Cut)));
                }
                self
            }
            Dispatch::FlowClass(shape) => self.leaf_commands(layout, shape, ports, |chain, tree, port| {
                format!("-D {chain}{}", layout.refuse(tree, port))
            }),
        }
    }

    /// Removes the counts of refused packets of `ports`, none of which is cut.
    pub fn forget_blocked(&mut self, layout: &Layout, ports: &BTreeSet<u16>) -> &mut Self {
        match &layout.dispatch {
            Dispatch::Ipsets { .. } => {
                for (port, direction) in both_ways(ports) {
                    self.before(format_args!("del {} {port} -exist", layout.ipset(Ipset::Blocked(direction))));
                }
                self
            }
            Dispatch::FlowClass(_) => {
                for (port, direction) in both_ways(ports) {
                    let chain = layout.name.chain(&ChainPlace::Cut(direction));
                    for protocol in Protocol::BOTH {
                        let rule = layout.blocked(FlowClass { protocol, direction }, port);
                        self.command(format_args!("-D {chain}{rule}"));
                    }
                }
                self
            }
        }
    }
}

fn both_ways(ports: &BTreeSet<u16>) -> impl Iterator<Item = (u16, Direction)> {
    ports.iter().flat_map(|port| Direction::BOTH.map(|direction| (*port, direction)))
}

#[cfg(test)]
mod tests;
