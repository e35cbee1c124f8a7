//! What an instance has in the kernel: to be shown, and to be removed.

use std::collections::BTreeSet;

use super::found;
use super::host::search_path::search_path;
use super::model::set_name::instance_tag;
use crate::backend::lock::InterfaceLock;
use crate::backend::{BackendError, host, netlink};

/// A set of counters in rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedRules {
    /// What the names of its chains begin with.
    pub chains: String,
    pub epoch: String,
    /// Where it lies, as `IPv4 mangle`.
    pub tables: Vec<String>,
    pub interfaces: Vec<String>,
    /// The ports that it counts, and those whose last bytes it still holds.
    pub ports: BTreeSet<u16>,
    /// Packets enter it.
    pub live: bool,
    /// A bucket of it was sealed.
    pub sealed: bool,
}

/// Looks at what `instance` has in the tables of this network namespace. Changes nothing.
///
/// # Errors
/// When a table cannot be read, or holds chains of a newer release.
pub fn survey(instance: &str) -> Result<Vec<SurveyedRules>, BackendError> {
    survey_tag(&instance_tag(instance))
}

/// [`survey`], of the instance whose tag this is.
///
/// # Errors
/// As [`survey`].
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

/// Removes every chain and rule of `instance`, and the tables and built-in chains that were made for them and are empty.
/// What was removed is told, a line each.
///
/// # Errors
/// [`BackendError::Busy`] while an agent runs: nothing was removed. Else as [`survey`].
pub fn uninstall(instance: &str) -> Result<Vec<String>, BackendError> {
    uninstall_tag(&instance_tag(instance))
}

/// [`uninstall`], of the instance whose tag this is.
///
/// # Errors
/// As [`uninstall`].
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
                // The others go, whatever is wrong with this one.
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
