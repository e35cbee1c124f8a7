//! PURE: the ipsets that a set of counters has in each address family.

use super::flow::{Direction, FlowClass};

/// A member of every ipset with counters, which distinguishes an emptied ipset from one without ports. No packet
/// counted by it belongs to a watched port.
pub const SENTINEL_PORT: u16 = 0;

/// An ipset of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ipset {
    /// The counted ports, each member with its counter.
    Counters(FlowClass),
    /// The ports whose counters are frozen.
    Still,
    /// The ports whose packets are refused. Exists only while somebody has a budget.
    Cut,
    /// The counts of refused packets, for each port that is or was cut.
    Blocked(Direction),
    /// Has no members. Its existence says that a bucket of this set has been sealed. Counters in ipsets can outlive the
    /// chains, and so can this mark.
    Sealed,
}

impl Ipset {
    /// The ipsets that every set has in a family.
    pub fn all() -> impl Iterator<Item = Self> {
        FlowClass::ALL.into_iter().map(Self::Counters).chain([Self::Still])
    }

    /// The additional ipsets for refusing packets.
    pub fn of_cut() -> impl Iterator<Item = Self> {
        [Self::Cut].into_iter().chain(Direction::BOTH.map(Self::Blocked))
    }

    /// All ipsets that a set may have.
    pub fn every() -> impl Iterator<Item = Self> {
        Self::all().chain(Self::of_cut()).chain([Self::Sealed])
    }

    pub(super) fn letters(self) -> &'static str {
        match self {
            Self::Counters(tree) => tree.letters(),
            Self::Still => "still",
            Self::Cut => "cut",
            Self::Blocked(Direction::Ingress) => "bi",
            Self::Blocked(Direction::Egress) => "bo",
            Self::Sealed => "sealed",
        }
    }
}
