//! Which ports are watched, and whose they are: from the configuration, from files that others write, from sockets.

pub mod content;
#[cfg(feature = "sqlite")]
mod database;
pub mod ephemeral;
pub mod file;
pub mod find;
pub mod formats;
mod listed;
pub mod listening;
pub mod places;
mod settings;
pub mod settle;
pub mod spec;
pub mod stated;
pub mod wanted;
pub mod watch;

pub use settings::{PortFile, PortFileFormat, PortsConfig};

use std::collections::BTreeMap;

pub use listed::{Claim, Complaint, Detail, ListPosition, Listed, PanelQuota, QuotaPeriod, only_user};

/// The largest value of `count.max_ports`.
pub const MAX_PORTS: u32 = 65_530;

/// Ports, and who owns each; `None` where nobody is known to.
pub type PortOwners = BTreeMap<u16, Option<String>>;

/// What some editors write before UTF-8 says nothing.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}
