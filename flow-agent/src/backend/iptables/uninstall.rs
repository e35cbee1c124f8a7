//! Shows and removes everything that an instance has in the kernel.

use std::collections::BTreeSet;

use super::found;
use super::host::search_path::search_path;
use super::model::set_name::instance_tag;
use crate::backend::lock::InterfaceLock;
use crate::backend::{BackendError, host, netlink};

/// A set of counters in rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedRules {
    /// The common prefix of the names of its chains.
    pub chains: String,
    pub epoch: String,
    /// Its tables, such as `IPv4 mangle`.
    pub tables: Vec<String>,
    pub interfaces: Vec<String>,
    /// The ports that it counts, and draining ports whose last bytes it still holds.
    pub ports: BTreeSet<u16>,
    /// Whether packets enter it.
    pub live: bool,
    /// Whether a bucket of this set has been sealed.
    pub sealed: bool,
}

/// Lists what `instance` has in the tables of this network namespace, without changing anything.
///
/// # Errors
/// When a table cannot be read, or contains chains of a newer release.
pub fn survey(instance: &str) -> Result<Vec<SurveyedRules>, BackendError> {
    survey_tag(&instance_tag(instance))
}

/// Like [`survey`], for the instance with this tag.
///
/// # Errors
/// Like [`survey`].
pub fn survey_tag(tag: &str) -> Result<Vec<SurveyedRules>, BackendError> {
    let mut surveyed = Vec::new();
    for (name, pieces) in found::everywhere(&search_path(), tag)? {
        let views = || pieces.iter().filter_map(|piece| piece.view.as_ref().ok());
        surveyed.push(SurveyedRules {
            epoch: found::epoch(&name)?,
            tables: pieces.iter().map(|piece| piece.tools.to_string()).collect(),
            interfaces: views()
                .flat_map(|view| view.layout.interfaces.clone())
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            ports: pieces.iter().flat_map(|piece| piece.remains.keys().copied()).collect(),
            live: pieces.iter().any(|piece| piece.jumps != [0, 0]),
            sealed: pieces.iter().any(|piece| piece.marks.sealed),
            chains: format!("{name}*"),
        });
    }
    Ok(surveyed)
}

/// Removes every chain and rule of `instance`, and the tables and built-in chains that were made for them, if they are
/// empty. Returns one line of text for each thing removed.
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
    let sets = found::everywhere(&search_path(), tag)?;
    let entered: BTreeSet<&String> = sets
        .values()
        .flatten()
        .filter_map(|piece| piece.view.as_ref().ok())
        .flat_map(|view| &view.layout.interfaces)
        .collect();
    let netns = host::netns()?;
    let present = netlink::interfaces(&BTreeSet::new())?;
    let _locks: Vec<InterfaceLock> = present
        .iter()
        .filter(|interface| entered.contains(&interface.name))
        .map(|interface| InterfaceLock::take(netns, interface.index, &interface.name, tag))
        .collect::<Result<_, _>>()?;
    let mut removed = Vec::new();
    let mut failed = None;
    for (name, pieces) in &sets {
        for piece in pieces {
            if let Err(error) = piece.delete() {
                // The other pieces are removed even if this one cannot be.
                failed.get_or_insert(error);
                continue;
            }
            let what = if piece.has_ipsets() { "chains and ipsets" } else { "chains" };
            removed.push(format!("{what} {name}* of {}", piece.tools));
        }
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(removed),
    }
}
