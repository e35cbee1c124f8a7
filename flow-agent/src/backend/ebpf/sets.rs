//! The sets of counters that predecessors left, and what is done with each.

use std::path::PathBuf;

use super::attach::attacher::Attacher;
use super::counting;
use super::kernel;
use super::maps::slots::SlotOwners;
use super::maps::spec;
use super::pins::bpffs::{self, FoundSet};
use super::pins::layout::{self, MapSetName};
use super::predecessors::EbpfPredecessors;
use super::retired::RetiredPins;
use super::set::{self, Constants, MapSet, Programs};
use crate::backend::predecessors::{Candidate, Fate, Remains, decide};
use crate::backend::{BackendError, BackendOptions, Retired, host};

/// The sets that were found, sorted by what is to be done with them.
pub struct Sets {
    adopted: Option<FoundSet>,
    /// Whether the log has a baseline for the adopted set.
    pub adopted_is_known: bool,
    retired: Vec<MapSet>,
    discarded: Vec<FoundSet>,
    /// The sets that are reported but left alone.
    pub left: Vec<PathBuf>,
}

impl Sets {
    /// Decides what to do with each set, without changing anything.
    ///
    /// # Errors
    /// When a pinned map does not match its set's name, or when a slot table contradicts itself.
    pub fn sort(found: &[FoundSet], options: &BackendOptions) -> Result<Self, BackendError> {
        let cpus = kernel::possible_cpus()?;
        let mut candidates = Vec::new();
        for set in found {
            let known = options.known_epochs.contains(&set::epoch(&set.name)?);
            let leave = set.sealed && !known;
            let owners = if !leave && spec::is_complete(set)? { Some(MapSet::open(set)?.owners()?) } else { None };
            candidates.push(Candidate {
                known,
                sealed: set.sealed,
                remains: if owners.is_some() { Remains::Counters } else { Remains::Nothing },
                preference: owners.filter(|owners| fits(&set.name, owners, options, cpus)).map(|_| set.name.slots),
            });
        }
        let mut sorted =
            Self { adopted: None, adopted_is_known: false, retired: vec![], discarded: vec![], left: vec![] };
        let fates = decide(&candidates);
        for ((set, candidate), fate) in found.iter().zip(candidates).zip(fates) {
            match fate {
                Fate::Adopt => {
                    sorted.adopted_is_known = candidate.known;
                    sorted.adopted = Some(set.clone());
                }
                Fate::Retire => sorted.retired.push(MapSet::open(set)?),
                Fate::Leave => sorted.left.push(set.path.clone()),
                Fate::Discard => sorted.discarded.push(set.clone()),
            }
        }
        Ok(sorted)
    }

    /// The set that counts from now on, with its programs: the adopted set or a new one.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn current(
        &self,
        attacher: &Attacher,
        options: &BackendOptions,
        constants: Constants,
    ) -> Result<(MapSet, Programs), BackendError> {
        self.remove_discarded()?;
        if let Some(found) = &self.adopted {
            return MapSet::load(found.name.clone(), Some(found.path.clone()), constants);
        }
        let name = MapSetName {
            count: options.count,
            slots: layout::slots_for(options.ports.len(), options.max_ports)?,
            cpus: kernel::possible_cpus()?,
            id: counting::new_id(),
        };
        counting::new_set(attacher, name, constants)
    }

    /// Retires the adopted set too, so that none of the found sets goes on counting.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn retire_all(&mut self) -> Result<(), BackendError> {
        self.remove_discarded()?;
        if let Some(found) = self.adopted.take() {
            self.retired.push(MapSet::open(&found)?);
        }
        Ok(())
    }

    fn remove_discarded(&self) -> Result<(), BackendError> {
        self.discarded.iter().try_for_each(|remains| bpffs::remove_set(&remains.path))
    }

    /// Takes the retired sets, after the last program that fed them has ended.
    pub fn retire(&mut self, before: &EbpfPredecessors) -> Vec<Box<dyn Retired>> {
        let sets = std::mem::take(&mut self.retired);
        if !sets.is_empty() {
            host::grace();
        }
        let retire = |set| -> Box<dyn Retired> { Box::new(RetiredPins { set, interfaces: before.interfaces() }) };
        sets.into_iter().map(retire).collect()
    }
}

/// Whether a set has the required layout and enough room for the ports in addition to those that it holds.
fn fits(name: &MapSetName, owners: &SlotOwners, options: &BackendOptions, cpus: u32) -> bool {
    (name.count, name.cpus) == (options.count, cpus) && owners.have_room_for(&options.ports)
}

#[cfg(test)]
mod tests;
