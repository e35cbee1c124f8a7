//! EDGE kernel: chooses how programs are attached: with TCX links, or with filters on clsact.

use std::collections::BTreeSet;

use super::attach::attacher::{Attacher, Mechanism};
use super::kernel;
use super::predecessors::EbpfPredecessors;
use crate::backend::interface::Interface;
use crate::backend::netlink::Direction;
use crate::backend::{AttachPlace, BackendError};

/// With more devices than this, programs are attached by filters. For each direction of each device, attaching to TCX
/// waits for an RCU grace period, some 16 ms on an idle machine, and holds the kernel's lock on network configuration
/// meanwhile, so more threads would not help. Filters attach without waiting, but cost more per packet.
const MOST_BY_TCX: usize = 100;

/// What the choice depends on: how a predecessor attached, and what others attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Circumstances {
    devices: usize,
    /// There are links of a predecessor.
    has_links: bool,
    /// There are filters of a predecessor.
    has_filters: bool,
    /// On one of the devices, programs of others are attached by TCX, where packets meet them before any filter, or
    /// something blocks our filters.
    is_against_filters: bool,
}

/// The mechanism that the configured `place` means on this kernel, for a start that counts on `chosen`.
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
        // The usual case: no device has to be queried.
        return Ok(Mechanism::Tcx);
    }
    let own = before.link_ids();
    let mut is_against_filters = false;
    for interface in chosen {
        is_against_filters = is_against_filters || refuses_filters(attacher, interface.index, &own)?;
    }
    let mechanism = decide(Circumstances { devices: chosen.len(), has_links, has_filters, is_against_filters });
    if mechanism == Mechanism::Clsact {
        tracing::info!(
            interfaces = chosen.len(),
            "attaching clsact filters, because TCX takes long with this many interfaces"
        );
    }
    Ok(mechanism)
}

/// Keeps the mechanism of a predecessor where possible, because a change would leave a gap.
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
