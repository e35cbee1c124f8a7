//! The start: finds what predecessors left, takes it up, and counts.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::attach::{self, Attacher, Mechanism};
use super::counting::{self, Counted, Counting, Watch};
use super::foreign;
use super::kernel;
use super::layout::{self, SetName};
use super::pins::{self, FoundLink, FoundSet, Pins};
use super::plan::{self, Candidate, Fate, Wanted};
use super::retired::RetiredSet;
use super::set::{self, Constants, Programs, Set};
use crate::backend::host;
use crate::backend::interfaces::{Interface, Patterns};
use crate::backend::lock::InterfaceLock;
use crate::backend::netlink::Direction;
use crate::backend::{BackendError, Options, Place, Retired, Started};
use crate::ledger::reading::{Moment, Unseen};

/// Starts to count, or goes on where a predecessor of this instance left off. Everything that can be refused is refused
/// before anything is changed.
///
/// # Errors
/// A literal interface that is absent, a device that cannot be read, another agent or somebody else's counter, pins that
/// are not to be trusted or of a newer release, or a kernel that refuses.
pub fn start(options: &Options, now: Moment) -> Result<Started, BackendError> {
    let patterns = Patterns::parse(&options.interfaces)?;
    let chosen = choose(&patterns)?;
    layout::slots_for(options.ports.len(), options.max_ports)?;
    let attacher = Attacher {
        mechanism: mechanism(options.place)?,
        netns: host::netns()?,
        instance: options.instance.clone(),
        pins: open_pins(options)?,
    };
    let before = Before::find(&attacher)?;
    let mut locks = lock(&attacher, &chosen)?;
    for interface in &chosen {
        foreign::refuse(&attacher, &options.bpffs, (interface.index, &interface.name), &before.link_ids())?;
    }
    let mut sets = Sets::sort(&before.sets, options)?;

    let constants = Constants { atomic: host::is_realtime(), log: options.log };
    let (set, programs) = sets.current(&attacher, options, constants)?;
    prepare_slots(&set, &options.ports, sets.adopted_is_known)?;
    let mut counting = Counting {
        attacher,
        bpffs: options.bpffs.clone(),
        patterns,
        max_ports: options.max_ports,
        constants,
        sealed: false,
        set,
        programs,
        counted: BTreeMap::new(),
        watch: Watch { looked_at: now, missing: BTreeMap::new(), said: BTreeSet::new() },
    };
    if sets.adopted_is_known {
        counting.mark_sealed()?;
    }
    let begun = counting.begin_all(&chosen, &mut locks, &before, options.last_known, now);
    let unseen = match begun {
        Ok(unseen) => unseen,
        Err(error) => {
            if before.sets.is_empty() {
                counting.dismantle();
            }
            return Err(error);
        }
    };
    let retired = sets.retire(&before);
    Ok(Started { backend: Box::new(counting), retired, unseen, unadopted: sets.left })
}

/// What is to be counted, if all of it is there and can be read.
fn choose(patterns: &Patterns) -> Result<Vec<Interface>, BackendError> {
    let present = host::present(patterns)?;
    let selection = patterns.select(&present, &BTreeSet::new());
    if let Some(interface) = selection.absent.into_iter().next() {
        let present = present.into_iter().map(|interface| interface.name).collect();
        return Err(BackendError::NoSuchInterface { interface, present });
    }
    if let Some(refused) = selection.refused.into_iter().next() {
        return Err(BackendError::DeviceType { interface: refused.name, device_type: refused.device_type });
    }
    for interface in selection.unreadable {
        tracing::warn!(interface, "matched, but its frames cannot be read: not counted");
    }
    if selection.chosen.is_empty() {
        tracing::warn!("no interface to count yet: waiting for one");
    }
    Ok(selection.chosen)
}

fn mechanism(place: Place) -> Result<Mechanism, BackendError> {
    match place {
        Place::Tcx => Ok(Mechanism::Tcx),
        Place::Clsact => Ok(Mechanism::Clsact),
        Place::Auto => {
            let asked = kernel::has_tcx();
            let has_tcx =
                asked.map_err(|source| BackendError::Load { what: "programs".into(), source: Box::new(source) })?;
            Ok(if has_tcx { Mechanism::Tcx } else { Mechanism::Clsact })
        }
    }
}

