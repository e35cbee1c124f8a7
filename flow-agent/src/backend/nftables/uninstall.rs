//! Shows and removes everything that an instance has in the kernel.

use std::collections::BTreeSet;

use super::found::{self, FoundCounters};
use super::host::{self, Nft};
use super::model::place::table;
use crate::backend::iptables::host::search_path::search_path;
use crate::backend::iptables::model::set_name::instance_tag;
use crate::backend::lock::InterfaceLock;
use crate::backend::{BackendError, host as kernel, netlink};

/// A set of counters in an instance's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedTable {
    /// The common prefix of the names of its chains and sets.
    pub name: String,
    pub epoch: String,
    pub interfaces: Vec<String>,
    /// The ports that it counts, and draining ports whose last bytes it still holds.
    pub ports: BTreeSet<u16>,
    /// Whether packets enter it.
    pub live: bool,
    /// Whether a bucket of this set has been sealed.
    pub sealed: bool,
}

/// Whether `instance` has a table. If the kernel does not say so, there is none that could be counted
/// on or removed.
pub fn has_table(instance: &str) -> bool {
    has_table_of(&instance_tag(instance))
}

/// Like [`has_table`], for the instance with this tag.
fn has_table_of(tag: &str) -> bool {
    match host::facts(&table(tag)) {
        Ok(facts) => facts.is_some(),
        Err(error) => {
            tracing::debug!(error = %crate::errors::chain(&error), "failed to look for a table of nftables");
            false
        }
    }
}

/// The tags of all instances that have a table here; see
/// [`instance_tag`].
pub fn instances() -> BTreeSet<String> {
    host::tags().unwrap_or_else(|error| {
        tracing::debug!(error = %crate::errors::chain(&error), "failed to list the tables of nftables");
        BTreeSet::new()
    })
}

/// Lists what `instance` has in its table, without changing anything.
///
/// # Errors
/// When there is a table and it cannot be read, or contains counters of a newer release.
pub fn survey(instance: &str) -> Result<Vec<SurveyedTable>, BackendError> {
    survey_tag(&instance_tag(instance))
}

/// Like [`survey`], for the instance with this tag.
///
/// # Errors
/// Like [`survey`].
pub fn survey_tag(tag: &str) -> Result<Vec<SurveyedTable>, BackendError> {
    let describe = |found: FoundCounters| {
        Ok(SurveyedTable {
            name: format!("{}*", found.name()),
            epoch: found.epoch()?,
            live: found.is_entered,
            sealed: found.is_sealed,
            interfaces: found.layout.interfaces,
            ports: found.layout.ports,
        })
    };
    everything(tag)?.into_iter().map(describe).collect()
}

/// Removes the table of `instance`. Returns one line of text for each thing removed.
///
/// # Errors
/// [`BackendError::Busy`] while an agent runs; nothing has been removed then. Otherwise like [`survey`].
pub fn uninstall(instance: &str) -> Result<Vec<String>, BackendError> {
    uninstall_tag(&instance_tag(instance))
}

/// Like [`uninstall`], for the instance with this tag.
///
/// # Errors
/// Like [`uninstall`].
pub fn uninstall_tag(tag: &str) -> Result<Vec<String>, BackendError> {
    if !has_table_of(tag) {
        return Ok(Vec::new());
    }
    let nft = Nft::find(&search_path());
    // Without `nft` it is not known which interfaces are counted, so no agent may count on any.
    let entered: Option<BTreeSet<String>> = match &nft {
        Ok(nft) => Some(found::everything(nft, tag)?.into_iter().flat_map(|found| found.layout.interfaces).collect()),
        Err(_) => None,
    };
    let netns = kernel::netns()?;
    let present = netlink::interfaces(&BTreeSet::new())?;
    let _locks: Vec<InterfaceLock> = present
        .iter()
        .filter(|interface| entered.as_ref().is_none_or(|entered| entered.contains(&interface.name)))
        .map(|interface| InterfaceLock::take(netns, interface.index, &interface.name, tag))
        .collect::<Result<_, _>>()?;
    let was_there = host::remove_table(tag)?;
    Ok(was_there.then(|| format!("table inet {} of nftables", table(tag))).into_iter().collect())
}

fn everything(tag: &str) -> Result<Vec<FoundCounters>, BackendError> {
    if !has_table_of(tag) {
        return Ok(Vec::new());
    }
    found::everything(&Nft::find(&search_path())?, tag)
}
