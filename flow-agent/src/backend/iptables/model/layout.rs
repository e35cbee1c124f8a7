//! PURE: all chains and rules of one set of counters in one address family, as they are first made.

use std::collections::BTreeSet;

use super::family::Family;
use super::flow::{Direction, FlowClass, Protocol};
use super::ipset::Ipset;
use super::place::ChainPlace;
use super::rule::{IptablesRule, Match, RuleTarget};
use super::set_name::RuleSetName;
use super::shape::{Node, Shape};

/// One set of counters in the form that one family's rules have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub name: RuleSetName,
    pub family: Family,
    /// Sorted by name.
    pub interfaces: Vec<String>,
    pub dispatch: Dispatch,
    pub ports: BTreeSet<u16>,
    pub fragments: Fragments,
    /// Whether it has the chains that refuse packets of cut ports before anything counts them.
    pub can_cut: bool,
}

/// How a packet finds its port's counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dispatch {
    /// By ipsets whose members have counters: a single lookup, however many ports there are. `shielded` while preceding
    /// rules keep packets of the ports in [`Ipset::Still`] away from the counters.
    Ipsets { shielded: bool },
    /// By a tree of rules with one rule for each port, which needs nothing but iptables.
    FlowClass(Shape),
}

impl Dispatch {
    pub fn is_by_ipsets(&self) -> bool {
        matches!(self, Self::Ipsets { .. })
    }

    /// Whether it has room for all of `ports`.
    pub fn has_room_for(&self, ports: &BTreeSet<u16>) -> bool {
        match self {
            Self::Ipsets { .. } => true,
            Self::FlowClass(shape) => shape.has_room_for(ports),
        }
    }

    /// The number of ports that fit if they are evenly distributed.
    pub fn capacity(&self) -> usize {
        match self {
            Self::Ipsets { .. } => usize::from(u16::MAX),
            Self::FlowClass(shape) => shape.capacity(),
        }
    }
}

/// What happens to incoming fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragments {
    /// IPv4: the kernel reassembles datagrams before it delivers them.
    Delivered,
    /// IPv6: the kernel reassembles datagrams because a rule of ours needs it.
    Reassembled,
    /// IPv6: nobody reassembles datagrams, and fragments after the first have no port.
    Apart,
}

impl Layout {
    /// Every chain with its rules. Rules may refer to chains later in the list, so all chains have to be declared
    /// first.
    pub fn chains(&self) -> Vec<(ChainPlace, Vec<IptablesRule>)> {
        let mut chains = Vec::new();
        for direction in Direction::BOTH {
            chains.push((ChainPlace::Entry(direction), self.entry(direction, &self.interfaces)));
            chains.push((ChainPlace::Split(direction), self.split(direction)));
            chains.push((ChainPlace::Rest(direction), vec![IptablesRule::count(Match::All)]));
        }
        chains.extend(self.fragments());
        chains.extend(self.cut());
        if let Dispatch::FlowClass(shape) = &self.dispatch {
            for tree in FlowClass::ALL {
                chains.extend(self.inner(shape, tree));
                chains.extend(shape.leaves().map(|leaf| (ChainPlace::Node(tree, leaf), self.leaf(shape, tree, leaf))));
            }
        }
        chains
    }

    /// The name of one of the set's ipsets.
    pub fn ipset(&self, ipset: Ipset) -> String {
        self.name.ipset(self.family, ipset)
    }

    /// The rules that send packets on `interfaces` to the next chain. All other packets return without being counted.
    pub fn entry(&self, direction: Direction, interfaces: &[String]) -> Vec<IptablesRule> {
        let next = match (direction, self.fragments) {
            (Direction::Ingress, Fragments::Apart) => ChainPlace::Fragments,
            (Direction::Ingress, Fragments::Delivered | Fragments::Reassembled) | (Direction::Egress, _) => {
                ChainPlace::Split(direction)
            }
        };
        let rule =
            |name: &String| IptablesRule::goto(Match::Interface(direction, name.clone()), self.name.chain(&next));
        interfaces.iter().map(rule).collect()
    }

    /// The rules that send TCP and UDP to their trees, or count them in their ipsets, and that count all other IP.
    pub fn split(&self, direction: Direction) -> Vec<IptablesRule> {
        let lead = |protocol, place| IptablesRule::goto(Match::Protocol(protocol), self.name.chain(&place));
        let mut rules: Vec<IptablesRule> = match &self.dispatch {
            Dispatch::FlowClass(shape) => Protocol::BOTH
                .map(|protocol| lead(protocol, ChainPlace::Node(FlowClass { protocol, direction }, shape.root())))
                .into(),
            Dispatch::Ipsets { shielded } => {
                let count = |protocol| {
                    let tree = FlowClass { protocol, direction };
                    let matching = Match::Member(tree, self.ipset(Ipset::Counters(tree)));
                    IptablesRule { matching, target: RuleTarget::Return }
                };
                let shields = if *shielded { self.still_rules(direction).into() } else { Vec::new() };
                let rest = Protocol::BOTH.map(|protocol| lead(protocol, ChainPlace::Rest(direction)));
                let cut = if self.can_cut { self.cut_rules(direction).into() } else { Vec::new() };
                cut.into_iter().chain(shields).chain(Protocol::BOTH.map(count)).chain(rest).collect()
            }
        };
        rules.push(IptablesRule::count(Match::All));
        rules
    }

