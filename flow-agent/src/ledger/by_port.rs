//! Counters by port, in one contiguous allocation.

use std::collections::BTreeMap;
use std::ops::Index;

use super::counters::Counters;

/// Counters by port, in the order of the ports.
///
/// A reading fills it at once, and it is then only iterated in order. Building a `BTreeMap` instead would take several times
/// as long as reading the counters: `cargo xtask bench read` measures both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByPort(Vec<(u16, Counters)>);

impl ByPort {
    /// The number of ports.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no ports.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The counters of `port`, if it has any.
    pub fn get(&self, port: &u16) -> Option<&Counters> {
        self.0.binary_search_by_key(port, |(port, _)| *port).ok().map(|at| &self.0[at].1)
    }

    /// Whether `port` has counters.
    pub fn contains_key(&self, port: &u16) -> bool {
        self.get(port).is_some()
    }

    /// The ports, in ascending order.
    pub fn keys(&self) -> impl Iterator<Item = &u16> {
        self.0.iter().map(|(port, _)| port)
    }

    /// The counters, in the order of the ports.
    pub fn values(&self) -> impl Iterator<Item = &Counters> {
        self.0.iter().map(|(_, counters)| counters)
    }
}

impl From<Vec<(u16, Counters)>> for ByPort {
    /// If a port appears twice, the last entry wins.
    fn from(mut all: Vec<(u16, Counters)>) -> Self {
        if !all.is_sorted_by(|(port, _), (next, _)| port < next) {
            all.sort_by_key(|(port, _)| *port);
            all.dedup_by(|later, earlier| {
                let same = later.0 == earlier.0;
                if same {
                    *earlier = *later;
                }
                same
            });
        }
        Self(all)
    }
}

impl FromIterator<(u16, Counters)> for ByPort {
    fn from_iter<T: IntoIterator<Item = (u16, Counters)>>(counters: T) -> Self {
        counters.into_iter().collect::<Vec<_>>().into()
    }
}

impl From<BTreeMap<u16, Counters>> for ByPort {
    fn from(counters: BTreeMap<u16, Counters>) -> Self {
        Self(counters.into_iter().collect())
    }
}

impl<const N: usize> From<[(u16, Counters); N]> for ByPort {
    fn from(counters: [(u16, Counters); N]) -> Self {
        counters.into_iter().collect()
    }
}

impl IntoIterator for ByPort {
    type Item = (u16, Counters);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a ByPort {
    type Item = &'a (u16, Counters);
    type IntoIter = std::slice::Iter<'a, (u16, Counters)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl Index<&u16> for ByPort {
    type Output = Counters;

    fn index(&self, port: &u16) -> &Counters {
        self.get(port).unwrap_or_else(|| panic!("port {port} has no counters"))
    }
}

#[cfg(test)]
mod tests;
