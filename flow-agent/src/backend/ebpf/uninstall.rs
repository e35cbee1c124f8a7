//! Shows and removes everything that an instance has in the kernel.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::attach::attacher::{Attacher, Mechanism};
use super::attach::filter::{self, QdiscList};
use super::attach::link::TcxLink;
use super::instances;
use super::maps::spec;
use super::pins::bpffs::{self, FoundLink, Pins};
use super::pins::layout::LinkName;
use super::set::{self, MapSet};
use crate::backend::BackendError;
use crate::backend::host;
use crate::backend::lock::InterfaceLock;
use crate::ledger::record::CountMode;

/// What an instance has in the kernel, as far as it is visible in this network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    pub sets: Vec<SurveyedPins>,
    pub attachments: Vec<SurveyedAttachment>,
}

/// A set of pinned counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedPins {
    pub path: PathBuf,
    pub epoch: String,
    pub count: CountMode,
    pub slots: u32,
    /// The ports that it counts, and draining ports whose last bytes it still holds.
    pub ports: BTreeSet<u16>,
    /// Whether a bucket of this set has been sealed.
    pub sealed: bool,
}

/// A program that is or was attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyedAttachment {
    /// The device's name at the time the program was attached.
    pub interface: String,
    /// `ingress` or `egress`.
    pub direction: &'static str,
    /// Whether it is still attached.
    pub live: bool,
}

/// Lists what `instance` has in the kernel, without changing anything.
///
/// # Errors
/// When the pins are not safe to use, were made by a newer release, or cannot be read.
pub fn survey(bpffs: &Path, instance: &str) -> Result<Survey, BackendError> {
    let (sets, links) = match Pins::existing(bpffs, instance)? {
        Some(pins) => (pins.sets()?, pins.links()?),
        None => (Vec::new(), Vec::new()),
    };
    let mut survey = Survey::default();
    for found in sets {
        let ports = if spec::is_complete(&found)? {
            MapSet::open(&found)?.owners()?.owned().filter_map(|(_, owner)| owner.port()).collect()
        } else {
            BTreeSet::new()
        };
        survey.sets.push(SurveyedPins {
            epoch: set::epoch(&found.name)?,
            path: found.path,
            count: found.name.count,
            slots: found.name.slots,
            ports,
            sealed: found.sealed,
        });
    }
    for found in links {
        let live = is_live(instance, &found)?;
        let LinkName { direction, interface, .. } = found.name;
        survey.attachments.push(SurveyedAttachment { interface, direction: direction.name(), live });
    }
    for LinkName { direction, interface, .. } in own_filters(instance, host::netns()?)? {
        let attachment = SurveyedAttachment { interface, direction: direction.name(), live: true };
        if !survey.attachments.contains(&attachment) {
            survey.attachments.push(attachment);
        }
    }
    Ok(survey)
}

/// Removes everything that `instance` has in the kernel: programs, filters, pins, and the qdiscs that it made, if they
/// are empty. Returns one line of text for each thing removed.
///
/// # Errors
/// [`BackendError::Busy`] while an agent runs; nothing has been removed then. Otherwise like [`survey`].
pub fn uninstall(bpffs: &Path, instance: &str) -> Result<Vec<String>, BackendError> {
    let pins = Pins::existing(bpffs, instance)?;
    let netns = host::netns()?;
    let (sets, links) = match &pins {
        Some(pins) => (pins.sets()?, pins.links()?),
        None => (Vec::new(), Vec::new()),
    };
    // The locks also cover attachments in other network namespaces, where an agent may be running as well.
    let filters = own_filters(instance, netns)?;
    let attached: BTreeSet<(u64, u32, &str)> = links
        .iter()
        .map(|found| &found.name)
        .chain(&filters)
        .map(|name| (name.netns, name.index, name.interface.as_str()))
        .collect();
    let _locks: Vec<InterfaceLock> = attached
        .into_iter()
        .map(|(netns, index, interface)| InterfaceLock::take(netns, index, interface, instance))
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
        // The remaining records concern namespaces that are out of reach or gone.
        for (qdisc_netns, index) in pins.own_qdiscs()? {
            bpffs::remove(&pins.clsact_path(qdisc_netns, index))?;
        }
        for found in sets {
            bpffs::remove_set(&found.path)?;
            removed.push(format!("counters {}", found.path.display()));
        }
        if let Some(gate) = pins.gate()? {
            bpffs::remove_set(&gate.path)?;
            removed.push(format!("limits {}", gate.path.display()));
        }
        pins.end_removals()?;
        pins.remove_if_empty();
    }
    Ok(removed)
}

/// Removes filters of this instance that are not pinned, or whose pins were lost.
fn remove_filters(instance: &str, netns: u64) -> Result<Vec<String>, BackendError> {
    let mut removed = Vec::new();
    for name in own_filters(instance, netns)? {
        filter::remove(&name)?;
        removed.push(format!("filter on {} ({})", name.interface, name.direction));
    }
    Ok(removed)
}

/// The places where this instance has filters, pinned or not.
fn own_filters(instance: &str, netns: u64) -> Result<Vec<LinkName>, BackendError> {
    let owned = instances::filter_owners(netns)?.into_iter().filter(|(owner, _)| owner == instance);
    Ok(owned.map(|(_, name)| name).collect())
}

fn is_live(instance: &str, found: &FoundLink) -> Result<bool, BackendError> {
    let netns = host::netns()?;
    if found.name.netns != netns {
        return Ok(false);
    }
    let (mechanism, link) = if found.is_tcx {
        let opened = TcxLink::open(&found.path);
        let link =
            opened.map_err(|source| BackendError::Load { what: "pinned link".into(), source: Box::new(source) })?;
        (Mechanism::Tcx, Some(link.id))
    } else {
        (Mechanism::Clsact, None)
    };
    attacher(instance, netns, mechanism).is_live(found, link)
}

fn attacher(instance: &str, netns: u64, mechanism: Mechanism) -> Attacher {
    Attacher { mechanism, netns, instance: instance.to_owned(), pins: None, qdiscs: QdiscList::default() }
}
