//! EDGE files: reads every source that may name a port, and decides what is to be counted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::content::Problem;
use super::ephemeral::Ephemeral;
use super::file::{PortFileError, Reader};
use super::listening::listening;
use super::settle::Settling;
use super::wanted::{Sources, Wanted, WantedError, wanted};
use super::{PortOwners, PortsConfig};
use crate::ledger::reading::Moment;
use crate::ledger::user::User;

/// Looks for ports repeatedly, and remembers what that requires.
#[derive(Default)]
pub struct Finder {
    /// A file that could never be read adds nothing, and is no error.
    pub may_lack_files: bool,
    reader: Reader,
    settling: Settling<PathBuf, PortOwners>,
}

impl Finder {
    /// What is to be counted now on `node`, and for whom. `last_good` is [`Wanted::files`] of the previous call.
    ///
    /// # Errors
    /// [`WantedError`]: at the start it is a reason not to start, and later to continue as before.
    pub fn find(
        &mut self,
        node: &str,
        config: &PortsConfig,
        users: &[User],
        max_ports: u32,
        last_good: &BTreeMap<PathBuf, PortOwners>,
        now: Moment,
    ) -> Result<Wanted, WantedError> {
        let ephemeral = Ephemeral::read();
        let listening = if config.listening { listening(&ephemeral)? } else { BTreeSet::new() };
        let mut files = Vec::new();
        for file in &config.files {
            let found = self.reader.read(file).and_then(|found| {
                let (before, after) = (last_good.get(&file.path).map_or(0, PortOwners::len), found.listed.owners.len());
                match self.settling.takes(&file.path, &found.listed.owners, before, after, now) {
                    true => Ok(found),
                    false => {
                        let source = Problem::Shrunk { before, after };
                        Err(PortFileError { path: file.path.clone(), source })
                    }
                }
            });
            files.push((file.path.clone(), found));
        }
        let (may_lack_files, ephemeral) = (self.may_lack_files, &ephemeral);
        wanted(Sources { node, config, users, max_ports, files, last_good, may_lack_files, listening, ephemeral })
    }
}
