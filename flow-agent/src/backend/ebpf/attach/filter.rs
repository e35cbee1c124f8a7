//! EDGE kernel: attaching by filters on a clsact qdisc, for kernels without TCX.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;

use aya::programs::SchedClassifier;

use crate::backend::ebpf::pins::bpffs::{self, Pins};
use crate::backend::ebpf::pins::layout::{self, LinkName, MapSetName};
use crate::backend::netlink::{self, Direction};
use crate::backend::{BackendError, Cause};

/// A cache of the qdiscs at the ingress hooks of all devices, so that one listing serves many lookups.
#[derive(Clone, Debug, Default)]
pub struct QdiscList(RefCell<Option<BTreeMap<u32, String>>>);

impl QdiscList {
    /// Makes the next lookup ask the kernel again, because other programs add and delete qdiscs.
    pub fn refresh(&self) {
        *self.0.borrow_mut() = None;
    }

    /// The kind of the qdisc at a device's ingress hook: `clsact`, `ingress` or none.
    fn of(&self, index: u32) -> io::Result<Option<String>> {
        let mut list = self.0.borrow_mut();
        let known = match list.take() {
            Some(known) => known,
            None => netlink::ingress_qdiscs()?,
        };
        Ok(list.insert(known).get(&index).cloned())
    }

    fn is_clsact(&self, index: u32) -> io::Result<bool> {
        if self.of(index)?.as_deref() == Some("clsact") {
            return Ok(true);
        }
        // The qdisc may have been added after the list was made.
        self.refresh();
        Ok(self.of(index)?.as_deref() == Some("clsact"))
    }

    /// Records that the device has a clsact qdisc now.
    fn add_clsact(&self, index: u32) {
        self.0.borrow_mut().iter_mut().for_each(|list| drop(list.insert(index, "clsact".to_owned())));
    }
}

/// The filters of one instance. "Our place" is the handle and priority under which every instance puts its filter.
#[derive(Clone, Copy, Debug)]
pub struct Filters<'a> {
    pub instance: &'a str,
    /// The pins also record which qdiscs this instance made.
    pub pins: Option<&'a Pins>,
    pub qdiscs: &'a QdiscList,
}

