//! What was refused of each port because a quota was used up or a user had expired. It is counted, and never billed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::counters::Flow;

/// Refused bytes and packets by port; ports of which nothing was refused are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Blocked(BTreeMap<u16, Flow>);

impl Blocked {
    /// Whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ports and what was refused of each.
    pub fn iter(&self) -> impl Iterator<Item = (u16, Flow)> {
        self.0.iter().map(|(port, flow)| (*port, *flow))
    }

    /// What was refused since `before`. Counters that are lower than before were made anew: all of them is new.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let since = |(port, now): (u16, Flow)| {
            let before = before.0.get(&port).copied().unwrap_or_default();
            (port, now.checked_sub(before).unwrap_or(now))
        };
        self.iter().map(since).collect()
    }

    /// Adds number by number, staying at the highest number where that is passed.
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
mod tests {
    use super::*;

    fn blocked<const N: usize>(ports: [(u16, u64); N]) -> Blocked {
        ports.into_iter().map(|(port, in_bytes)| (port, Flow { in_bytes, ..Flow::default() })).collect()
    }

    #[test]
    fn the_difference_leaves_out_ports_of_which_nothing_was_refused() {
        let before = blocked([(443, 10), (8388, 5)]);
        let now = blocked([(443, 30), (8388, 5), (9000, 1), (9001, 0)]);
        assert_eq!(now.since(&before), blocked([(443, 20), (9000, 1)]));
    }

    #[test]
    fn counters_that_were_made_anew_are_new() {
        assert_eq!(blocked([(443, 3)]).since(&blocked([(443, 10)])), blocked([(443, 3)]));
    }

    #[test]
    fn it_is_written_by_port() {
        let text = serde_json::to_string(&blocked([(8388, 7)])).unwrap();
        assert_eq!(text, r#"{"8388":{"in_bytes":7,"in_packets":0,"out_bytes":0,"out_packets":0}}"#);
        assert_eq!(serde_json::from_str::<Blocked>(&text).unwrap(), blocked([(8388, 7)]));
    }
}