/// The pins, unless there is no bpffs and none can be mounted, or we may not write there: then counting ends with this
/// process.
fn open_pins(options: &Options) -> Result<Option<Pins>, BackendError> {
    let opened = match pins::mount_bpffs(&options.bpffs) {
        Ok(()) => Pins::open(&options.bpffs, &options.instance),
        Err(error) => return Ok(without_pins(&error)),
    };
    match opened {
        Ok(pins) => Ok(Some(pins)),
        Err(BackendError::Path { action, path, source }) if source.kind() == io::ErrorKind::PermissionDenied => {
            Ok(without_pins(&BackendError::Path { action, path, source }))
        }
        Err(error) => Err(error),
    }
}

fn without_pins(error: &BackendError) -> Option<Pins> {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(%error, cause, "counters are not pinned: what passes while no agent runs is not counted");
    None
}

fn lock(attacher: &Attacher, chosen: &[Interface]) -> Result<BTreeMap<u32, InterfaceLock>, BackendError> {
    let lock = |interface: &Interface| {
        let lock = InterfaceLock::take(attacher.netns, interface.index, &interface.name, &attacher.instance)?;
        Ok((interface.index, lock))
    };
    chosen.iter().map(lock).collect()
}

/// Gives every port its slot, and drains those that are not wanted any more. What a predecessor left draining drains on;
/// to counters of a `known` epoch no port is added yet.
fn prepare_slots(set: &Set, ports: &BTreeSet<u16>, known: bool) -> Result<(), BackendError> {
    set.recover()?;
    let owners = set.owners()?;
    let gone = owners.active().difference(ports).copied().collect();
    set.apply(&owners.plan_drain(&gone))?;
    if known {
        return Ok(());
    }
    let owners = set.owners()?;
    let draining: BTreeSet<u16> = owners.owned().filter_map(|(_, owner)| owner.port()).collect();
    let new = ports.difference(&draining).copied().collect();
    set.apply(&owners.plan_add(&new)?)
}

/// What predecessors left.
struct Before {
    sets: Vec<FoundSet>,
    /// With the ids of those that are links.
    links: Vec<(FoundLink, Option<u32>)>,
}

impl Before {
    fn find(attacher: &Attacher) -> Result<Self, BackendError> {
        let Some(pins) = &attacher.pins else { return Ok(Self { sets: Vec::new(), links: Vec::new() }) };
        let sets = pins.sets()?;
        let mut links = Vec::new();
        for found in pins.links()? {
            let id = if found.is_tcx {
                let opened = attach::link_at(&found.path);
                Some(opened.map_err(|source| BackendError::Load { what: "pinned link".into(), source })?)
            } else {
                None
            };
            links.push((found, id));
        }
        Ok(Self { sets, links })
    }

    fn link_ids(&self) -> BTreeSet<u32> {
        self.links.iter().filter_map(|(_, id)| *id).collect()
    }

    fn interfaces(&self) -> BTreeSet<String> {
        self.links.iter().map(|(found, _)| found.name.interface.clone()).collect()
    }

