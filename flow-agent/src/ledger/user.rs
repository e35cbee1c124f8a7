//! A user as described in the configuration.

use std::collections::BTreeSet;

use super::language::Language;

/// A user from `[[users]]` or from the users file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub ports: BTreeSet<u16>,
    /// If `None`, no letter is sent.
    pub email: Option<String>,
    /// Bytes per billing month.
    pub quota_bytes: Option<u64>,
    pub language: Language,
    /// Names of nodes; an empty set means all nodes.
    pub nodes: BTreeSet<String>,
}

impl User {
    /// Whether the user's ports belong to the user on the node of that name.
    pub fn is_on(&self, node: &str) -> bool {
        self.nodes.is_empty() || self.nodes.contains(node)
    }
}
