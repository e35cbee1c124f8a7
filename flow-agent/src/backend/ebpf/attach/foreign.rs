//! EDGE kernel: checks whether the counter of another instance is attached to a device.

use std::collections::BTreeSet;
use std::path::Path;

use aya::programs::SchedClassifier;
use aya::programs::tc::TcAttachType;

use super::attacher::Attacher;
use super::link::TcxLink;
use crate::backend::ebpf::kernel;
use crate::backend::ebpf::pins::bpffs::{self, Pins};
use crate::backend::ebpf::pins::layout;
use crate::backend::ebpf::set::{GATED_PROGRAMS, PROGRAMS};
use crate::backend::netlink::Direction;
use crate::backend::{BackendError, Cause};

/// Fails if somebody else's counter is attached to the device. `own` holds the ids of this instance's links.
///
/// # Errors
/// [`BackendError::Foreign`], which names the owner as far as it can be found out.
pub fn refuse(
    attacher: &Attacher,
    bpffs: &Path,
    (index, interface): (u32, &str),
    own: &BTreeSet<u32>,
) -> Result<(), BackendError> {
    for direction in Direction::BOTH {
        let owner = match filter_owner(attacher, index, direction)? {
            Some(owner) => Some(owner),
            None => link_owner(attacher, bpffs, (index, interface), direction, own)?,
        };
        if let Some(owner) = owner {
            let (interface, direction) = (interface.to_owned(), direction.name());
            return Err(BackendError::Foreign { interface, direction, owner });
        }
    }
    Ok(())
}

fn filter_owner(attacher: &Attacher, index: u32, direction: Direction) -> Result<Option<String>, BackendError> {
    Ok(attacher
        .filters()
        .list(index, direction)?
        .iter()
        .filter_map(|filter| layout::filter_owner(&filter.name))
        .find(|owner| *owner != attacher.instance)
        .map(|owner| format!("instance {owner}")))
}

fn link_owner(
    attacher: &Attacher,
    bpffs: &Path,
    (index, interface): (u32, &str),
    direction: Direction,
    own: &BTreeSet<u32>,
) -> Result<Option<String>, BackendError> {
    // A kernel without TCX has no links.
    let Ok(Some(hook)) = kernel::query_tcx(index, direction) else { return Ok(None) };
    let strangers: Vec<(u32, u32)> = hook.attached.into_iter().filter(|(_, link)| !own.contains(link)).collect();
    if strangers.is_empty() {
        return Ok(None);
    }
    let others =
        bpffs::instances(bpffs).unwrap_or_default().into_iter().filter(|instance| *instance != attacher.instance);
    for instance in others {
        // Pins that we may not read are skipped: what they hold can still be recognized by the programs' names below.
        let Ok(Some(pins)) = Pins::existing(bpffs, &instance) else { continue };
        for found in pins.links()? {
            let here = (attacher.netns, index, direction);
            if (found.name.netns, found.name.index, found.name.direction) == here
                && TcxLink::open(&found.path)
                    .is_ok_and(|link| strangers.iter().any(|(_, stranger)| *stranger == link.id))
            {
                return Ok(Some(format!("instance {instance}")));
            }
        }
    }
    // Asking for program names needs CAP_SYS_ADMIN. Without it we rely on the locks and the pins.
    let Ok(counters) = counters_at(interface, direction) else { return Ok(None) };
    let stranger = counters.into_iter().find(|counter| strangers.iter().any(|(program, _)| program == counter));
    Ok(stranger.map(|program| format!("program {program} of an instance whose pins are not in {}", bpffs.display())))
}

/// The ids of the programs at a TCX hook that have the names of our programs.
///
/// # Errors
/// When the kernel refuses. It requires CAP_SYS_ADMIN.
pub fn counters_at(interface: &str, direction: Direction) -> Result<Vec<u32>, Cause> {
    let attach_type = match direction {
        Direction::Ingress => TcAttachType::Ingress,
        Direction::Egress => TcAttachType::Egress,
    };
    let (_, programs) = SchedClassifier::query_tcx(interface, attach_type)?;
    let is_counter =
        |name: Option<&str>| name.is_some_and(|name| PROGRAMS.contains(&name) || GATED_PROGRAMS.contains(&name));
    Ok(programs.iter().filter(|program| is_counter(program.name_as_str())).map(|program| program.id()).collect())
}