    /// What is attached to one direction of a device and can be taken up; what cannot is removed.
    fn take_live(
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
    fn why_unseen(&self, interface: &Interface, netns: u64, patterns: &Patterns) -> Option<&'static str> {
        let same_device = |found: &FoundLink| (found.name.netns, found.name.index) == (netns, interface.index);
        if self.links.iter().any(|(found, _)| same_device(found)) {
            return Some("the counter was detached while no agent ran");
        }
        if self.links.iter().any(|(found, _)| found.name.interface == interface.name) {
            return Some("the interface was made again while no agent ran");
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

/// The sets that were found, sorted by what becomes of them.
struct Sets {
    adopted: Option<FoundSet>,
    adopted_is_known: bool,
    retired: Vec<Set>,
    discarded: Vec<FoundSet>,
    left: Vec<std::path::PathBuf>,
}

impl Sets {
    fn sort(found: &[FoundSet], options: &Options) -> Result<Self, BackendError> {
        let mut candidates = Vec::new();
        for set in found {
            let known = options.known_epochs.contains(&set::epoch(&set.name)?);
            let leave = set.sealed && !known;
            let owners = if !leave && set::is_complete(set)? { Some(Set::open(set)?.owners()?) } else { None };
            candidates.push(Candidate { name: set.name.clone(), known, sealed: set.sealed, owners });
        }
        let wanted = Wanted { count: options.count, cpus: kernel::possible_cpus()?, ports: options.ports.clone() };
        let mut sorted =
            Self { adopted: None, adopted_is_known: false, retired: vec![], discarded: vec![], left: vec![] };
        let fates = plan::decide(&candidates, &wanted);
        for ((set, candidate), fate) in found.iter().zip(candidates).zip(fates) {
            match fate {
                Fate::Adopt => {
                    sorted.adopted_is_known = candidate.known;
                    sorted.adopted = Some(set.clone());
                }
                Fate::Retire => sorted.retired.push(Set::open(set)?),
                Fate::Leave => sorted.left.push(set.path.clone()),
                Fate::Discard => sorted.discarded.push(set.clone()),
            }
        }
        Ok(sorted)
    }

    /// The set that counts from now on, and its programs.
    fn current(
        &self,
        attacher: &Attacher,
        options: &Options,
        constants: Constants,
    ) -> Result<(Set, Programs), BackendError> {
        for remains in &self.discarded {
            pins::remove_directory(&remains.path)?;
        }
        if let Some(found) = &self.adopted {
            return Set::load(found.name.clone(), Some(found.path.clone()), constants);
        }
        let name = SetName {
            count: options.count,
            slots: layout::slots_for(options.ports.len(), options.max_ports)?,
            cpus: kernel::possible_cpus()?,
            id: counting::new_id(),
        };
        counting::new_set(attacher, name, constants)
    }

    /// The sets that nothing feeds any more, once the last program that did has ended.
    fn retire(&mut self, before: &Before) -> Vec<Box<dyn Retired>> {
        let sets = std::mem::take(&mut self.retired);
        if !sets.is_empty() {
            host::grace();
        }
        let retire = |set| -> Box<dyn Retired> { Box::new(RetiredSet { set, interfaces: before.interfaces() }) };
        sets.into_iter().map(retire).collect()
    }
}

impl Counting {
    fn begin_all(
        &mut self,
        chosen: &[Interface],
        locks: &mut BTreeMap<u32, InterfaceLock>,
        before: &Before,
        last_known: Option<Moment>,
        now: Moment,
    ) -> Result<Vec<Unseen>, BackendError> {
        let mut unseen = Vec::new();
        for interface in chosen {
            let lock = locks.remove(&interface.index).expect("every chosen device was locked");
            let why = self.begin(interface, lock, before, now)?;
            let start = last_known.unwrap_or(now);
            unseen.extend(why.map(|why| Unseen {
                start,
                end: now,
                interface: interface.name.clone(),
                why: why.into(),
            }));
        }
        // What else was attached: devices that are not to be counted any more, or are gone.
        let chosen: BTreeSet<u32> = chosen.iter().map(|interface| interface.index).collect();
        for (found, _) in &before.links {
            if found.name.netns != self.attacher.netns || !chosen.contains(&found.name.index) {
                self.attacher.remove(found)?;
            }
        }
        Ok(unseen)
    }

    /// Counts a device from the start: takes up what is attached there, or attaches anew. Why what passed before was not
    /// seen, if it should have been.
    fn begin(
        &mut self,
        interface: &Interface,
        lock: InterfaceLock,
        before: &Before,
        now: Moment,
    ) -> Result<Option<&'static str>, BackendError> {
        let layer = interface.link_layer().expect("only devices that can be read are chosen");
        let device = (interface.index, interface.name.as_str());
        let mut counted =
            Counted { name: interface.name.clone(), layer, attachments: Vec::new(), _lock: lock, well_at: now };
        let mut why = None;
        for direction in Direction::BOTH {
            let program = self.programs.get(layer, direction)?;
            let live = before.take_live(&self.attacher, interface.index, direction)?;
            let attached = match live {
                Some(found) => self.attacher.adopt(found, program, &self.set.name),
                None => {
                    why = why.or(before.why_unseen(interface, self.attacher.netns, &self.patterns));
                    self.attacher.attach(program, device, direction, &self.set.name)
                }
            };
            match attached {
                Ok(attachment) => counted.attachments.push((direction, attachment)),
                Err(error) => {
                    // To be taken back with the others, if they are.
                    self.counted.insert(interface.index, counted);
                    return Err(error);
                }
            }
        }
        self.counted.insert(interface.index, counted);
        Ok(why.filter(|_| !host::is_untouched(interface.index)))
    }

    /// Takes back a first start that failed.
    fn dismantle(mut self) {
        let counted = std::mem::take(&mut self.counted);
        for result in counted.into_values().map(|counted| counted.detach(&self.attacher)) {
            if let Err(error) = result {
                tracing::warn!(error = %error, "not detached");
            }
        }
        if let Some(Err(error)) = self.set.path.as_deref().map(pins::remove_directory) {
            tracing::warn!(error = %error, "remains stay");
        }
    }
}