    /// The rules that come before the ipsets while counters are frozen: packets of frozen ports are counted as other
    /// ports.
    pub fn still_rules(&self, direction: Direction) -> [IptablesRule; 2] {
        Protocol::BOTH.map(|protocol| {
            let matching = Match::Member(FlowClass { protocol, direction }, self.ipset(Ipset::Still));
            IptablesRule::goto(matching, self.name.chain(&ChainPlace::Rest(direction)))
        })
    }

    /// The rules that come before all others with ipsets: refused packets are counted as refused and nowhere else.
    pub fn cut_rules(&self, direction: Direction) -> [IptablesRule; 2] {
        Protocol::BOTH.map(|protocol| {
            let matching = Match::Member(FlowClass { protocol, direction }, self.ipset(Ipset::Cut));
            IptablesRule::goto(matching, self.name.chain(&ChainPlace::Cut(direction)))
        })
    }

    /// The chains that refuse packets; none if nobody has a budget. With a tree they also have a rule for each port
    /// that was ever cut.
    pub fn cut(&self) -> Vec<(ChainPlace, Vec<IptablesRule>)> {
        if !self.can_cut {
            return Vec::new();
        }
        let count = |direction| {
            let matching =
                |protocol| Match::Member(FlowClass { protocol, direction }, self.ipset(Ipset::Blocked(direction)));
            let by_ipset = Protocol::BOTH.map(|protocol| IptablesRule::count(matching(protocol)));
            let counting = if self.dispatch.is_by_ipsets() { by_ipset.into() } else { Vec::new() };
            (ChainPlace::Cut(direction), counting.into_iter().chain([self.drop_rest()]).collect())
        };
        let drop = IptablesRule { matching: Match::All, target: RuleTarget::Drop };
        Direction::BOTH.map(count).into_iter().chain([(ChainPlace::Drop, vec![drop])]).collect()
    }

    /// The last rule of each chain that counts refused packets.
    pub fn drop_rest(&self) -> IptablesRule {
        IptablesRule::goto(Match::All, self.name.chain(&ChainPlace::Drop))
    }

    /// The rule that counts the refused packets of one port, without ipsets.
    pub fn blocked(&self, tree: FlowClass, port: u16) -> IptablesRule {
        IptablesRule::count(Match::Port(tree, port))
    }

    /// The rule that comes before a port's counter while the port is cut.
    pub fn refuse(&self, tree: FlowClass, port: u16) -> IptablesRule {
        IptablesRule::goto(Match::Port(tree, port), self.name.chain(&ChainPlace::Cut(tree.direction)))
    }

    /// The chains for fragments.
    pub fn fragments(&self) -> Vec<(ChainPlace, Vec<IptablesRule>)> {
        let go = |matching, place| IptablesRule::goto(matching, self.name.chain(&place));
        match self.fragments {
            Fragments::Delivered => vec![],
            Fragments::Reassembled => vec![(ChainPlace::Reassembly, vec![IptablesRule::count(Match::Socket)])],
            Fragments::Apart => vec![
                (
                    ChainPlace::Fragments,
                    vec![
                        go(Match::FirstFragment, ChainPlace::Split(Direction::Ingress)),
                        go(Match::Fragment, ChainPlace::LateFragments),
                        go(Match::All, ChainPlace::Split(Direction::Ingress)),
                    ],
                ),
                (ChainPlace::LateFragments, vec![IptablesRule::count(Match::All)]),
            ],
        }
    }

    /// The chains of a tree above its leaves.
    fn inner(&self, shape: &Shape, tree: FlowClass) -> Vec<(ChainPlace, Vec<IptablesRule>)> {
        let chain = |node: Node| self.name.chain(&ChainPlace::Node(tree, node));
        let chains = shape.inner().into_iter().map(|inner| {
            let branches =
                inner.branches.iter().map(|(last, node)| IptablesRule::goto(Match::UpTo(tree, *last), chain(*node)));
            (
                ChainPlace::Node(tree, inner.node),
                branches.chain([IptablesRule::goto(Match::All, chain(inner.last))]).collect(),
            )
        });
        chains.collect()
    }

    /// The rules that count the ports of a leaf. All other packets are counted as other ports.
    fn leaf(&self, shape: &Shape, tree: FlowClass, leaf: Node) -> Vec<IptablesRule> {
        let ports = self.ports.range(shape.range(leaf));
        ports.map(|port| self.counter(tree, *port)).chain([self.rest(tree)]).collect()
    }

    /// The rule that counts one port and returns the packet to the chain that it came from.
    pub fn counter(&self, tree: FlowClass, port: u16) -> IptablesRule {
        IptablesRule { matching: Match::Port(tree, port), target: RuleTarget::Return }
    }

    /// The rule that comes before a port's frozen counter. The port's packets are counted as other ports.
    pub fn shield(&self, tree: FlowClass, port: u16) -> IptablesRule {
        IptablesRule::goto(Match::Port(tree, port), self.name.chain(&ChainPlace::Rest(tree.direction)))
    }

    /// The last rule of every leaf.
    pub fn rest(&self, tree: FlowClass) -> IptablesRule {
        IptablesRule::goto(Match::All, self.name.chain(&ChainPlace::Rest(tree.direction)))
    }
}
