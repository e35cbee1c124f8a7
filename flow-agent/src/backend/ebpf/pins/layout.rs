//! PURE: names and sizes of sets of counters, and the names of all pins.
//!
//! ```text
//! <bpffs>/flow-agent/<instance>/
//!   v1-ip-s64-c2-9f86d081884c7d65/   a set: layout version, mode, slots, CPUs, and a random id
//!     PORT_SLOT CELLS SLOT_OWNER FRAGMENTS, and REFUSED once a user has been limited
//!     sealed/                        present once a bucket of the set has been sealed
//!   limits-v1-b1024-c2/              the gate: layout version, budgets, CPUs
//!     PORT_BUDGET BUDGETS SHARES
//!   links/<netns>-<index>-in-<name>  an attachment: a pinned TCX link, or a directory that represents a filter
//!   clsact/<netns>-<index>/          records that we made the qdisc of this device
//! ```
//! bpffs allows no dots in names, but interface names may have them: a byte outside `[A-Za-z0-9_]` is written as `=XX`.

use std::fmt;
use std::str::FromStr;

use flow_common::{gate, wire};

use crate::backend::netlink::Direction;
use crate::backend::{BackendError, Cause};
use crate::ledger::record::CountMode;

/// The directory of all instances, below bpffs.
pub const ROOT: &str = "flow-agent";
/// The directory of attachments.
pub const LINKS: &str = "links";
/// The directory of records about qdiscs that we made.
pub const CLSACT: &str = "clsact";
/// The directory in a set whose presence says that a bucket of the set has been sealed.
pub const SEALED: &str = "sealed";

/// The smallest number of slots, so that a few more ports do not need a new set.
const MIN_SLOTS: u32 = 64;

/// The properties and the identity of a set of counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapSetName {
    pub count: CountMode,
    pub slots: u32,
    /// The number of possible CPUs.
    pub cpus: u32,
    /// A random id, new for every set of maps.
    pub id: String,
}

/// A set or gate made by a newer release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newer {
    pub layout: u32,
}

impl MapSetName {
    /// The number of lines for each CPU.
    pub fn lines(&self) -> u32 {
        wire::lines_for(self.slots)
    }

    /// Parses a directory's name. `None` if it is not a set of any release.
    pub fn parse(text: &str) -> Option<Result<Self, Newer>> {
        let (version, rest) = text.strip_prefix('v')?.split_once('-')?;
        let layout: u32 = version.parse().ok()?;
        if layout > wire::LAYOUT_VERSION {
            return Some(Err(Newer { layout }));
        }
        let mut parts = rest.split('-');
        let name = Self {
            count: match parts.next()? {
                "ip" => CountMode::Ip,
                "wire" => CountMode::Wire,
                _ => return None,
            },
            slots: number(parts.next()?, 's')?,
            cpus: number(parts.next()?, 'c')?,
            id: parts.next().filter(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))?.to_owned(),
        };
        (parts.next().is_none() && (1..=wire::MAX_SLOTS).contains(&name.slots) && name.cpus > 0).then_some(Ok(name))
    }
}

impl fmt::Display for MapSetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = match self.count {
            CountMode::Ip => "ip",
            CountMode::Wire => "wire",
        };
        write!(f, "v{}-{count}-s{}-c{}-{}", wire::LAYOUT_VERSION, self.slots, self.cpus, self.id)
    }
}

fn number(text: &str, prefix: char) -> Option<u32> {
    text.strip_prefix(prefix).and_then(|digits| u32::from_str(digits).ok())
}

/// The number of slots in a new set for `ports` ports: a quarter more than the ports, at least 64, at most `max_ports`.
///
/// # Errors
/// [`BackendError::TooManyPorts`] if there are more than `max_ports`.
pub fn slots_for(ports: usize, max_ports: u32) -> Result<u32, BackendError> {
    let max_ports = max_ports.min(wire::MAX_SLOTS);
    match u32::try_from(ports) {
        Ok(count) if count <= max_ports => {
            Ok(count.saturating_add(count.div_ceil(4)).max(MIN_SLOTS).min(max_ports).max(1))
        }
        _ => Err(BackendError::TooManyPorts { wanted: ports, max_ports }),
    }
}

/// The size of the gate's maps, as given in the name of their directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateName {
    /// One more than the number of budgets, because no budget has the number 0.
    pub lines: u32,
    /// The number of possible CPUs.
    pub cpus: u32,
}

/// The prefix of a gate's directory.
const GATE: &str = "limits-v";

/// The smallest number of budgets that a gate has room for, so that a few more users do not need a new gate.
const MIN_BUDGETS: u32 = 1_023;

impl GateName {
    /// A new gate with room for twice as many budgets as are needed now.
    pub fn new(budgets: usize, cpus: u32) -> Self {
        let budgets = u32::try_from(budgets).unwrap_or(wire::MAX_SLOTS).saturating_mul(2).min(wire::MAX_SLOTS);
        Self { lines: budgets.max(MIN_BUDGETS) + 1, cpus }
    }

    /// Parses a directory's name. `None` if it is not a gate of any release.
    pub fn parse(text: &str) -> Option<Result<Self, Newer>> {
        let (version, rest) = text.strip_prefix(GATE)?.split_once('-')?;
        let layout: u32 = version.parse().ok()?;
        if layout > gate::GATE_VERSION {
            return Some(Err(Newer { layout }));
        }
        let (lines, cpus) = rest.split_once('-')?;
        let name = Self { lines: number(lines, 'b')?, cpus: number(cpus, 'c')? };
        (name.lines > 1 && name.cpus > 0).then_some(Ok(name))
    }
}

impl fmt::Display for GateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{GATE}{}-b{}-c{}", gate::GATE_VERSION, self.lines, self.cpus)
    }
}

/// The identity of an attachment, which is also the name of its pin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkName {
    /// The inode of the network namespace.
    pub netns: u64,
    /// The device's index in that namespace.
    pub index: u32,
    pub direction: Direction,
    /// The device's name at the time it was attached.
    pub interface: String,
}

impl LinkName {
    /// Parses a pin's name. `None` if it is not one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '-');
        Some(Self {
            netns: parts.next()?.parse().ok()?,
            index: parts.next()?.parse().ok()?,
            direction: match parts.next()? {
                "in" => Direction::Ingress,
                "out" => Direction::Egress,
                _ => return None,
            },
            interface: decode(parts.next()?)?,
        })
    }

    /// The error that attaching here, or accessing this attachment, has failed.
    pub fn failed(&self, source: Cause) -> BackendError {
        BackendError::Attach { interface: self.interface.clone(), direction: self.direction.name(), source }
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::Ingress => "in",
            Direction::Egress => "out",
        };
        write!(f, "{}-{}-{direction}-{}", self.netns, self.index, encode(&self.interface))
    }
}

fn encode(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() || byte == b'_' => char::from(byte).to_string(),
            byte => format!("={byte:02x}"),
        })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'=' => {
                let (high, low) = (char::from(rest.next()?).to_digit(16)?, char::from(rest.next()?).to_digit(16)?);
                u8::try_from(high << 4 | low).expect("two hexadecimal digits are a byte")
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The name of our filters on clsact. It shows to everybody whose they are and which counters they feed.
pub fn filter_name(instance: &str, set: &MapSetName) -> String {
    format!("{ROOT}/{instance}/{}", set.id)
}

/// The instance that made a filter with this name, if it is a filter of ours.
pub fn filter_owner(name: &str) -> Option<&str> {
    name.strip_prefix(ROOT)?.strip_prefix('/')?.split('/').next()
}

#[cfg(test)]
mod tests;
