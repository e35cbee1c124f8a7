//! What an instance has in the kernel: to be shown, and to be removed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::attach::{Attacher, Mechanism};
use super::filter;
use super::layout::{self, LinkName};
use super::link::Link;
use super::maps;
use super::pins::{self, FoundLink, Pins};
use super::set::{self, Set};
use crate::backend::BackendError;
use crate::backend::host;
use crate::backend::lock::InterfaceLock;
use crate::backend::netlink::{self, Direction};
use crate::ledger::record::CountMode;

/// What an instance has in the kernel, as far as this network namespace sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    pub sets: Vec<SurveyedSet>,
    pub attachments: Vec<SurveyedAttachment>,
}

/// A set of pinned counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedSet {
    pub path: PathBuf,
    pub epoch: String,
    pub count: CountMode,
    pub slots: u32,
    /// The ports that it counts, and those whose last bytes it still holds.
    pub ports: BTreeSet<u16>,
    /// A bucket of it was sealed.
    pub sealed: bool,
}

/// A program that is, or was, attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedAttachment {
    /// The device's name when it was attached.
    pub interface: String,
    /// `ingress` or `egress`.
    pub direction: &'static str,
    /// Whether it is there still.
    pub live: bool,
}

/// Looks at what `instance` has pinned. Changes nothing.
///
/// # Errors
/// When the pins are not to be trusted, are of a newer release, or cannot be read.
pub fn survey(bpffs: &Path, instance: &str) -> Result<Survey, BackendError> {
    let Some(pins) = Pins::existing(bpffs, instance)? else { return Ok(Survey::default()) };
    let mut survey = Survey::default();
    for found in pins.sets()? {
        let ports = if maps::is_complete(&found)? {
            Set::open(&found)?.owners()?.owned().filter_map(|(_, owner)| owner.port()).collect()
        } else {
            BTreeSet::new()
        };
        survey.sets.push(SurveyedSet {
            epoch: set::epoch(&found.name)?,
            path: found.path,
            count: found.name.count,
            slots: found.name.slots,
            ports,
            sealed: found.sealed,
        });
    }
    for found in pins.links()? {
        let live = is_live(instance, &found)?;
        let LinkName { direction, interface, .. } = found.name;
        survey.attachments.push(SurveyedAttachment { interface, direction: direction.name(), live });
    }
    Ok(survey)
}

/// Removes everything that `instance` has in the kernel: programs, filters, pins, and the qdiscs that it made and that
/// are empty. What was removed is told, a line each.
///
/// # Errors
/// [`BackendError::Busy`] while an agent runs: nothing was removed. Else as [`survey`].
pub fn uninstall(bpffs: &Path, instance: &str) -> Result<Vec<String>, BackendError> {
    let pins = Pins::existing(bpffs, instance)?;
    let netns = host::netns()?;
    let (sets, links) = match &pins {
        Some(pins) => (pins.sets()?, pins.links()?),
        None => (Vec::new(), Vec::new()),
    };
    let here = links.iter().filter(|found| found.name.netns == netns);
    let locked: BTreeSet<(u32, &str)> = here.map(|found| (found.name.index, found.name.interface.as_str())).collect();
    let _locks: Vec<InterfaceLock> = locked
        .into_iter()
        .map(|(index, interface)| InterfaceLock::take(netns, index, interface, instance))
        .collect::<Result<_, _>>()?;

    let attacher = attacher(instance, netns, Mechanism::Tcx);
    let mut removed = Vec::new();
    for found in &links {
        attacher.remove(found)?;
        let what = if found.is_tcx { "link" } else { "filter" };
        removed.push(format!("{what} on {} ({})", found.name.interface, found.name.direction));
    }
    removed.extend(remove_filters(instance, netns)?);
    if let Some(pins) = &pins {
        let qdiscs = filter::give_back_qdiscs(pins, netns)?;
        removed.extend(qdiscs.into_iter().map(|index| format!("clsact qdisc of interface {index}")));
        // Those of namespaces that are out of reach, or gone.
        for (qdisc_netns, index) in pins.own_qdiscs()? {
            pins::remove(&pins.clsact_path(qdisc_netns, index))?;
        }
        for found in sets {
            pins::remove_set(&found.path)?;
            removed.push(format!("counters {}", found.path.display()));
        }
        pins.end_removals()?;
        pins.remove_if_empty();
    }
    Ok(removed)
}

/// Filters of this instance whose pins are lost, or that were never pinned.
fn remove_filters(instance: &str, netns: u64) -> Result<Vec<String>, BackendError> {
    let netlink = |source| BackendError::Netlink { action: "list the filters", source };
    let mut removed = Vec::new();
    for interface in netlink::interfaces(&BTreeSet::new())? {
        for direction in Direction::BOTH {
            let filters = netlink::filters(interface.index, direction).map_err(netlink)?;
            let is_own = |filter: &netlink::Filter| {
                filter.is_at_our_place() && layout::filter_owner(&filter.name) == Some(instance)
            };
            if filters.iter().any(is_own) {
                let (index, interface) = (interface.index, interface.name.clone());
                removed.push(format!("filter on {interface} ({direction})"));
                filter::remove_filter(&LinkName { netns, index, direction, interface })?;
            }
        }
    }
    Ok(removed)
}

fn is_live(instance: &str, found: &FoundLink) -> Result<bool, BackendError> {
    let netns = host::netns()?;
    if found.name.netns != netns {
        return Ok(false);
    }
    let (mechanism, link) = if found.is_tcx {
        let opened = Link::open(&found.path);
        let link =
            opened.map_err(|source| BackendError::Load { what: "pinned link".into(), source: Box::new(source) })?;
        (Mechanism::Tcx, Some(link.id))
    } else {
        (Mechanism::Clsact, None)
    };
    attacher(instance, netns, mechanism).is_live(found, link)
}

fn attacher(instance: &str, netns: u64, mechanism: Mechanism) -> Attacher {
    Attacher { mechanism, netns, instance: instance.to_owned(), pins: None }
}
