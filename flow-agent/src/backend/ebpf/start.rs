//! EDGE clock: starts the backend: finds what predecessors left, takes it over, and counts.
#![expect(clippy::disallowed_methods, reason = "edge: clock")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Instant;

use super::attach::attacher::{Attacher, AttachmentStatus, Mechanism};
use super::attach::filter::{self, QdiscList};
use super::attach::foreign;
use super::counting::{self, Counted, EbpfBackend, Watch};
use super::gate::Gate;
use super::kernel;
use super::mechanism;
use super::pins::bpffs::{self, Pins};
use super::pins::layout;
use super::predecessors::EbpfPredecessors;
use super::refusal;
use super::set::{self, Constants, MapSet};
use super::sets::Sets;
use crate::backend::host;
use crate::backend::interface::Interface;
use crate::backend::interfaces::{Patterns, Selection, indices_of};
use crate::backend::left::{COUNTERS_GONE, LeftCounters};
use crate::backend::lock::InterfaceLock;
use crate::backend::netlink::Direction;
use crate::backend::privileges::Privileges;
use crate::backend::stacks::LeftOut;
use crate::backend::{BackendError, BackendOptions, Started};
use crate::ledger::reading::{Moment, Unseen};

/// Starts counting, or continues where a predecessor of this instance stopped. What can be checked in advance is
/// checked before anything changes.
///
/// # Errors
/// When a literally named interface is absent or cannot be read; when another agent or somebody else's counter is
/// there; when pins are not safe to use or were made by a newer release; when the kernel refuses.
/// [`BackendError::Privileges`] if the refusal may be due to missing privileges.
pub fn start(options: &BackendOptions, now: Moment) -> Result<Started, BackendError> {
    begin(options, now).map_err(|error| refusal::explain(error, &Privileges::of_this_thread()))
}

