//! Counters by node: nearly always one or a few, so that a sorted list takes a tenth of a tree's memory. A report may
//! hold tens of thousands of these.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::counters::Counters;

/// The counters of each node, by name. As JSON it is an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByNode {
    sorted: Vec<(String, Counters)>,
}

impl ByNode {
    /// The counters of `node`.
    pub fn get(&self, node: &str) -> Option<Counters> {
        self.position(node).ok().map(|index| self.sorted[index].1)
    }

    /// Whether `node` has counters.
    pub fn contains(&self, node: &str) -> bool {
        self.position(node).is_ok()
    }

    /// Whether no node has counters.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// Sets the counters of `node`.
    pub fn insert(&mut self, node: String, counters: Counters) {
        match self.position(&node) {
            Ok(index) => self.sorted[index].1 = counters,
            Err(index) => {
                // Most lists stay at one entry; growing by doubling would reserve four.
                if self.sorted.is_empty() {
                    self.sorted.reserve_exact(1);
                }
                self.sorted.insert(index, (node, counters));
            }
        }
    }

    /// The names of the nodes, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sorted.iter().map(|(name, _)| name.as_str())
    }

    /// The counters, by the names of the nodes.
    pub fn values(&self) -> impl Iterator<Item = Counters> {
        self.sorted.iter().map(|(_, counters)| *counters)
    }

    fn position(&self, node: &str) -> Result<usize, usize> {
        self.sorted.binary_search_by(|(name, _)| name.as_str().cmp(node))
    }
}

impl FromIterator<(String, Counters)> for ByNode {
    fn from_iter<I: IntoIterator<Item = (String, Counters)>>(counters: I) -> Self {
        let mut by_node = Self::default();
        counters.into_iter().for_each(|(node, counters)| by_node.insert(node, counters));
        by_node
    }
}

impl<const N: usize> From<[(String, Counters); N]> for ByNode {
    fn from(counters: [(String, Counters); N]) -> Self {
        counters.into_iter().collect()
    }
}

impl IntoIterator for ByNode {
    type Item = (String, Counters);
    type IntoIter = std::vec::IntoIter<(String, Counters)>;

    fn into_iter(self) -> Self::IntoIter {
        self.sorted.into_iter()
    }
}

impl Serialize for ByNode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.sorted.iter().map(|(node, counters)| (node, counters)))
    }
}

impl<'de> Deserialize<'de> for ByNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Nodes;

        impl<'de> Visitor<'de> for Nodes {
            type Value = ByNode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the counters of each node")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ByNode, A::Error> {
                let mut by_node = ByNode::default();
                while let Some((node, counters)) = map.next_entry()? {
                    by_node.insert(node, counters);
                }
                Ok(by_node)
            }
        }

        deserializer.deserialize_map(Nodes)
    }
}

#[cfg(test)]
mod tests;
