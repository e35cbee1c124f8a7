//! PURE: what `iptables-restore --noflush` is told: one text, one transaction a family; and what `ipset restore` is told
//! before and after it.
//!
//! What is told to ipset is no transaction: an agent may die between two of its lines. They come in an order in which that
//! is seen ([`VerifiedSet::is_settled`](crate::backend::iptables::saved::view::VerifiedSet::is_settled)), and in which nothing is counted that was not, or not any more.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::flow::{Direction, FlowClass, hook};
use super::ipset::{Ipset, SENTINEL_PORT};
use super::layout::{Dispatch, Layout};
use super::place::ChainPlace;
use super::rule::{IptablesRule, Match};
use super::set_name::RuleSetName;
use super::shape::Shape;

/// A change in the making.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// For `ipset restore`, before the rules are changed: rules ask ipsets that are there.
    pub before: String,
    /// The same when they were changed.
    pub after: String,
    /// The chains to be made, or emptied: they must be known before any rule.
    declared: String,
    /// Everything else, in order.
    commands: String,
}

impl Script {
    /// Whether no rule is changed.
    pub fn leaves_rules(&self) -> bool {
        self.declared.is_empty() && self.commands.is_empty()
    }

    /// The text for `iptables-restore`.
    pub fn render(&self, table: &str) -> String {
        format!("*{table}\n{}{}COMMIT\n", self.declared, self.commands)
    }

    /// Makes every chain of `layout`. Nothing enters them yet.
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

    /// Lets it show in a legacy table when somebody zeroes the counters.
    pub fn lay_tripwire(&mut self, name: &RuleSetName) -> &mut Self {
        let tripwire = name.chain(&ChainPlace::Tripwire);
        self.chain(&tripwire, &[]).command(format_args!("-A {tripwire} -c 1 1"))
    }

    /// The same in an nf_tables table, where the rule that counts is made elsewhere; marks the set with the handle of the
    /// table that it was made in.
    pub fn mark_table(&mut self, name: &RuleSetName, handle: u64) -> &mut Self {
        self.chain(&name.chain(&ChainPlace::Tripwire), &[]).chain(&name.chain(&ChainPlace::table(handle)), &[])
    }

    /// Lets packets enter the set, before everything else.
    pub fn enter(&mut self, name: &RuleSetName) -> &mut Self {
        for direction in Direction::BOTH {
            self.command(format_args!("-I {} 1{}", hook(direction), jump(name, direction)));
        }
        self
    }

    /// Removes the jump of `direction` into the set; it must be there.
    pub fn leave(&mut self, name: &RuleSetName, direction: Direction) -> &mut Self {
        self.command(format_args!("-D {}{}", hook(direction), jump(name, direction)))
    }

    /// Makes the jump of `direction` the first rule, `present` times of which are there.
    pub fn enter_first(&mut self, name: &RuleSetName, direction: Direction, present: usize) -> &mut Self {
        for _ in 0..present {
            self.leave(name, direction);
        }
        self.command(format_args!("-I {} 1{}", hook(direction), jump(name, direction)))
    }

    /// Counts on these interfaces from now on.
    pub fn follow(&mut self, layout: &Layout, interfaces: &[String]) -> &mut Self {
        for direction in Direction::BOTH {
            let rules = layout.entry(direction, interfaces);
            self.chain(&layout.name.chain(&ChainPlace::Entry(direction)), &rules);
        }
        self
    }

    /// Counts `ports` from zero.
    pub fn add(&mut self, layout: &Layout, ports: &BTreeSet<u16>) -> &mut Self {
        match &layout.dispatch {
            Dispatch::Ipsets { .. } => self.add_members(layout, ports),
            Dispatch::FlowClass(shape) => self.leaf_commands(layout, shape, ports, |chain, tree, port| {
                format!("-I {chain} 1{}", layout.counter(tree, port))
            }),
        }
    }

    /// Lets the counters of `ports` stand still, beside those that do already: `still`.
    pub fn shield(&mut self, layout: &Layout, ports: &BTreeSet<u16>, still: &BTreeSet<u16>) -> &mut Self {
        match &layout.dispatch {
            Dispatch::Ipsets { .. } => {
                if !ports.is_empty() && still.is_empty() {
                    // Behind those that refuse.
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

    /// Lets the counters of `ports` go on, or be removed; those that stand still beside them are `still`.
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

    /// Says that a bucket of it was sealed, wherever its counters are: by an empty chain that nothing enters, and by an
    /// ipset.
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

    /// Removes `chains`, each of which is emptied first, for they lead to one another; and the `ipsets` that they ask.
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
            // A member that comes back without saying so begins where it was when it went.
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

    /// Makes a chain, or empties it if it is there, and appends `rules`.
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

/// The counters of `ports`.
fn members(ports: &BTreeSet<u16>) -> impl Iterator<Item = (u16, FlowClass)> {
    ports.iter().flat_map(|port| FlowClass::ALL.map(|tree| (*port, tree)))
}

/// The rule that leads every packet of a built-in chain into the set.
pub fn jump(name: &RuleSetName, direction: Direction) -> IptablesRule {
    IptablesRule::jump(Match::All, name.chain(&ChainPlace::Entry(direction)))
}
