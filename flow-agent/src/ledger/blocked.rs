//! Traffic of each port that was refused because a quota was used up or a user had expired. It is counted, and never
//! billed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counters::Flow;

/// Refused bytes and packets by port; ports of which nothing was refused are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Blocked(BTreeMap<u16, Flow>);

impl Blocked {
    /// Whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ports, each with what was refused.
    pub fn iter(&self) -> impl Iterator<Item = (u16, Flow)> {
        self.0.iter().map(|(port, flow)| (*port, *flow))
    }

    /// What was refused since `before`. Counters that are lower than before were created anew, so all that they hold is
    /// new.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let since = |(port, now): (u16, Flow)| {
            let before = before.0.get(&port).copied().unwrap_or_default();
            (port, now.checked_sub(before).unwrap_or(now))
        };
        self.iter().map(since).collect()
    }

    /// Adds number by number, saturating at the largest value.
    pub fn add(&mut self, other: &Self) {
        for (port, flow) in other.iter() {
            let sum = self.0.entry(port).or_default();
            *sum = sum.saturating_add(flow);
        }
    }
}

impl FromIterator<(u16, Flow)> for Blocked {
    fn from_iter<T: IntoIterator<Item = (u16, Flow)>>(flows: T) -> Self {
        Self(flows.into_iter().filter(|(_, flow)| *flow != Flow::default()).collect())
    }
}

#[cfg(test)]
mod tests;