impl Filters<'_> {
    /// The filters of one direction of a device in the order in which packets meet them. Empty if the device has no
    /// clsact.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn list(&self, index: u32, direction: Direction) -> Result<Vec<netlink::Filter>, BackendError> {
        let failed = |source| BackendError::Netlink { action: "list the filters", source };
        let filters = netlink::filters_at_hook(index, direction).map_err(failed)?;
        if filters.is_empty() || self.qdiscs.is_clsact(index).map_err(failed)? {
            return Ok(filters);
        }
        Ok(Vec::new())
    }

    /// Whether a filter of ours can be attached to a device, that is, whether no foreign qdisc or filter is in the way.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn has_room(&self, index: u32) -> Result<bool, BackendError> {
        let failed = |source| BackendError::Netlink { action: "list the qdiscs", source };
        match self.qdiscs.of(index).map_err(failed)?.as_deref() {
            None => return Ok(true),
            Some("clsact") => {}
            Some(_) => return Ok(false),
        }
        for direction in Direction::BOTH {
            let filters = self.list(index, direction)?;
            let is_foreign = |filter: &netlink::Filter| {
                filter.is_at_our_place() && layout::filter_owner(&filter.name) != Some(self.instance)
            };
            if filters.iter().any(|filter| filter.blocks_our_place() || is_foreign(filter)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether this instance owns the filter at our place on this device.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn has_own(&self, name: &LinkName) -> Result<bool, BackendError> {
        let filters = self.list(name.index, name.direction)?;
        let is_own = |filter: &netlink::Filter| layout::filter_owner(&filter.name) == Some(self.instance);
        Ok(filters.iter().any(|filter| filter.is_at_our_place() && is_own(filter)))
    }

    /// Puts `program` at our place, and adds a clsact qdisc if the device has none. Returns whether this instance made
    /// the qdisc.
    ///
    /// # Errors
    /// When the kernel refuses, or a foreign qdisc or filter is in the way.
    pub fn attach(&self, program: &SchedClassifier, name: &LinkName, set: &MapSetName) -> Result<bool, BackendError> {
        let qdisc_is_ours = self.ensure_clsact(name)?;
        let filters = self.list(name.index, name.direction)?;
        if let Some(blocking) = filters.iter().find(|filter| filter.blocks_our_place()) {
            let (interface, kind) = (name.interface.clone(), blocking.kind.clone());
            return Err(BackendError::FilterPlace { interface, direction: name.direction.name(), kind });
        }
        let present = filters.iter().find(|filter| filter.is_at_our_place());
        if let Some(foreign) = present
            && layout::filter_owner(&foreign.name) != Some(self.instance)
        {
            let (interface, owner) = (name.interface.clone(), format!("filter {}", foreign.name));
            return Err(BackendError::Foreign { interface, direction: name.direction.name(), owner });
        }
        let replace = present.is_some();
        self.set(program, name, set, replace).map_err(|source| {
            let is_absent = source.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound);
            // The device and its qdisc exist, so the only thing a new filter can lack is support for its kind.
            if is_absent && !replace {
                return BackendError::Lacks { what: "`bpf` filter (module cls_bpf)" };
            }
            name.failed(source)
        })?;
        Ok(qdisc_is_ours)
    }

    /// Sets the filter at our place to `program`. With `replace`, an existing filter is replaced atomically.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set(
        &self,
        program: &SchedClassifier,
        name: &LinkName,
        set: &MapSetName,
        replace: bool,
    ) -> Result<(), Cause> {
        let filter = layout::filter_name(self.instance, set);
        Ok(netlink::set_filter(name.index, name.direction, program.fd()?.as_fd(), &filter, replace)?)
    }

    /// Adds a clsact qdisc if there is none, and records that it is ours. Returns whether it is ours, from now or from
    /// before.
    fn ensure_clsact(&self, name: &LinkName) -> Result<bool, BackendError> {
        let netlink = |source| BackendError::Netlink { action: "list the qdiscs", source };
        let note = self.pins.map(|pins| pins.clsact_path(name.netns, name.index));
        match self.qdiscs.of(name.index).map_err(netlink)?.as_deref() {
            Some("clsact") => return note.map_or(Ok(false), |note| bpffs::exists(&note)),
            Some(kind) => {
                let (interface, kind) = (name.interface.clone(), kind.to_owned());
                return Err(BackendError::Qdisc { interface, kind });
            }
            None => {}
        }
        // The record comes first: a qdisc of ours without a record would never be removed.
        if let Some(note) = &note {
            bpffs::ensure_directory(note)?;
        }
        let added = netlink::add_clsact(name.index).map_err(|source| match source.kind() {
            ErrorKind::NotFound => BackendError::Lacks { what: "`clsact` qdisc (module sch_ingress)" },
            _ => name.failed(Box::new(source)),
        });
        if let (Err(_), Some(note)) = (&added, &note) {
            bpffs::remove(note)?;
        }
        self.qdiscs.add_clsact(name.index);
        added.map(|()| true)
    }
}

/// Removes the filter at our place, whoever made it. It is not an error if the device or the filter does not exist.
///
/// # Errors
/// When the kernel refuses.
pub fn remove(name: &LinkName) -> Result<(), BackendError> {
    let netlink = |source| BackendError::Netlink { action: "remove a filter", source };
    let filters = netlink::filters(name.index, name.direction).map_err(netlink)?;
    if filters.iter().any(netlink::Filter::is_at_our_place) {
        netlink::delete_filter(name.index, name.direction).map_err(netlink)?;
    }
    Ok(())
}

/// Removes the empty qdiscs that this instance made in this network namespace. Returns the indexes of their devices.
///
/// # Errors
/// When the kernel refuses.
pub fn give_back_qdiscs(pins: &Pins, netns: u64) -> Result<Vec<u32>, BackendError> {
    let mut removed = Vec::new();
    for (_, index) in pins.own_qdiscs()?.into_iter().filter(|(qdisc_netns, _)| *qdisc_netns == netns) {
        if remove_empty_clsact(index)? {
            removed.push(index);
        }
        bpffs::remove(&pins.clsact_path(netns, index))?;
    }
    Ok(removed)
}

fn remove_empty_clsact(index: u32) -> Result<bool, BackendError> {
    let netlink = |source| BackendError::Netlink { action: "remove a qdisc", source };
    if netlink::ingress_qdisc(index).map_err(netlink)?.as_deref() != Some("clsact") {
        return Ok(false);
    }
    for direction in Direction::BOTH {
        if !netlink::filters(index, direction).map_err(netlink)?.is_empty() {
            return Ok(false);
        }
    }
    netlink::delete_clsact(index).map_err(netlink)?;
    Ok(true)
}
