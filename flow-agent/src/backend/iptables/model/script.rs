//! PURE: the input for `iptables-restore --noflush`, one transaction for each family, and the input for `ipset restore`
//! before and after it.
//!
//! Commands for ipset are not a transaction: an agent may die between two lines. Their order ensures that this can be
//! detected ([`VerifiedSet::is_settled`](crate::backend::iptables::saved::view::VerifiedSet::is_settled)), and that
//! nothing is counted that should not be counted yet, or any more.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::flow::{Direction, FlowClass, hook};
use super::ipset::{Ipset, SENTINEL_PORT};
use super::layout::{Dispatch, Layout};
use super::place::ChainPlace;
use super::rule::{IptablesRule, Match};
use super::set_name::RuleSetName;
use super::shape::Shape;

/// A change under construction.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// Input for `ipset restore` before the rules are changed, because rules can only use ipsets that exist.
    pub before: String,
    /// Input for `ipset restore` after the rules were changed.
    pub after: String,
    /// The chains to make or to empty. They must be declared before any rule.
    declared: String,
    /// All other commands, in order.
    commands: String,
}

impl Script {
    /// Whether no rule is changed.
    pub fn leaves_rules(&self) -> bool {
        self.declared.is_empty() && self.commands.is_empty()
    }

    /// The input for `iptables-restore`.
    pub fn render(&self, table: &str) -> String {
        format!("*{table}\n{}{}COMMIT\n", self.declared, self.commands)
    }

    /// Makes every chain of `layout`, and an empty chain for each of `marks`. Nothing enters them yet.
    pub fn make(&mut self, layout: &Layout, marks: &[ChainPlace]) -> &mut Self {
        if layout.dispatch.is_by_ipsets() {
            Ipset::all().for_each(|ipset| self.create(layout, ipset));
            if layout.can_cut {
                Ipset::of_cut().for_each(|ipset| self.create(layout, ipset));
            }
            self.add_members(layout, &[SENTINEL_PORT].into()).add_members(layout, &layout.ports);
        }
        for (place, rules) in layout.chains() {
            self.chain(&layout.name.chain(&place), &rules);
        }
        for mark in marks {
            self.chain(&layout.name.chain(mark), &[]);
        }
        self
    }

    /// Adds a rule to a legacy table that shows when somebody zeroes the counters.
    pub fn lay_tripwire(&mut self, name: &RuleSetName) -> &mut Self {
        let tripwire = name.chain(&ChainPlace::Tripwire);
        self.chain(&tripwire, &[]).command(format_args!("-A {tripwire} -c 1 1"))
    }

    /// Makes the chain for such a rule in an nf_tables table, where the rule itself is made over netlink. Also marks
    /// the set with the handle of its table.
    pub fn mark_table(&mut self, name: &RuleSetName, handle: u64) -> &mut Self {
        self.chain(&name.chain(&ChainPlace::Tripwire), &[]).chain(&name.chain(&ChainPlace::table(handle)), &[])
    }

    /// Directs packets into the set, before all other rules.
    pub fn enter(&mut self, name: &RuleSetName) -> &mut Self {
        for direction in Direction::BOTH {
            self.command(format_args!("-I {} 1{}", hook(direction), jump(name, direction)));
        }
        self
    }

    /// Removes the jump of `direction` into the set, which must exist.
    pub fn leave(&mut self, name: &RuleSetName, direction: Direction) -> &mut Self {
        self.command(format_args!("-D {}{}", hook(direction), jump(name, direction)))
    }

    /// Makes the jump of `direction` the first rule. `present` is the number of such jumps, which are removed.
    pub fn enter_first(&mut self, name: &RuleSetName, direction: Direction, present: usize) -> &mut Self {
        for _ in 0..present {
            self.leave(name, direction);
        }
        self.command(format_args!("-I {} 1{}", hook(direction), jump(name, direction)))
    }

    /// Counts on these interfaces, and on no others, from now on.
    pub fn follow(&mut self, layout: &Layout, interfaces: &[String]) -> &mut Self {
        for direction in Direction::BOTH {
            let rules = layout.entry(direction, interfaces);
            self.chain(&layout.name.chain(&ChainPlace::Entry(direction)), &rules);
        }
        self
    }

    /// Starts counting `ports` from zero.
    pub fn add(&mut self, layout: &Layout, ports: &BTreeSet<u16>) -> &mut Self {
        match &layout.dispatch {
            Dispatch::Ipsets { .. } => self.add_members(layout, ports),
            Dispatch::FlowClass(shape) => self.leaf_commands(layout, shape, ports, |chain, tree, port| {
                format!("-I {chain} 1{}", layout.counter(tree, port))
            }),
        }
    }

    /// Freezes the counters of `ports`. `still` holds the ports that are frozen already.
    pub fn shield(&mut self, layout: &Layout, ports: &BTreeSet<u16>, still: &BTreeSet<u16>) -> &mut Self {
        match &layout.dispatch {
            Dispatch::Ipsets { .. } => {
                if !ports.is_empty() && still.is_empty() {
                    // The rules that refuse come first.
                    let first = if layout.can_cut { layout.cut_rules(Direction::Ingress).len() } else { 0 } + 1;
                    self.still_rules(layout, |chain, index, rule| format!("-I {chain} {}{rule}", first + index));
                }
                for port in ports {
                    self.after(format_args!("add {} {port} -exist", layout.ipset(Ipset::Still)));
                }
                self
            }
            Dispatch::FlowClass(shape) => self.leaf_commands(layout, shape, ports, |chain, tree, port| {
                format!("-I {chain} 1{}", layout.shield(tree, port))
            }),
        }
    }

