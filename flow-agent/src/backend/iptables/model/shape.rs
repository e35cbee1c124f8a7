//! PURE: the tree of port ranges that leads a packet to its port's counter on hosts without ipsets, in about as many
//! steps for ten thousand ports as for a hundred.
//!
//! The sorted ports are distributed among leaves, and the leaves' lower bounds alone define the tree. Everything above
//! the leaves follows from the bounds. So the names of the leaf chains tell a successor the whole tree, and no leaf
//! ever moves while it counts: a port that is added later goes into the leaf whose range contains it.
//!
//! A packet's cost consists of three parts: the rules that it passes over (some 12 ns each), the rules that match on
//! its way (30 ns each, because these also count), and, if many ports are busy, cache misses. A rule takes 150 to 200
//! bytes of kernel memory, and those of 10,000 ports do not fit into a CPU's own cache. The shape of the tree
//! determines the first two parts but not the third.
//!
//! Measured with kernel 6.18 on an AMD EPYC with 1 MB of L2 cache per core: nanoseconds added to one packet in and one
//! out, median of 13 rounds against the same traffic without rules, one run for each kernel side. The columns are
//! sixteen busy ports among 100 and among 1,000, and 1,000 flows at random over 1,000 ports:
//!
//! | ports in a leaf, branches | legacy 100 | 1,000 | at random | nft 100 | 1,000 | at random |
//! |---|---|---|---|---|---|---|
//! | 16, 8 | 982 | 1,421 | 1,520 | 1,325 | 1,934 | 1,737 |
//! | 16, 5 | 998 | 1,377 | 1,206 | 1,313 | 1,729 | 1,580 |
//! | 8, 8 | 875 | 1,165 | 1,387 | 1,289 | 1,695 | 1,820 |
//! | 8, 5 | 878 | 1,146 | 1,196 | 1,270 | 1,704 | 1,858 |
//! | 4, 5 | 887 | 1,133 | 1,828 | 1,339 | 1,695 | 2,251 |
//!
//! With sixteen busy ports among 10,000, leaves of 16 under 8 branches (the same tree as under 5) cost 1,447 on legacy
//! and 1,970 on nft. Leaves of 4 to 16 under 4 or 8 branches cost 1,310 to 1,410 and 1,944 to 2,101, and leaves of 32 a
//! third more. With 1,000 flows at random over 10,000 ports all of them cost the same within the noise: 2,200 to 2,800
//! on legacy and 3,300 to 3,600 on nft. The difference from sixteen busy ports is due to cache misses, which is why
//! ports at random cost more than twice as much among 10,000 as among 100. Placing the chains above the leaves next to
//! each other (legacy sorts chains by name) saved nothing beyond the noise, and neither did omitting the chain that
//! splits TCP from UDP.
//!
//! So leaves hold eight ports while chains are few. They hold sixteen where iptables-nft would take too long to load
//! the chains, because its time grows faster than their number: for 10,000 ports it takes half as long again with
//! leaves of 8 under 8 branches as with leaves of 16, and four times as long with 5 under 5. A fan-out of 2 needs more
//! than the 16 levels that nf_tables allows. `cargo xtask bench iptables` measures the present tree.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};

/// The number of ports in a leaf of a new tree: [`FILL`] while that needs at most [`LEAVES`] leaves, else
/// [`FILL_OF_MANY`].
const FILL: usize = 8;
const FILL_OF_MANY: usize = 16;
const LEAVES: usize = 512;
/// The largest number of ports in a leaf. Beyond it a new tree is cheaper for every packet.
const ROOM: usize = 32;
/// The largest number of branches of an inner node.
const FANOUT: usize = 5;

/// The lower bounds of the leaves in ascending order, starting with 0. A leaf extends to the next leaf's bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape(Vec<u16>);

/// A node, identified by the bound of its first leaf and its height. Leaves have height 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    pub bound: u16,
    pub level: u8,
}

/// An inner node and its branches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inner {
    pub node: Node,
    /// The branches in ascending order, each with the highest port that it covers.
    pub branches: Vec<(u16, Node)>,
    /// The branch for all higher ports.
    pub last: Node,
}

impl Shape {
    /// A tree for `ports` with evenly filled leaves.
    pub fn balanced(ports: &BTreeSet<u16>) -> Self {
        let ports: Vec<u16> = ports.iter().copied().collect();
        let fill = if ports.len() <= LEAVES * FILL { FILL } else { FILL_OF_MANY };
        let leaves = ports.len().div_ceil(fill).max(1);
        let mut bounds: Vec<u16> = (1..leaves).map(|leaf| ports[ports.len() * leaf / leaves]).collect();
        bounds.insert(0, 0);
        Self(bounds)
    }

    /// The tree whose leaves have these bounds. `None` if no tree has such bounds.
    pub fn from_bounds(bounds: &BTreeSet<u16>) -> Option<Self> {
        (bounds.first() == Some(&0)).then(|| Self(bounds.iter().copied().collect()))
    }

    /// The leaves in ascending order.
    pub fn leaves(&self) -> impl Iterator<Item = Node> {
        self.0.iter().map(|bound| Node { bound: *bound, level: 0 })
    }

    /// The leaf whose range contains `port`.
    pub fn leaf_of(&self, port: u16) -> Node {
        // The first bound is 0, so at least one bound is not greater.
        let after = self.0.partition_point(|bound| *bound <= port);
        Node { bound: self.0[after - 1], level: 0 }
    }

    /// The ports that lead to `leaf`, which must be one of this tree.
    pub fn range(&self, leaf: Node) -> RangeInclusive<u16> {
        let after = self.0.partition_point(|bound| *bound <= leaf.bound);
        // A bound after another one is not 0.
        leaf.bound..=self.0.get(after).map_or(u16::MAX, |next| next - 1)
    }

    /// Whether the leaves have room for all of `ports`.
    pub fn has_room_for(&self, ports: &BTreeSet<u16>) -> bool {
        self.leaves().all(|leaf| ports.range(self.range(leaf)).count() <= ROOM)
    }

    /// The number of ports that fit if they are evenly distributed.
    pub fn capacity(&self) -> usize {
        self.0.len() * ROOM
    }

    /// The node at which every packet starts.
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

    /// The node over a range of adjacent leaves.
    fn node(&self, leaves: Range<usize>) -> Node {
        Node { bound: self.0[leaves.start], level: height(leaves.len()) }
    }
}

/// The smallest number of levels above `leaves` leaves that a fan-out of [`FANOUT`] allows.
fn height(leaves: usize) -> u8 {
    let mut levels = 0;
    while FANOUT.pow(u32::from(levels)) < leaves {
        levels += 1;
    }
    levels
}

/// The branches of a node over `leaves`: as few as its height allows, and evenly filled.
fn split(leaves: Range<usize>) -> Vec<Range<usize>> {
    let (count, levels) = (leaves.len(), u32::from(height(leaves.len())));
    let branches = (2..=FANOUT).find(|branches| branches.pow(levels) >= count).unwrap_or(FANOUT);
    let edge = |branch: usize| leaves.start + count * branch / branches;
    (0..branches).map(|branch| edge(branch)..edge(branch + 1)).collect()
}

#[cfg(test)]
mod tests;
