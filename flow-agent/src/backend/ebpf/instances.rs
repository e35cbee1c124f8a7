//! What agents of any state directory have in the kernel, as far as this network namespace and this bpffs show it.

use std::collections::BTreeSet;
use std::path::Path;

use super::attach::foreign;
use super::attach::link::TcxLink;
use super::kernel;
use super::pins::bpffs::{self, Pins};
use super::pins::layout::{self, LinkName};
use crate::backend::lock::InterfaceLock;
use crate::backend::netlink::{self, Direction, Filter};
use crate::backend::{BackendError, host};

/// A counter attached by TCX that is not pinned in this bpffs. Nothing shows whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    pub interface: String,
    index: u32,
    /// `ingress` or `egress`.
    pub direction: &'static str,
    /// The id of its link.
    pub link: u32,
}

/// The ids of all instances that have pins in this bpffs, or filters on the devices of this network namespace.
///
/// # Errors
/// When the pins or filters cannot be read.
pub fn instances(bpffs: &Path) -> Result<BTreeSet<String>, BackendError> {
    let mut ids: BTreeSet<String> = bpffs::instances(bpffs)?.into_iter().collect();
    ids.extend(filter_owners(host::netns()?)?.into_iter().map(|(owner, _)| owner));
    Ok(ids)
}

/// The filters of all instances on the devices of this network namespace, whose inode is `netns`.
///
/// # Errors
/// When the kernel does not answer.
pub(super) fn filter_owners(netns: u64) -> Result<Vec<(String, LinkName)>, BackendError> {
    let failed = |source| BackendError::Netlink { action: "list the filters", source };
    let mut owners = Vec::new();
    for device in netlink::interfaces(&BTreeSet::new())? {
        for direction in Direction::BOTH {
            let filters = netlink::filters(device.index, direction).map_err(failed)?;
            let owner = |filter: &Filter| layout::filter_owner(&filter.name).map(ToOwned::to_owned);
            let found = filters.iter().filter(|filter| filter.is_at_our_place()).find_map(owner);
            let (index, interface) = (device.index, device.name.clone());
            owners.extend(found.map(|owner| (owner, LinkName { netns, index, direction, interface })));
        }
    }
    Ok(owners)
}

/// The counters attached by TCX in this network namespace that are not pinned in `bpffs`. The list is empty if the
/// kernel has no TCX, or does not reveal program names, which requires CAP_SYS_ADMIN.
///
/// # Errors
/// When the pins cannot be read.
pub fn strays(bpffs: &Path) -> Result<Vec<Stray>, BackendError> {
    let mut pinned = BTreeSet::new();
    for instance in bpffs::instances(bpffs)? {
        let links = Pins::existing(bpffs, &instance)?.map_or(Ok(Vec::new()), |pins| pins.links())?;
        pinned.extend(links.iter().filter_map(|found| TcxLink::open(&found.path).ok()).map(|link| link.id));
    }
    let mut strays = Vec::new();
    for device in netlink::interfaces(&BTreeSet::new())? {
        for direction in Direction::BOTH {
            let Ok(Some(hook)) = kernel::query_tcx(device.index, direction) else { continue };
            if hook.attached.is_empty() {
                continue;
            }
            let Ok(counters) = foreign::counters_at(&device.name, direction) else { continue };
            let is_stray =
                |(program, link): &(u32, u32)| *link != 0 && counters.contains(program) && !pinned.contains(link);
            strays.extend(hook.attached.into_iter().filter(is_stray).map(|(_, link)| Stray {
                interface: device.name.clone(),
                index: device.index,
                direction: direction.name(),
                link,
            }));
        }
    }
    Ok(strays)
}

/// Detaches a counter that is not pinned.
///
/// # Errors
/// [`BackendError::Busy`] while an agent counts on its device, or an error when the kernel refuses.
pub fn remove_stray(stray: &Stray) -> Result<(), BackendError> {
    let _lock = InterfaceLock::take(host::netns()?, stray.index, &stray.interface, "to be removed")?;
    let (interface, direction) = (stray.interface.clone(), stray.direction);
    let detached = TcxLink::by_id(stray.link).and_then(|link| link.detach());
    match detached {
        // It has ended by itself meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| BackendError::Attach { interface, direction, source: Box::new(source) }),
    }
}