    /// Ends the freezing of `ports`, so that they go on counting or can be removed. `still` holds the ports that stay
    /// frozen.
    pub fn unshield(&mut self, layout: &Layout, ports: &BTreeSet<u16>, still: &BTreeSet<u16>) -> &mut Self {
        match &layout.dispatch {
            Dispatch::Ipsets { .. } => {
                for port in ports {
                    self.before(format_args!("del {} {port} -exist", layout.ipset(Ipset::Still)));
                }
                if !ports.is_empty() && still.is_empty() {
                    self.still_rules(layout, |chain, _, rule| format!("-D {chain}{rule}"));
                }
                self
            }
            Dispatch::FlowClass(shape) => self.leaf_commands(layout, shape, ports, |chain, tree, port| {
                format!("-D {chain}{}", layout.shield(tree, port))
            }),
        }
    }

    /// Removes the counters of `ports`.
    pub fn remove(&mut self, layout: &Layout, ports: &BTreeSet<u16>) -> &mut Self {
        match &layout.dispatch {
            Dispatch::Ipsets { .. } => {
                for (port, tree) in members(ports) {
                    self.before(format_args!("del {} {port} -exist", layout.ipset(Ipset::Counters(tree))));
                }
                self
            }
            Dispatch::FlowClass(shape) => self.leaf_commands(layout, shape, ports, |chain, tree, port| {
                format!("-D {chain}{}", layout.counter(tree, port))
            }),
        }
    }

    /// Marks that a bucket of the set has been sealed, with an empty chain that nothing enters and, if counters are in
    /// ipsets, with an ipset.
    pub fn seal(&mut self, layout: &Layout) -> &mut Self {
        if layout.dispatch.is_by_ipsets() {
            self.create(layout, Ipset::Sealed);
        }
        self.chain(&layout.name.chain(&ChainPlace::Sealed), &[])
    }

    /// Removes every rule of `chains`.
    pub fn empty(&mut self, chains: &[String]) -> &mut Self {
        for chain in chains {
            self.chain(chain, &[]);
        }
        self
    }

    /// Removes `chains` and the `ipsets` that they use. Each chain is emptied first, because chains refer to one
    /// another.
    pub fn delete(&mut self, chains: &[String], ipsets: &[String]) -> &mut Self {
        for chain in chains {
            self.chain(chain, &[]);
            self.command(format_args!("-X {chain}"));
        }
        for ipset in ipsets {
            self.after(format_args!("destroy {ipset}"));
        }
        self
    }

    pub(super) fn create(&mut self, layout: &Layout, ipset: Ipset) {
        let kind = match ipset {
            Ipset::Counters(_) | Ipset::Blocked(_) => "range 0-65535 counters",
            Ipset::Still | Ipset::Cut => "range 0-65535",
            Ipset::Sealed => "range 0-0",
        };
        self.before(format_args!("create {} bitmap:port {kind} -exist", layout.ipset(ipset)));
    }

    fn add_members(&mut self, layout: &Layout, ports: &BTreeSet<u16>) -> &mut Self {
        for (port, tree) in members(ports) {
            let ipset = layout.ipset(Ipset::Counters(tree));
            // Without explicit counters, a member that is added again would continue from its former value.
            self.before(format_args!("add {ipset} {port} packets 0 bytes 0 -exist"));
        }
        self
    }

    fn still_rules(&mut self, layout: &Layout, text: impl Fn(&str, usize, &IptablesRule) -> String) {
        for direction in Direction::BOTH {
            let chain = layout.name.chain(&ChainPlace::Split(direction));
            for (index, rule) in layout.still_rules(direction).iter().enumerate() {
                self.command(format_args!("{}", text(&chain, index, rule)));
            }
        }
    }

    pub(super) fn leaf_commands(
        &mut self,
        layout: &Layout,
        shape: &Shape,
        ports: &BTreeSet<u16>,
        text: impl Fn(&str, FlowClass, u16) -> String,
    ) -> &mut Self {
        for port in ports {
            for tree in FlowClass::ALL {
                let chain = layout.name.chain(&ChainPlace::Node(tree, shape.leaf_of(*port)));
                self.command(format_args!("{}", text(&chain, tree, *port)));
            }
        }
        self
    }

    /// Makes a chain, or empties an existing one, and appends `rules`.
    pub(super) fn chain(&mut self, name: &str, rules: &[IptablesRule]) -> &mut Self {
        writeln!(self.declared, ":{name} - [0:0]").expect("writing to a String cannot fail");
        for rule in rules {
            self.command(format_args!("-A {name}{rule}"));
        }
        self
    }

    pub(super) fn before(&mut self, command: std::fmt::Arguments<'_>) {
        writeln!(self.before, "{command}").expect("writing to a String cannot fail");
    }

    pub(super) fn after(&mut self, command: std::fmt::Arguments<'_>) {
        writeln!(self.after, "{command}").expect("writing to a String cannot fail");
    }

    pub(super) fn command(&mut self, command: std::fmt::Arguments<'_>) -> &mut Self {
        writeln!(self.commands, "{command}").expect("writing to a String cannot fail");
        self
    }
}

/// All counters of `ports`: each port in each class.
fn members(ports: &BTreeSet<u16>) -> impl Iterator<Item = (u16, FlowClass)> {
    ports.iter().flat_map(|port| FlowClass::ALL.map(|tree| (*port, tree)))
}

/// The rule that sends every packet of a built-in chain into the set.
pub fn jump(name: &RuleSetName, direction: Direction) -> IptablesRule {
    IptablesRule::jump(Match::All, name.chain(&ChainPlace::Entry(direction)))
}

#[cfg(test)]
mod tests;
