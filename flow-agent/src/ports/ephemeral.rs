//! EDGE files: the ports that the kernel gives to outgoing connections in this network namespace.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::spec;

const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/// The range from which the kernel picks ports, and the reserved ports that it skips. Both apply to IPv6 as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ephemeral {
    pub range: RangeInclusive<u16>,
    pub reserved: BTreeSet<u16>,
}

impl Ephemeral {
    /// Whether an outgoing connection may be given `port`.
    pub fn may_take(&self, port: u16) -> bool {
        self.range.contains(&port) && !self.reserved.contains(&port)
    }

    /// The kernel's present settings or, where they cannot be read (a container without `/proc/sys`), its defaults.
    pub fn read() -> Self {
        Self {
            range: content(RANGE).and_then(|text| parse_range(&text)).unwrap_or(32_768..=60_999),
            reserved: content(RESERVED).and_then(|text| parse_reserved(&text)).unwrap_or_default(),
        }
    }
}

fn content(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn parse_range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last)), None) => Some(first..=last),
        _ => None,
    }
}

fn parse_reserved(text: &str) -> Option<BTreeSet<u16>> {
    if text.trim().is_empty() { Some(BTreeSet::new()) } else { spec::set(text).ok() }
}

#[cfg(test)]
mod tests;
