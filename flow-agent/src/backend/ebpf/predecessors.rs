//! What predecessors left in the pins: their sets of counters and their attachments.

use std::collections::BTreeSet;

use super::attach::attacher::Attacher;
use super::attach::link::TcxLink;
use super::pins::bpffs::{FoundLink, FoundSet};
use super::pins::layout::LinkName;
use crate::backend::BackendError;
use crate::backend::interface::Interface;
use crate::backend::interfaces::Patterns;
use crate::backend::left::COUNTERS_GONE;
use crate::backend::netlink::{self, Direction};

/// The sets and attachments that predecessors left.
pub struct EbpfPredecessors {
    pub sets: Vec<FoundSet>,
    /// The attachments, with the ids of those that are TCX links.
    pub links: Vec<(FoundLink, Option<u32>)>,
    /// There are no sets now, although one existed since this boot.
    pub is_newest_gone: bool,
}

impl EbpfPredecessors {
    /// Reads the pins, if there are any.
    ///
    /// # Errors
    /// When they are not safe to use, were made by a newer release, or cannot be read.
    pub fn find(attacher: &Attacher) -> Result<Self, BackendError> {
        let Some(pins) = &attacher.pins else {
            return Ok(Self { sets: Vec::new(), links: Vec::new(), is_newest_gone: false });
        };
        let sets = pins.sets()?;
        let mut links = Vec::new();
        for found in pins.links()? {
            let id =
                if found.is_tcx {
                    let opened = TcxLink::open(&found.path).map(|link| link.id);
                    Some(opened.map_err(|source| BackendError::Load {
                        what: "pinned link".into(),
                        source: Box::new(source),
                    })?)
                } else {
                    None
                };
            links.push((found, id));
        }
        Ok(Self { sets, links, is_newest_gone: false })
    }

    /// The ids of the attachments that are TCX links.
    pub fn link_ids(&self) -> BTreeSet<u32> {
        self.links.iter().filter_map(|(_, id)| *id).collect()
    }

    /// The names of the interfaces that predecessors counted.
    pub fn interfaces(&self) -> BTreeSet<String> {
        self.links.iter().map(|(found, _)| found.name.interface.clone()).collect()
    }

    /// The attachment to one direction of a device that can be taken over. All others at that place are removed.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn take_live(
        &self,
        attacher: &Attacher,
        index: u32,
        direction: Direction,
    ) -> Result<Option<&FoundLink>, BackendError> {
        let place = (attacher.netns, index, direction);
        let mut live = None;
        for (found, link) in &self.links {
            if (found.name.netns, found.name.index, found.name.direction) != place {
                continue;
            }
            if live.is_none() && attacher.is_live(found, *link)? {
                live = Some(found);
            } else {
                attacher.remove(found)?;
            }
        }
        Ok(live)
    }

    /// What happened to the counters, if they were removed while no agent ran, or none is attached any more in this
    /// network namespace. `is_newest_ours` says whether the newest reading on disk came from counters of eBPF since this
    /// boot.
    pub fn why_damaged(&self, netns: u64, is_newest_ours: bool) -> Option<&'static str> {
        if !is_newest_ours {
            return None;
        }
        if self.sets.is_empty() {
            return Some(COUNTERS_GONE);
        }
        let is_here = |(found, _): &(FoundLink, Option<u32>)| found.name.netns == netns;
        (!self.links.iter().any(is_here)).then_some("nothing was attached any more")
    }

    /// The interfaces on which a program is not attached any more, with the reason. Interfaces that are gone are left
    /// out.
    ///
    /// # Errors
    /// When the kernel refuses to show the interfaces, or what is attached.
    pub fn detached(&self, attacher: &Attacher) -> Result<Vec<(String, &'static str)>, BackendError> {
        let present = netlink::interfaces(&BTreeSet::new())?;
        let mut detached = Vec::new();
        for (found, link) in self.links.iter().filter(|(found, _)| found.name.netns == attacher.netns) {
            let LinkName { index, interface, .. } = &found.name;
            if present.iter().any(|device| device.index == *index) {
                if !attacher.is_attached(found, *link)? {
                    detached.push((interface.clone(), "the counter was detached while no agent ran"));
                }
            } else if present.iter().any(|device| device.name == *interface) {
                detached.push((interface.clone(), "the interface was made again while no agent ran"));
            }
        }
        detached.dedup();
        Ok(detached)
    }

    /// The reason why a device that had to be attached again was not counted until now, if it should have been.
    pub fn why_unseen(&self, interface: &Interface, netns: u64, patterns: &Patterns) -> Option<&'static str> {
        let same_device = |found: &FoundLink| (found.name.netns, found.name.index) == (netns, interface.index);
        if self.links.iter().any(|(found, _)| same_device(found)) {
            return Some("the counter was detached while no agent ran");
        }
        if self.links.iter().any(|(found, _)| found.name.interface == interface.name) {
            return Some("the interface was made again while no agent ran");
        }
        if self.is_newest_gone {
            return Some("the counters were gone when the agent started");
        }
        if self.sets.is_empty() {
            return None;
        }
        if self.links.is_empty() {
            return Some("nothing was attached any more");
        }
        // A literal name may have been added to the configuration just now. A glob was configured before, so the device
        // is new.
        (!patterns.name_literally(&interface.name)).then_some("the interface appeared while no agent ran")
    }
}
