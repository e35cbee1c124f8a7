//! PURE: what `iptables-restore --noflush` is told: one text, one transaction a family.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::layout::Layout;
use super::names::{Direction, Place, SetName, Tree};
use super::rule::{Match, Rule};

/// A transaction in the making.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// The chains to be made, or emptied: they must be known before any rule.
    declared: String,
    /// Everything else, in order.
    commands: String,
}

impl Script {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.declared.is_empty() && self.commands.is_empty()
    }

    /// The text for `iptables-restore`.
    pub fn render(&self, table: &str) -> String {
        format!("*{table}\n{}{}COMMIT\n", self.declared, self.commands)
    }

    /// Makes every chain of `layout`. Nothing enters them yet.
    pub fn make(&mut self, layout: &Layout, marks: &[Place]) -> &mut Self {
        for (place, rules) in layout.chains() {
            self.chain(&layout.name.chain(&place), &rules);
        }
        for mark in marks {
            self.chain(&layout.name.chain(mark), &[]);
        }
        self
    }

    /// Lets packets enter the set, before everything else.
    pub fn enter(&mut self, name: &SetName) -> &mut Self {
        for direction in Direction::BOTH {
            self.command(format_args!("-I {} 1{}", direction.hook(), jump(name, direction)));
        }
        self
    }

    /// Removes the jump of `direction` into the set; it must be there.
    pub fn leave(&mut self, name: &SetName, direction: Direction) -> &mut Self {
        self.command(format_args!("-D {}{}", direction.hook(), jump(name, direction)))
    }

    /// Makes the jump of `direction` the first rule, `present` times of which are there.
    pub fn enter_first(&mut self, name: &SetName, direction: Direction, present: usize) -> &mut Self {
        for _ in 0..present {
            self.leave(name, direction);
        }
        self.command(format_args!("-I {} 1{}", direction.hook(), jump(name, direction)))
    }

    /// Counts on these interfaces from now on.
    pub fn follow(&mut self, layout: &Layout, interfaces: &[String]) -> &mut Self {
        for direction in Direction::BOTH {
            let rules = layout.entry(direction, interfaces);
            self.chain(&layout.name.chain(&Place::Entry(direction)), &rules);
        }
        self
    }

    /// Counts `ports` from zero.
    pub fn add(&mut self, layout: &Layout, ports: &BTreeSet<u16>) -> &mut Self {
        self.leaf_commands(layout, ports, |chain, tree, port| format!("-I {chain} 1{}", layout.counter(tree, port)))
    }

    /// Lets the counters of `ports` stand still.
    pub fn shield(&mut self, layout: &Layout, ports: &BTreeSet<u16>) -> &mut Self {
        self.leaf_commands(layout, ports, |chain, tree, port| format!("-I {chain} 1{}", layout.shield(tree, port)))
    }

    /// Lets the counters of `ports` go on.
    pub fn unshield(&mut self, layout: &Layout, ports: &BTreeSet<u16>) -> &mut Self {
        self.leaf_commands(layout, ports, |chain, tree, port| format!("-D {chain}{}", layout.shield(tree, port)))
    }

    /// Removes the counters of `ports`.
    pub fn remove(&mut self, layout: &Layout, ports: &BTreeSet<u16>) -> &mut Self {
        self.leaf_commands(layout, ports, |chain, tree, port| format!("-D {chain}{}", layout.counter(tree, port)))
    }

    /// Leaves a mark: an empty chain that nothing enters.
    pub fn mark(&mut self, name: &SetName, place: &Place) -> &mut Self {
        self.chain(&name.chain(place), &[])
    }

    /// Removes `chains`: each is emptied first, for they lead to one another.
    pub fn delete<'a>(&mut self, chains: impl IntoIterator<Item = &'a str>) -> &mut Self {
        for chain in chains {
            self.chain(chain, &[]);
            self.command(format_args!("-X {chain}"));
        }
        self
    }

    fn leaf_commands(
        &mut self,
        layout: &Layout,
        ports: &BTreeSet<u16>,
        text: impl Fn(&str, Tree, u16) -> String,
    ) -> &mut Self {
        for port in ports {
            for tree in Tree::ALL {
                let chain = layout.name.chain(&Place::Node(tree, layout.shape.leaf_of(*port)));
                self.command(format_args!("{}", text(&chain, tree, *port)));
            }
        }
        self
    }

    /// Makes a chain, or empties it if it is there, and appends `rules`.
    fn chain(&mut self, name: &str, rules: &[Rule]) -> &mut Self {
        writeln!(self.declared, ":{name} - [0:0]").expect("writing to a String cannot fail");
        for rule in rules {
            self.command(format_args!("-A {name}{rule}"));
        }
        self
    }

    fn command(&mut self, command: std::fmt::Arguments<'_>) -> &mut Self {
        writeln!(self.commands, "{command}").expect("writing to a String cannot fail");
        self
    }
}

/// The rule that leads every packet of a built-in chain into the set.
pub fn jump(name: &SetName, direction: Direction) -> Rule {
    Rule::jump(Match::All, name.chain(&Place::Entry(direction)))
}
