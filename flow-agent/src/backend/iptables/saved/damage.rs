//! PURE: what somebody else did to a set of counters, and which of its counters can still be trusted.
//!
//! A counter that was restored from a file shows an older value plus what has passed since; a counter that was zeroed
//! shows only what has passed since. The counter does not show which of the two happened, so no part of such a value is
//! known to be new. It is not used: the values known before are kept, the time since then is a gap, and a new set of
//! counters with a new epoch takes over. Every counter is checked separately before families are added up, because a
//! sum can grow even if one of its parts went backwards.

/// Why a set is no longer as we made it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} {why}")]
pub struct SetDamage {
    /// `chain X`, `ipset X`, or the name of a counter.
    pub part: String,
    pub why: &'static str,
    pub doubt: CounterDoubt,
}

/// Which counters of a set in one family may be larger than what was really counted since the last reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CounterDoubt {
    /// None: the remaining counters are right.
    Nothing,
    /// Counters in rules.
    Rules,
    /// All counters, including those in ipsets.
    All,
}

impl SetDamage {
    /// The worse of two findings. A counter that was doubted once stays doubted.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        if other.doubt > self.doubt { other } else { self }
    }
}

impl CounterDoubt {
    /// Whether the ports' counters cannot be trusted, depending on whether they are in ipsets.
    pub fn covers_ports(self, by_ipsets: bool) -> bool {
        match self {
            Self::Nothing => false,
            Self::Rules => !by_ipsets,
            Self::All => true,
        }
    }

    /// Whether counters that belong to no port cannot be trusted. Some of those are always in rules.
    pub fn covers_others(self) -> bool {
        self != Self::Nothing
    }
}
