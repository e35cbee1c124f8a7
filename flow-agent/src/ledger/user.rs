//! A user, as the configuration describes one.

use std::collections::BTreeSet;

use super::language::Language;

/// A user of `[[users]]` or of the users' file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub ports: BTreeSet<u16>,
    /// Without one, no letter is sent.
    pub email: Option<String>,
    /// Bytes a billing month.
    pub quota_bytes: Option<u64>,
    pub language: Language,
    /// Names of nodes; empty: all of them.
    pub nodes: BTreeSet<String>,
}

impl User {
    /// Whether the user's ports are counted on the node of that name.
    pub fn is_on(&self, node: &str) -> bool {
        self.nodes.is_empty() || self.nodes.contains(node)
    }
}