fn begin(options: &BackendOptions, now: Moment) -> Result<Started, BackendError> {
    let begun_at = Instant::now();
    let StartContext { patterns, chosen, left_out, attacher, before, mut locks } = StartContext::look(options)?;
    let mut sets = Sets::sort(&before.sets, options)?;

    kernel::allow_open_files();
    // Users limited by a predecessor stay limited until the budgets are applied again.
    let found_gate = attacher.pins.as_ref().map_or(Ok(None), Pins::gate)?;
    let constants = Constants { atomic: host::is_realtime(), log: options.log, gate: found_gate.clone() };
    let (set, programs) = sets.current(&attacher, options, constants.clone())?;
    let gate = found_gate.map(|found| Gate::of(|name| programs.map(name), found)).transpose()?;
    prepare_slots(&set, &options.ports, sets.adopted_is_known)?;
    let mut counting = EbpfBackend {
        attacher,
        bpffs: options.bpffs.clone(),
        patterns,
        max_ports: options.max_ports,
        constants,
        sealed: false,
        set,
        programs,
        gate,
        refused: BTreeSet::new(),
        counted: BTreeMap::new(),
        watch: Watch { looked_at: now, missing: BTreeMap::new(), left_out: left_out.into_iter().collect() },
    };
    if sets.adopted_is_known {
        counting.mark_sealed()?;
    }
    let begun = counting.begin_all(&chosen, &mut locks, &before);
    let unseen = match begun {
        // What passed before everything was attached was not counted, and with many devices that may take long.
        Ok(reasons) => {
            let end = now.after(begun_at.elapsed());
            let start = options.last_known.unwrap_or(end);
            let unseen = |(interface, why)| Unseen { start, end, interface, why };
            let mut unseen: Vec<Unseen> = reasons.into_iter().map(unseen).collect();
            if chosen.is_empty() {
                unseen.push(counting.patterns.nothing_counted(options.last_known.unwrap_or(now), now));
            }
            unseen
        }
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

/// Checks whether counting is possible, as far as that can be seen without loading programs; [`super::probe()`] tries
/// those.
///
/// # Errors
/// Everything that makes [`start`] fail before it changes anything.
pub fn look(options: &BackendOptions) -> Result<(), BackendError> {
    StartContext::look(options).map(drop).map_err(|error| refusal::explain(error, &Privileges::of_this_thread()))
}

/// What a start finds. Collecting it changes no counter.
struct StartContext {
    patterns: Patterns,
    chosen: Vec<Interface>,
    left_out: Vec<LeftOut>,
    attacher: Attacher,
    before: EbpfPredecessors,
    locks: BTreeMap<u32, InterfaceLock>,
}

impl StartContext {
    fn look(options: &BackendOptions) -> Result<Self, BackendError> {
        let patterns = Patterns::parse(&options.interfaces)?.allow_stacked(options.allow_stacked);
        let Selection { chosen, left_out, .. } = choose(&patterns, options)?;
        layout::slots_for(options.ports.len(), options.max_ports)?;
        let mut attacher = Attacher {
            mechanism: Mechanism::Tcx,
            netns: host::netns()?,
            instance: options.instance.clone(),
            pins: open_pins(options)?,
            qdiscs: QdiscList::default(),
        };
        let mut before = EbpfPredecessors::find(&attacher)?;
        attacher.mechanism = mechanism::choose(options.place, &attacher, &before, &chosen)?;
        if let Some(epoch) = &options.newest_epoch {
            before.is_newest_gone = before.sets.is_empty() && set::is_of_this_boot(epoch)?;
        }
        let locks = lock(&attacher, &chosen)?;
        let own = before.link_ids();
        for interface in &chosen {
            foreign::refuse(&attacher, &options.bpffs, (interface.index, &interface.name), &own)?;
        }
        Ok(Self { patterns, chosen, left_out, attacher, before, locks })
    }
}

/// Detaches all programs of this instance and returns the sets that its files know or that were never sealed, for a
/// start of another backend. Other sets are left alone. Also returns what happened to the counters, if they were removed
/// or detached while no agent ran.
///
/// # Errors
/// When the pins are not safe to use, were made by a newer release, or when the kernel refuses. Without a bpffs there
/// are no sets, which is not an error.
pub fn find_retired(options: &BackendOptions) -> Result<LeftCounters, BackendError> {
    let is_newest_ours = options.newest_epoch.as_deref().map_or(Ok(false), set::is_of_this_boot)?;
    let pins = Pins::existing(&options.bpffs, &options.instance)?;
    if pins.is_none() {
        let why_damaged = is_newest_ours.then(|| COUNTERS_GONE.to_owned());
        return Ok(LeftCounters { why_damaged, ..LeftCounters::default() });
    }
    // The pins say how each program was attached.
    let mechanism = Mechanism::Tcx;
    let (netns, instance, qdiscs) = (host::netns()?, options.instance.clone(), QdiscList::default());
    let attacher = Attacher { mechanism, netns, instance, pins, qdiscs };
    let before = EbpfPredecessors::find(&attacher)?;
    let why_damaged = before.why_damaged(netns, is_newest_ours).map(ToOwned::to_owned);
    let detached = if is_newest_ours { before.detached(&attacher)? } else { Vec::new() };
    let mut sets = Sets::sort(&before.sets, options)?;
    sets.retire_all()?;
    before.links.iter().try_for_each(|(found, _)| attacher.remove(found))?;
    if let Some(gate) = attacher.pins.as_ref().map_or(Ok(None), Pins::gate)? {
        bpffs::remove_set(&gate.path)?;
    }
    Ok(LeftCounters { retired: sets.retire(&before), why_damaged, detached })
}

/// The indexes of the devices that a predecessor still counts. They stay selected, so that a restart while a default
/// route is being renewed does not stop counting. Pins that cannot be read are reported later, when they are opened.
fn attached_before(options: &BackendOptions) -> Result<BTreeSet<u32>, BackendError> {
    let netns = host::netns()?;
    let pins = Pins::existing(&options.bpffs, &options.instance).ok().flatten();
    let links = pins.and_then(|pins| pins.links().ok()).unwrap_or_default();
    Ok(links.into_iter().map(|found| found.name).filter(|name| name.netns == netns).map(|name| name.index).collect())
}

/// Selects what to count, and fails unless all of it exists and can be read.
fn choose(patterns: &Patterns, options: &BackendOptions) -> Result<Selection, BackendError> {
    let present = host::present(patterns)?;
    let mut counted = attached_before(options)?;
    counted.extend(indices_of(&options.counted_before, &present));
    let selection = patterns.select(&present, &counted);
    if let Some(interface) = selection.absent.first().cloned() {
        let present = present.into_iter().map(|interface| interface.name).collect();
        return Err(BackendError::NoSuchInterface { interface, present });
    }
    if let Some(Interface { name, device_type, .. }) = selection.refused.first() {
        return Err(BackendError::DeviceType { interface: name.clone(), device_type: *device_type });
    }
    selection.refuse_stacked()?;
    selection.left_out.iter().for_each(LeftOut::say);
    for interface in &selection.unreadable {
        tracing::warn!(interface, "the interface matches but is not counted, because its frames cannot be read");
    }
    if selection.chosen.is_empty() {
        tracing::warn!("no interface to count yet: waiting for one");
    }
    Ok(selection)
}

/// Opens the pins. `None` if no bpffs is mounted and none can be, or if it is not writable. In that case the counters
/// are lost when this process ends.
fn open_pins(options: &BackendOptions) -> Result<Option<Pins>, BackendError> {
    let opened = match bpffs::mount_bpffs(&options.bpffs) {
        Ok(()) => Pins::open(&options.bpffs, &options.instance).and_then(|pins| {
            pins.end_removals()?;
            Ok(pins)
        }),
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
    tracing::warn!(%error, cause, "counters are not pinned: traffic is not counted while no agent is running");
    None
}

fn lock(attacher: &Attacher, chosen: &[Interface]) -> Result<BTreeMap<u32, InterfaceLock>, BackendError> {
    let lock = |interface: &Interface| {
        let lock = InterfaceLock::take(attacher.netns, interface.index, &interface.name, &attacher.instance)?;
        Ok((interface.index, lock))
    };
    chosen.iter().map(lock).collect()
}

/// Assigns a slot to every port, and drains ports that are not wanted any more. Ports that are already draining go on
/// draining. If the set's epoch is `known`, no ports are added here.
fn prepare_slots(set: &MapSet, ports: &BTreeSet<u16>, known: bool) -> Result<(), BackendError> {
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

impl EbpfBackend {
    /// Starts counting all chosen devices. Returns those whose earlier traffic was not counted, by name, with the
    /// reason.
    fn begin_all(
        &mut self,
        chosen: &[Interface],
        locks: &mut BTreeMap<u32, InterfaceLock>,
        before: &EbpfPredecessors,
    ) -> Result<Vec<(String, String)>, BackendError> {
        let now = self.watch.looked_at;
        let mut reasons = Vec::new();
        for interface in chosen {
            let lock = locks.remove(&interface.index).expect("every chosen device was locked");
            let why = self.begin(interface, lock, before, now)?;
            reasons.extend(why.map(|why| (interface.name.clone(), why)));
        }
        // All other attachments belong to devices that are gone or should not be counted any more.
        let chosen: BTreeSet<u32> = chosen.iter().map(|interface| interface.index).collect();
        for (found, _) in &before.links {
            if found.name.netns != self.attacher.netns || !chosen.contains(&found.name.index) {
                self.attacher.remove(found)?;
            }
        }
        Ok(reasons)
    }

    /// Starts counting a device by taking over what is attached, or by attaching anew. Returns the reason why earlier
    /// traffic was not counted, if it should have been.
    fn begin(
        &mut self,
        interface: &Interface,
        lock: InterfaceLock,
        before: &EbpfPredecessors,
        now: Moment,
    ) -> Result<Option<String>, BackendError> {
        let layer = interface.link_layer().expect("only devices that can be read are chosen");
        let device = (interface.index, interface.name.as_str());
        let name = interface.name.clone();
        let mut counted = Counted { name, layer, attachments: Vec::new(), lock, well_at: now, is_reported: false };
        let mut why = None;
        for direction in Direction::BOTH {
            let program = self.programs.get(layer, direction)?;
            let attached = match before.take_live(&self.attacher, interface.index, direction)? {
                Some(found) => self.attacher.adopt(found, program, &self.set.name).and_then(|attachment| {
                    let reason = match self.attacher.look(&attachment)? {
                        AttachmentStatus::Attached => return Ok(attachment),
                        AttachmentStatus::Hidden(reason) => {
                            why = Some(format!("{reason} while no agent ran"));
                            return Ok(attachment);
                        }
                        AttachmentStatus::Broken(reason) => reason,
                    };
                    why = Some(format!("{reason} while no agent ran"));
                    self.attacher.detach(attachment)?;
                    self.attacher.attach(program, device, direction, &self.set.name)
                }),
                None => {
                    let reason = before.why_unseen(interface, self.attacher.netns, &self.patterns);
                    why = why.or(reason.map(ToOwned::to_owned));
                    // `take_live` has removed what was left of former attachments.
                    self.attacher.attach_anew(program, device, direction, &self.set.name)
                }
            };
            match attached {
                Ok(attachment) => counted.attachments.push((direction, attachment)),
                Err(error) => {
                    // Keep the device, so that what was attached can be undone together with the others.
                    self.counted.insert(interface.index, counted);
                    return Err(error);
                }
            }
        }
        self.counted.insert(interface.index, counted);
        Ok(why.filter(|_| !host::is_untouched(interface.index)))
    }

    /// Undoes a first start that failed.
    fn dismantle(mut self) {
        let counted = std::mem::take(&mut self.counted);
        for result in counted.into_values().map(|counted| counted.detach(&self.attacher)) {
            if let Err(error) = result {
                tracing::warn!(error = %error, "failed to detach");
            }
        }
        let pins = self.attacher.pins.as_ref();
        if let Some(Err(error)) = pins.map(|pins| filter::give_back_qdiscs(pins, self.attacher.netns)) {
            tracing::warn!(%error, "failed to remove an unused qdisc");
        }
        counting::discard(self.set.path.as_deref());
    }
}
