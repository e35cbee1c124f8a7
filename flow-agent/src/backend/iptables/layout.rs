//! PURE: all chains and rules of one set of counters in one family, as they are first made.

use std::collections::BTreeSet;

use super::names::{Direction, Place, Protocol, SetName, Tree};
use super::rule::{Match, Rule, Target};
use super::shape::{Node, Shape};

/// One set of counters as one family's rules hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub name: SetName,
    /// Sorted.
    pub interfaces: Vec<String>,
    pub shape: Shape,
    pub ports: BTreeSet<u16>,
    pub fragments: Fragments,
}

/// What becomes of the fragments that come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragments {
    /// IPv4: the kernel reassembles them before it delivers them.
    Delivered,
    /// IPv6: the kernel reassembles them for a rule of ours.
    Reassembled,
    /// IPv6: nobody reassembles them; those after the first have no port.
    Apart,
}

impl Layout {
    /// Every chain with its rules. A chain's rules go to chains that may come later: declare them all first.
    pub fn chains(&self) -> Vec<(Place, Vec<Rule>)> {
        let mut chains = Vec::new();
        for direction in Direction::BOTH {
            chains.push((Place::Entry(direction), self.entry(direction, &self.interfaces)));
            chains.push((Place::Split(direction), self.split(direction)));
            chains.push((Place::Rest(direction), vec![Rule::count(Match::All)]));
        }
        chains.extend(self.fragments());
        for tree in Tree::ALL {
            chains.extend(self.inner(tree));
            chains.extend(self.shape.leaves().map(|leaf| (Place::Node(tree, leaf), self.leaf(tree, leaf))));
        }
        chains
    }

    /// Leads what passes `interfaces` on; everything else goes back untouched.
    pub fn entry(&self, direction: Direction, interfaces: &[String]) -> Vec<Rule> {
        let next = match (direction, self.fragments) {
            (Direction::In, Fragments::Apart) => Place::Fragments,
            (Direction::In, Fragments::Delivered | Fragments::Reassembled) | (Direction::Out, _) => {
                Place::Split(direction)
            }
        };
        let rule = |name: &String| Rule::goto(Match::Interface(direction, name.clone()), self.name.chain(&next));
        interfaces.iter().map(rule).collect()
    }

    /// Leads TCP and UDP on, each into its tree, and counts all other IP.
    pub fn split(&self, direction: Direction) -> Vec<Rule> {
        let lead = |protocol| {
            let root = Place::Node(Tree { protocol, direction }, self.shape.root());
            Rule::goto(Match::Protocol(protocol), self.name.chain(&root))
        };
        let mut rules: Vec<Rule> = Protocol::BOTH.map(lead).into();
        rules.push(Rule::count(Match::All));
        rules
    }

    /// The chains that deal with fragments.
    pub fn fragments(&self) -> Vec<(Place, Vec<Rule>)> {
        let go = |matching, place| Rule::goto(matching, self.name.chain(&place));
        match self.fragments {
            Fragments::Delivered => vec![],
            Fragments::Reassembled => vec![(Place::Reassembly, vec![Rule::count(Match::Socket)])],
            Fragments::Apart => vec![
                (
                    Place::Fragments,
                    vec![
                        go(Match::FirstFragment, Place::Split(Direction::In)),
                        go(Match::Fragment, Place::LateFragments),
                        go(Match::All, Place::Split(Direction::In)),
                    ],
                ),
                (Place::LateFragments, vec![Rule::count(Match::All)]),
            ],
        }
    }

    /// The chains of a tree above its leaves.
    pub fn inner(&self, tree: Tree) -> Vec<(Place, Vec<Rule>)> {
        let chain = |node: Node| self.name.chain(&Place::Node(tree, node));
        let chains = self.shape.inner().into_iter().map(|inner| {
            let branches = inner.branches.iter().map(|(last, node)| Rule::goto(Match::UpTo(tree, *last), chain(*node)));
            (Place::Node(tree, inner.node), branches.chain([Rule::goto(Match::All, chain(inner.last))]).collect())
        });
        chains.collect()
    }

    /// Counts the ports of a leaf; what is left counts as the rest.
    fn leaf(&self, tree: Tree, leaf: Node) -> Vec<Rule> {
        let ports = self.ports.range(self.shape.range(leaf));
        ports.map(|port| self.counter(tree, *port)).chain([self.rest(tree)]).collect()
    }

    /// Counts one port, and leads the packet back to where it came from.
    pub fn counter(&self, tree: Tree, port: u16) -> Rule {
        Rule { matching: Match::Port(tree, port), target: Target::Return }
    }

    /// Stands before a port's counter that must stand still: its packets count as the rest.
    pub fn shield(&self, tree: Tree, port: u16) -> Rule {
        Rule::goto(Match::Port(tree, port), self.name.chain(&Place::Rest(tree.direction)))
    }

    /// Ends every leaf.
    pub fn rest(&self, tree: Tree) -> Rule {
        Rule::goto(Match::All, self.name.chain(&Place::Rest(tree.direction)))
    }
}
