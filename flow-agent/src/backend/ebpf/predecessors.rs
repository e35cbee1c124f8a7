//! What predecessors left in the pins: their sets of counters, and what they attached.

use std::collections::BTreeSet;

use super::attach::attacher::Attacher;
use super::attach::link::TcxLink;
use super::pins::bpffs::{FoundLink, FoundSet};
use crate::backend::BackendError;
use crate::backend::interface::Interface;
use crate::backend::interfaces::Patterns;
use crate::backend::netlink::Direction;

/// What predecessors left.
pub struct EbpfPredecessors {
    pub sets: Vec<FoundSet>,
    /// With the ids of those that are links.
    pub links: Vec<(FoundLink, Option<u32>)>,
    /// There are no sets, and since this boot there was one.
    pub is_newest_gone: bool,
}

impl EbpfPredecessors {
    /// Looks at the pins, if there are any.
    ///
    /// # Errors
    /// When they are not to be trusted, are of a newer release, or cannot be read.
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

    /// The ids of those that are links.
    pub fn link_ids(&self) -> BTreeSet<u32> {
        self.links.iter().filter_map(|(_, id)| *id).collect()
    }

    /// The names of what was counted.
    pub fn interfaces(&self) -> BTreeSet<String> {
        self.links.iter().map(|(found, _)| found.name.interface.clone()).collect()
    }

    /// What is attached to one direction of a device and can be taken up; what cannot is removed.
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

    /// Why a device that has to be attached to anew was not seen, if it should have been.
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
        // A name may have been added to the configuration; what a glob matches was asked for before.
        (!patterns.name_literally(&interface.name)).then_some("the interface appeared while no agent ran")
    }
}
