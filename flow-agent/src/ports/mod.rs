//! Which ports are watched, and whose they are: from the configuration, from files that others write, from sockets.

pub mod ephemeral;
pub mod file;
pub mod find;
pub mod formats;
pub mod listening;
mod settings;
pub mod spec;
pub mod wanted;
pub mod watch;

pub use settings::{PortFile, PortFileFormat, PortsConfig};

use std::collections::BTreeMap;

use crate::ledger::name::{self, NameError};

/// Ports, and who owns each; `None` where nobody is known to.
pub type Owners = BTreeMap<u16, Option<String>>;

/// What some editors write before UTF-8 says nothing.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// What a port file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    pub owners: Owners,
    /// Ports that are counted without an owner, since the name that stands there may not be one.
    pub unfit_names: BTreeMap<u16, NameError>,
}

impl Listed {
    /// Adds a port; false when it is there already. A name that may not be one does not stop the port from being
    /// counted: its bytes would be gone for good, its owner can be named later.
    fn add(&mut self, port: u16, user: Option<&str>) -> bool {
        let user = user.map(str::trim).filter(|user| !user.is_empty());
        let owner = match user.map(name::check) {
            Some(Err(error)) => {
                self.unfit_names.insert(port, error);
                None
            }
            Some(Ok(())) | None => user.map(str::to_owned),
        };
        self.owners.insert(port, owner).is_none()
    }
}
