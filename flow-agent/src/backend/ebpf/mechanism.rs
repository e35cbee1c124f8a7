//! EDGE kernel: which way programs are attached: by TCX links, or by filters on clsact.

use std::collections::BTreeSet;

use super::attach::attacher::{Attacher, Mechanism};
use super::kernel;
use super::predecessors::EbpfPredecessors;
use crate::backend::interface::Interface;
use crate::backend::netlink::Direction;
use crate::backend::{AttachPlace, BackendError};

/// To attach to TCX, the kernel waits for an RCU grace period, some 16 ms on an idle machine, for each direction of each
/// device, and holds the lock of all network configuration meanwhile: more threads gain nothing. A filter waits for nothing,
/// and costs each packet more. To more devices at once than these, programs are attached by filters.
const MOST_BY_TCX: usize = 100;

/// How a predecessor attached, and what others did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Circumstances {
    devices: usize,
    /// A predecessor's links are there.
    has_links: bool,
    /// A predecessor's filters are there.
    has_filters: bool,
    /// At one of the devices, programs of others are on TCX, where packets meet them before any filter, or something keeps
    /// filters away.
    is_against_filters: bool,
}

/// What `place` means on this kernel, for a start that counts on `chosen`.
///
/// # Errors
/// When the kernel cannot be asked.
pub fn choose(
    place: AttachPlace,
    attacher: &Attacher,
    before: &EbpfPredecessors,
    chosen: &[Interface],
) -> Result<Mechanism, BackendError> {
    match place {
        AttachPlace::Tcx => return Ok(Mechanism::Tcx),
        AttachPlace::Clsact => return Ok(Mechanism::Clsact),
        AttachPlace::Auto => {}
    }
    let asked = kernel::has_tcx();
    if !asked.map_err(|source| BackendError::Load { what: "programs".into(), source: Box::new(source) })? {
        return Ok(Mechanism::Clsact);
    }
    let here = || before.links.iter().filter(|(found, _)| found.name.netns == attacher.netns);
    let (has_links, has_filters) = (here().any(|(found, _)| found.is_tcx), here().any(|(found, _)| !found.is_tcx));
    if !has_filters && (has_links || chosen.len() <= MOST_BY_TCX) {
        // As nearly always: nobody has to be asked.
        return Ok(Mechanism::Tcx);
    }
    let own = before.link_ids();
    let mut is_against_filters = false;
    for interface in chosen {
        is_against_filters = is_against_filters || refuses_filters(attacher, interface.index, &own)?;
    }
    let mechanism = decide(Circumstances { devices: chosen.len(), has_links, has_filters, is_against_filters });
    if mechanism == Mechanism::Clsact {
        tracing::info!(interfaces = chosen.len(), "attached by filters on clsact, for TCX takes long at so many");
    }
    Ok(mechanism)
}

/// What a predecessor attached by stays: another way would leave a gap.
fn decide(circumstances: Circumstances) -> Mechanism {
    let Circumstances { devices, has_links, has_filters, is_against_filters } = circumstances;
    match () {
        () if is_against_filters || has_links => Mechanism::Tcx,
        () if has_filters || devices > MOST_BY_TCX => Mechanism::Clsact,
        () => Mechanism::Tcx,
    }
}

fn refuses_filters(attacher: &Attacher, index: u32, own: &BTreeSet<u32>) -> Result<bool, BackendError> {
    if !attacher.filters().has_room(index)? {
        return Ok(true);
    }
    for direction in Direction::BOTH {
        let hook = kernel::query_tcx(index, direction).ok().flatten().unwrap_or_default();
        if hook.attached.iter().any(|(_, link)| !own.contains(link)) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests;
