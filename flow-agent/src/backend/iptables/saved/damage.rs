//! PURE: what somebody else did to a set of counters, and which of its counters can still be trusted.
//!
//! A counter that was restored from a file shows an older value plus what passed since, and a counter that was zeroed shows
//! only what passed since. Nothing in the counter itself says which of the two happened, so there is no part of such a value
//! that is known to be new. It is not used: what was known of that family before stays, the time since then is a gap, and a
//! new set of counters, with a new epoch, takes over. Every counter is judged by itself, before families are added up: a sum
//! can grow although one of its parts stepped back.

/// Why a set is not as we made it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} {why}")]
pub struct SetDamage {
    /// `chain X`, `ipset X`, or the name of a counter.
    pub part: String,
    pub why: &'static str,
    pub doubt: CounterDoubt,
}

/// Which counters of a set in one family may say more than was counted since they were last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CounterDoubt {
    /// None: what is left of them is right.
    Nothing,
    /// Those of rules.
    Rules,
    /// All, those of ipsets too.
    All,
}

impl SetDamage {
    /// The worse of two: what was doubted once is doubted for good.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        if other.doubt > self.doubt { other } else { self }
    }
}

impl CounterDoubt {
    /// Whether the counters of the ports cannot be trusted, where a set dispatches like this.
    pub fn covers_ports(self, by_ipsets: bool) -> bool {
        match self {
            Self::Nothing => false,
            Self::Rules => !by_ipsets,
            Self::All => true,
        }
    }

    /// Whether the counters that belong to no port cannot be trusted: some of them are always those of rules.
    pub fn covers_others(self) -> bool {
        self != Self::Nothing
    }
}
