//! PURE: the tree of port ranges that leads a packet to its port's counter in about as many steps for ten thousand ports
//! as for a hundred, on hosts without ipsets.
//!
//! The ports, in order, are dealt out to leaves; the lower bounds of the leaves are all that a tree is. Everything above
//! the leaves follows from the bounds alone, so that the names of the leaf chains tell a successor the whole tree, and no
//! leaf ever moves while it counts: a port that comes later goes into the leaf whose range it lies in.
//!
//! What a packet costs is the rules that it walks past (some 12 ns each), those that it takes on its way (30 ns each, for
//! these also count), and, where many ports are busy, fetching them: a rule is 150 to 200 bytes of kernel memory, and those
//! of 10,000 ports do not fit into a CPU's own cache. The first two a tree decides, the third it does not.
//!
//! Measured (kernel 6.18, AMD EPYC with 1 MB of L2 a core; ns added to a packet in and one out, median of 13 rounds beside
//! the same traffic without rules, one run a kernel side). Sixteen busy ports among 100 and 1,000, and 1,000 flows at random
//! over 1,000:
//!
//! | ports in a leaf, branches | legacy 100 | 1,000 | at random | nft 100 | 1,000 | at random |
//! |---|---|---|---|---|---|---|
//! | 16, 8 | 982 | 1,421 | 1,520 | 1,325 | 1,934 | 1,737 |
//! | 16, 5 | 998 | 1,377 | 1,206 | 1,313 | 1,729 | 1,580 |
//! | 8, 8 | 875 | 1,165 | 1,387 | 1,289 | 1,695 | 1,820 |
//! | 8, 5 | 878 | 1,146 | 1,196 | 1,270 | 1,704 | 1,858 |
//! | 4, 5 | 887 | 1,133 | 1,828 | 1,339 | 1,695 | 2,251 |
//!
//! Sixteen busy ports among 10,000 (16 by 8, the same tree as 16 by 5: 1,447 on legacy, 1,970 on nft) cost 1,310 to 1,410
//! and 1,944 to 2,101 with leaves of 4 to 16 under 4 or 8 branches, and a third more with leaves of 32. With 1,000 flows at
//! random over 10,000 ports all of them cost the same within the noise: 2,200 to 2,800 on legacy, 3,300 to 3,600 on nft.
//! What is more than with sixteen busy ports are the misses of the cache, and they are why ports at random cost more than
//! twice as much among 10,000 as among 100. Laying the chains above the leaves side by side (legacy sorts chains by name)
//! saved nothing that could be told from noise, nor did leaving out the chain that splits TCP from UDP.
//!
//! So leaves are of eight as long as chains are few, and of sixteen where iptables-nft would take too long to load them,
//! for its time grows faster than their number: for 10,000 ports half as much again with leaves of 8 under 8 branches as
//! with 16, and four times as much with 5 under 5. A fan-out of 2 needs more than the 16 levels that nf_tables allows.
//! `cargo xtask bench iptables` measures what is built.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};

/// Ports in a leaf when a tree is made: as long as these need no more than [`LEAVES`], and when they would.
const FILL: usize = 8;
const FILL_OF_MANY: usize = 16;
const LEAVES: usize = 512;
/// Ports in a leaf at most: beyond it a new tree is cheaper for every packet.
const ROOM: usize = 32;
/// Branches of an inner node at most.
const FANOUT: usize = 5;

/// The lower bounds of the leaves: ascending, the first is 0. A leaf reaches to the next one's bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(Vec<u16>);

/// A node, by the bound of its first leaf and its height; leaves have height 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    pub bound: u16,
    pub level: u8,
}

/// An inner node and its branches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inner {
    pub node: Node,
    /// Ascending, each with the highest port that it takes.
    pub branches: Vec<(u16, Node)>,
    /// Takes the rest.
    pub last: Node,
}

