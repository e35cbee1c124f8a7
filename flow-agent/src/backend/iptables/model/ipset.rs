//! PURE: the ipsets that a set of counters has in each family.

use super::flow::{Direction, FlowClass};

/// A member of every ipset with counters, so that one which somebody emptied is told from one without ports. Nobody has this
/// port: what it counts belongs to no watched one.
pub const SENTINEL_PORT: u16 = 0;

/// An ipset of ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ipset {
    /// Each with its counter.
    Counters(FlowClass),
    /// Those whose counters stand still.
    Still,
    /// Those whose packets are refused. Only where somebody has a budget.
    Cut,
    /// What was refused of each port that was cut, now or before.
    Blocked(Direction),
    /// Has no ports: a bucket of this set was sealed. Where counters outlive the chains, what is known of them does, too.
    Sealed,
}

impl Ipset {
    /// Those that a set has in a family as long as it is there.
    pub fn all() -> impl Iterator<Item = Self> {
        FlowClass::ALL.into_iter().map(Self::Counters).chain([Self::Still])
    }

    /// Those that refusing needs.
    pub fn of_cut() -> impl Iterator<Item = Self> {
        [Self::Cut].into_iter().chain(Direction::BOTH.map(Self::Blocked))
    }

    /// Every one that a set may have.
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
