//! PURE: the roles of the sets and chains in our table, and their names.
//!
//! A name begins like those of the iptables backend, with the instance and the set of counters. In
//! `flow-k3v9qa-1h2j4k-ti`, `ti` is the role. The table of an instance is `flow-k3v9qa`.

use std::fmt;

use crate::backend::iptables::model::flow::{Direction, FlowClass, Protocol};

/// The number of the family `inet` (NFPROTO_INET), whose chains see IPv4 and IPv6.
pub const INET: u8 = 1;

/// The table of the instance with this tag.
pub fn table(tag: &str) -> String {
    format!("flow-{tag}")
}

/// The tag in the name of a table; `None` if no agent made it.
pub fn tag_of(table: &str) -> Option<&str> {
    let tag = table.strip_prefix("flow-")?;
    (tag.len() == 6 && tag.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())).then_some(tag)
}

/// The chain that packets of a direction enter.
pub fn base_chain(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "input",
        Direction::Egress => "output",
    }
}

/// The role of a named set of nftables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NftSet {
    /// The counted ports, each element with its counter.
    Counters(FlowClass),
    /// TCP and UDP of other ports, by address family.
    OtherPorts(Direction),
    /// Other protocols, by address family.
    OtherIp(Direction),
    /// IPv6 fragments without a port, where nobody reassembles them.
    LateFragments,
    /// The ports whose counters are frozen.
    Still,
    /// The ports whose packets are refused. Exists only while somebody has a budget.
    Cut,
    /// What was refused, by port.
    Blocked(Direction),
}

impl NftSet {
    /// Every role.
    pub fn all() -> impl Iterator<Item = Self> {
        let by_direction = |set: fn(Direction) -> Self| Direction::BOTH.map(set);
        FlowClass::ALL
            .map(Self::Counters)
            .into_iter()
            .chain(by_direction(Self::OtherPorts))
            .chain(by_direction(Self::OtherIp))
            .chain([Self::LateFragments, Self::Still, Self::Cut])
            .chain(by_direction(Self::Blocked))
    }

    /// Whether its elements are ports; otherwise they are address families.
    pub fn is_of_ports(self) -> bool {
        match self {
            Self::Counters(_) | Self::Still | Self::Cut | Self::Blocked(_) => true,
            Self::OtherPorts(_) | Self::OtherIp(_) | Self::LateFragments => false,
        }
    }

    pub fn has_counters(self) -> bool {
        match self {
            Self::Counters(_) | Self::OtherPorts(_) | Self::OtherIp(_) | Self::LateFragments | Self::Blocked(_) => true,
            Self::Still | Self::Cut => false,
        }
    }

    /// The size of its keys in bytes.
    pub fn key_bytes(self) -> usize {
        if self.is_of_ports() { 2 } else { 1 }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Counters(FlowClass { protocol: Protocol::Tcp, direction: Direction::Ingress }) => "ti",
            Self::Counters(FlowClass { protocol: Protocol::Tcp, direction: Direction::Egress }) => "to",
            Self::Counters(FlowClass { protocol: Protocol::Udp, direction: Direction::Ingress }) => "ui",
            Self::Counters(FlowClass { protocol: Protocol::Udp, direction: Direction::Egress }) => "uo",
            Self::OtherPorts(Direction::Ingress) => "pi",
            Self::OtherPorts(Direction::Egress) => "po",
            Self::OtherIp(Direction::Ingress) => "ii",
            Self::OtherIp(Direction::Egress) => "io",
            Self::LateFragments => "fi",
            Self::Still => "still",
            Self::Cut => "cut",
            Self::Blocked(Direction::Ingress) => "bi",
            Self::Blocked(Direction::Egress) => "bo",
        }
    }
}

impl fmt::Display for NftSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The role of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NftChain {
    /// Separates TCP, UDP and other protocols.
    Split(Direction),
    /// Counts TCP and UDP of other ports.
    Rest(Direction),
    /// Counts and refuses packets of ports that are cut.
    Cut(Direction),
    /// Separates incoming IPv6 fragments, where nobody reassembles them.
    Fragments,
    /// Counts fragments without a port.
    LateFragments,
    /// No packet reaches it. It has a rule that makes the kernel reassemble incoming IPv6 fragments.
    Reassembly,
    /// Has no rules: the handle of the table in which the set was made.
    Table(u64),
    /// Has no rules: a bucket of the set has been sealed.
    Sealed,
}

impl NftChain {
    /// The role with this end of a name.
    pub fn parse(word: &str) -> Option<Self> {
        if let Some(handle) = word.strip_prefix("table-") {
            return handle.parse().ok().map(Self::Table);
        }
        let by_direction = |chain: fn(Direction) -> Self| Direction::BOTH.map(chain).into_iter();
        by_direction(Self::Split)
            .chain(by_direction(Self::Rest))
            .chain(by_direction(Self::Cut))
            .chain([Self::Fragments, Self::LateFragments, Self::Reassembly, Self::Sealed])
            .find(|chain| chain.to_string() == word)
    }
}

impl fmt::Display for NftChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |direction: Direction| match direction {
            Direction::Ingress => "in",
            Direction::Egress => "out",
        };
        match self {
            Self::Split(direction) => f.write_str(word(*direction)),
            Self::Rest(direction) => write!(f, "rest-{}", word(*direction)),
            Self::Cut(direction) => write!(f, "cut-{}", word(*direction)),
            Self::Fragments => f.write_str("fragments"),
            Self::LateFragments => f.write_str("late"),
            Self::Reassembly => f.write_str("reassembly"),
            Self::Table(handle) => write!(f, "table-{handle}"),
            Self::Sealed => f.write_str("sealed"),
        }
    }
}

#[cfg(test)]
mod tests;