impl Shape {
    /// A tree for `ports`, its leaves evenly filled.
    pub fn balanced(ports: &BTreeSet<u16>) -> Self {
        let ports: Vec<u16> = ports.iter().copied().collect();
        let fill = if ports.len() <= LEAVES * FILL { FILL } else { FILL_OF_MANY };
        let leaves = ports.len().div_ceil(fill).max(1);
        let mut bounds: Vec<u16> = (1..leaves).map(|leaf| ports[ports.len() * leaf / leaves]).collect();
        bounds.insert(0, 0);
        Self(bounds)
    }

    /// The tree whose leaves have these bounds; `None` where they are not the bounds of a tree.
    pub fn from_bounds(bounds: &BTreeSet<u16>) -> Option<Self> {
        (bounds.first() == Some(&0)).then(|| Self(bounds.iter().copied().collect()))
    }

    /// The leaves, ascending.
    pub fn leaves(&self) -> impl Iterator<Item = Node> {
        self.0.iter().map(|bound| Node { bound: *bound, level: 0 })
    }

    /// The leaf in whose range `port` lies.
    pub fn leaf_of(&self, port: u16) -> Node {
        // The first bound is 0: there is always one that is not greater.
        let after = self.0.partition_point(|bound| *bound <= port);
        Node { bound: self.0[after - 1], level: 0 }
    }

    /// The ports that lead to `leaf`, which is one of this tree.
    pub fn range(&self, leaf: Node) -> RangeInclusive<u16> {
        let after = self.0.partition_point(|bound| *bound <= leaf.bound);
        // A bound behind another is not 0.
        leaf.bound..=self.0.get(after).map_or(u16::MAX, |next| next - 1)
    }

    /// Whether the leaves can take all of `ports`.
    pub fn has_room_for(&self, ports: &BTreeSet<u16>) -> bool {
        self.leaves().all(|leaf| ports.range(self.range(leaf)).count() <= ROOM)
    }

    /// Ports that fit if they lie evenly.
    pub fn capacity(&self) -> usize {
        self.0.len() * ROOM
    }

    /// Where every packet begins.
    pub fn root(&self) -> Node {
        self.node(0..self.0.len())
    }

    /// Every inner node, each before its branches.
    pub fn inner(&self) -> Vec<Inner> {
        let mut found = Vec::new();
        self.collect(0..self.0.len(), &mut found);
        found
    }

    fn collect(&self, leaves: Range<usize>, found: &mut Vec<Inner>) {
        let node = self.node(leaves.clone());
        if node.level == 0 {
            return;
        }
        let parts = split(leaves);
        let (last, before) = parts.split_last().expect("an inner node has branches");
        let branches = before.iter().map(|part| (self.0[part.end] - 1, self.node(part.clone()))).collect();
        found.push(Inner { node, branches, last: self.node(last.clone()) });
        for part in parts {
            self.collect(part, found);
        }
    }

    /// The node over some leaves that lie side by side.
    fn node(&self, leaves: Range<usize>) -> Node {
        Node { bound: self.0[leaves.start], level: height(leaves.len()) }
    }
}

/// Levels above `leaves` leaves: the smallest number of them that a fan-out of [`FANOUT`] allows.
fn height(leaves: usize) -> u8 {
    let mut levels = 0;
    while FANOUT.pow(u32::from(levels)) < leaves {
        levels += 1;
    }
    levels
}

/// The branches of a node over `leaves`: as few as its height allows, evenly filled.
fn split(leaves: Range<usize>) -> Vec<Range<usize>> {
    let (count, levels) = (leaves.len(), u32::from(height(leaves.len())));
    let branches = (2..=FANOUT).find(|branches| branches.pow(levels) >= count).unwrap_or(FANOUT);
    let edge = |branch: usize| leaves.start + count * branch / branches;
    (0..branches).map(|branch| edge(branch)..edge(branch + 1)).collect()
}

#[cfg(test)]
mod tests;
