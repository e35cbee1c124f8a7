//! The ports that are watched, and their owners: from the configuration, from files that others write, and from
//! sockets.

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

/// Ports with their owners; `None` if no owner is known.
pub type PortOwners = BTreeMap<u16, Option<String>>;

/// Removes the byte order mark that some editors write before UTF-8.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}
