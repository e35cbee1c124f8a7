//! What earlier runs have gathered under names that no node has any more.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::commands::gathered::name_of;
use crate::config::Config;
use crate::config::value::{NodeName, Value as _};
use crate::gather::NodeConfig;
use crate::ledger::block::Daily;
use crate::ledger::month::Month;
use crate::store::blocks::{Blocks, Item};
use crate::store::table::put_gathered;
use crate::store::{ReportLock, StateDir, StoreError};

/// Adds the days that were gathered under former names of `node` to those under its name, so that they count even if
/// the node can no longer be reached. A day that is there already is replaced only by one that was made later.
///
/// # Errors
/// When a file cannot be read or replaced.
pub(super) fn take_over(lock: &ReportLock, node: &NodeConfig, months: &[Month]) -> Result<(), StoreError> {
    for (alias, month) in node.aliases.iter().flat_map(|alias| months.iter().map(move |month| (alias, *month))) {
        let former = lock.state().node_daily(alias, month);
        if former.exists() {
            put_gathered(lock, &node.name, month, &former)?;
        }
    }
    Ok(())
}

/// The file with the days of `month` that were kept for `node`. Where nothing was taken over yet, as in a dry run, it is
/// that of a former name.
pub(super) fn file(state: &StateDir, node: &NodeConfig, month: Month) -> PathBuf {
    let names = std::iter::once(&node.name).chain(&node.aliases);
    let mut files = names.map(|name| state.node_daily(name, month));
    files.find(|path| path.exists()).unwrap_or_else(|| state.node_daily(&node.name, month))
}

/// The names under which days of the billing month were gathered, but which are neither the name nor an alias of a
/// node.
///
/// # Errors
/// When a directory or a file cannot be read.
pub(super) fn without_node(config: &Config, state: &StateDir, month: Month) -> Result<Vec<String>, StoreError> {
    let names: BTreeSet<&str> = config.nodes.iter().map(|node| node.name.as_str()).collect();
    let dir = state.root().join("nodes");
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(StoreError::io("read", &dir)(source)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(StoreError::io("read", &dir))?.file_name();
        let Some(Ok(NodeName(name))) = name.to_str().map(NodeName::parse) else { continue };
        if !names.contains(name_of(config, &name)) && has_days(config, state, &name, month)? {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether days of the billing month were gathered under this name.
fn has_days(config: &Config, state: &StateDir, name: &str, month: Month) -> Result<bool, StoreError> {
    let days = month.first_day(config.month_start_day)..=month.last_day(config.month_start_day);
    for file in month.calendar_months(config.month_start_day) {
        for item in Blocks::<Daily>::open(&state.node_daily(name, file))?.into_iter().flatten() {
            if let Item::Block(found) = item?
                && days.contains(&found.block.seal.day)
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
