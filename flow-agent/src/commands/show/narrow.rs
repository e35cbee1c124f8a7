//! PURE: which ports and users were asked for.

use std::collections::BTreeSet;

use crate::ledger::block::{Block, Daily, Hourly};
use crate::ledger::record::HourSeal;

/// The ports and the user that were asked for; everything if neither is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrow {
    pub ports: Option<BTreeSet<u16>>,
    pub user: Option<String>,
}

impl Narrow {
    /// Whether only a part was asked for.
    pub fn is_narrow(&self) -> bool {
        self.ports.is_some() || self.user.is_some()
    }

    /// Whether a line of this port and user was asked for.
    pub fn has(&self, port: u16, user: Option<&str>) -> bool {
        self.ports.as_ref().is_none_or(|ports| ports.contains(&port))
            && self.user.as_deref().is_none_or(|name| user == Some(name))
    }

    /// Whether a line of these ports and this user was asked for; one of the ports is enough.
    pub fn has_any(&self, ports: &[u16], user: Option<&str>) -> bool {
        match ports {
            [] => self.has(0, user),
            ports => ports.iter().any(|port| self.has(*port, user)),
        }
    }

    /// Removes the lines that were not asked for.
    pub fn hours(&self, block: &mut Block<Hourly>) {
        if self.is_narrow() {
            block.lines.retain(|line| self.has(line.port, line.user.as_deref()));
            let left: BTreeSet<u16> = block.lines.iter().map(|line| line.port).collect();
            block.seal.blocked = block.seal.blocked.iter().filter(|(port, _)| left.contains(port)).collect();
        }
    }

    /// Whether the lines of a day tell what was asked for of the buckets with these seals. Of which user a refused byte
    /// was, only the lines of its bucket tell.
    pub fn is_known_of_days(&self, seals: &[HourSeal]) -> bool {
        !self.is_narrow() || seals.iter().all(|seal| seal.blocked.is_empty())
    }

    /// Removes the lines that were not asked for.
    pub fn days(&self, block: &mut Block<Daily>) {
        if self.is_narrow() {
            block.lines.retain(|line| self.has(line.port, line.user.as_deref()));
        }
    }
}
