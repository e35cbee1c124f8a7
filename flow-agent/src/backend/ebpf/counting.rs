//! The running eBPF backend: one set of counters, and the devices that feed it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::attach::attacher::{Attacher, Attachment};
use super::gate::Gate;
use super::pins::bpffs;
use super::pins::layout::{self, MapSetName};
use super::retired::RetiredPins;
use super::set::{Constants, ID_DIGITS, MapSet, Programs};
use crate::backend::host;
use crate::backend::interface::{Interface, LinkLayer};
use crate::backend::interfaces::Patterns;
use crate::backend::lock::InterfaceLock;
use crate::backend::netlink::Direction;
use crate::backend::stacks::LeftOut;
use crate::backend::{Backend, BackendError, Identity, Inspection, Retired};
use crate::ledger::limits::budget::UserBudget;
use crate::ledger::reading::{Moment, Reading};

/// How often to look for users whose packets are refused, to close their connections. Refusing needs no agent.
const LOOK_FOR_REFUSED: Duration = Duration::from_secs(1);

pub struct EbpfBackend {
    pub(super) attacher: Attacher,
    pub(super) bpffs: PathBuf,
    pub(super) patterns: Patterns,
    pub(super) max_ports: u32,
    pub(super) constants: Constants,
    pub(super) set: MapSet,
    pub(super) programs: Programs,
    /// The budgets of users, if any user has a limit.
    pub(super) gate: Option<Gate>,
    /// The owners of the budgets that refused packets at the last look, as returned by [`Gate::refused`].
    pub(super) refused: BTreeSet<u64>,
    /// By device index.
    pub(super) counted: BTreeMap<u32, Counted>,
    pub(super) watch: Watch,
    /// Whether the pins carry the mark that a bucket has been sealed.
    pub(super) sealed: bool,
}

/// A device that is counted, or that should be but is not at the moment.
pub(super) struct Counted {
    pub(super) name: String,
    pub(super) layer: LinkLayer,
    /// One for each direction; fewer while a direction could not be attached.
    pub(super) attachments: Vec<(Direction, Attachment)>,
    pub(super) lock: InterfaceLock,
    /// The last time at which both directions were found attached.
    pub(super) well_at: Moment,
    /// Whether it was reported that an attachment is broken, which is then repaired.
    pub(super) is_reported: bool,
}

/// What inspections remember about devices that are not counted.
pub(super) struct Watch {
    /// When the last inspection took place.
    pub(super) looked_at: Moment,
    /// Devices that should be counted but could not be, by name, and since when.
    pub(super) missing: BTreeMap<String, Moment>,
    /// The devices that are left out and have already been reported.
    pub(super) left_out: BTreeSet<LeftOut>,
}

impl Backend for EbpfBackend {
    fn identity(&self) -> Identity {
        self.set.identity()
    }

    fn interfaces(&self) -> Vec<String> {
        self.names().into_iter().collect()
    }

    fn ports(&self) -> BTreeSet<u16> {
        self.set.active()
    }

    fn read(&mut self, now: &dyn Fn() -> Moment) -> Result<Reading, BackendError> {
        self.programs.flush_log();
        let mut reading = self.set.read(now);
        let devices = self.counted.iter().map(|(index, counted)| (*index, counted.name.as_str()));
        reading.devices = host::device_counters(devices);
        Ok(reading)
    }

    fn add(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError> {
        let owners = self.set.owners()?;
        let wanted = owners.active().union(ports).count();
        layout::slots_for(wanted, self.max_ports)?;
        self.set.apply(&owners.plan_add(ports)?)
    }

    fn drain(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError> {
        self.set.apply(&self.set.owners()?.plan_drain(ports))
    }

    fn release(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError> {
        self.set.apply(&self.set.owners()?.plan_release(ports))
    }

    fn replace(&mut self, ports: &BTreeSet<u16>) -> Result<Box<dyn Retired>, BackendError> {
        let slots = layout::slots_for(ports.len(), self.max_ports)?;
        self.keep_pinned();
        if self.gate.is_some() && self.attacher.pins.is_none() {
            // New programs find the gate by its pins. Without pins they would let everybody pass.
            return Err(BackendError::CannotRefuse);
        }
        let name = MapSetName { slots, id: new_id(), ..self.set.name.clone() };
        let (set, mut programs) = new_set(&self.attacher, name, self.constants.clone())?;
        let prepared = set.owners().and_then(|owners| owners.plan_add(ports)).and_then(|steps| set.apply(&steps));
        if let Err(error) = prepared.and_then(|()| self.load_all(&mut programs)) {
            discard(set.path.as_deref());
            return Err(error);
        }
        self.sealed = false;
        let set = self.move_to(set, programs);
        Ok(Box::new(RetiredPins { set, interfaces: self.names() }))
    }

    fn inspect(&mut self, now: Moment) -> Result<Inspection, BackendError> {
        self.programs.flush_log();
        self.keep_pinned();
        self.keep_locked();
        self.look_around(now)
    }

    fn sealed(&mut self) -> Result<(), BackendError> {
        self.mark_sealed()
    }

    fn enforce(&mut self, budgets: &[UserBudget], now: Moment) -> Result<(), BackendError> {
        self.limit(budgets, now)
    }

    fn enforce_again(&mut self, budgets: &[UserBudget], now: Moment) -> Result<(), BackendError> {
        self.close_connections(budgets, now);
        Ok(())
    }

    fn enforce_again_after(&self) -> Option<Duration> {
        self.gate.is_some().then_some(LOOK_FOR_REFUSED)
    }

    fn refuses(&self, user: &str, now: Moment) -> bool {
        self.gate.as_ref().is_some_and(|gate| gate.refuses(user, now))
    }
}

impl Drop for EbpfBackend {
    /// Pinned counters go on counting. Unpinned ones end with this process, so nothing may stay attached that would
    /// update counters nobody reads.
    fn drop(&mut self) {
        if self.attacher.pins.is_some() {
            return;
        }
        for (index, counted) in std::mem::take(&mut self.counted) {
            if let Err(error) = counted.detach(&self.attacher) {
                tracing::warn!(interface = index, error = %error, "failed to detach");
            }
        }
    }
}

impl EbpfBackend {
    /// All devices that are present now.
    pub(super) fn present(&self) -> Result<Vec<Interface>, BackendError> {
        host::present(&self.patterns)
    }

    /// Marks in the pins that a bucket has been sealed.
    pub(super) fn mark_sealed(&mut self) -> Result<(), BackendError> {
        if std::mem::replace(&mut self.sealed, true) {
            return Ok(());
        }
        // This fails if the pins are gone. The next inspection makes them again together with the mark.
        self.set.path.as_ref().map_or(Ok(()), |path| bpffs::ensure_directory(&path.join(layout::SEALED)))
    }

    /// Loads the programs for all counted devices, so that everything that can fail happens before the first packet
    /// meets them.
    pub(super) fn load_all(&self, programs: &mut Programs) -> Result<(), BackendError> {
        self.layers().into_iter().try_for_each(|layer| {
            Direction::BOTH.into_iter().try_for_each(|direction| programs.get(layer, direction).map(drop))
        })
    }

    /// Replaces the attached programs with loaded ones. Returns the former set once no packet can meet the former
    /// programs any more.
    pub(super) fn move_to(&mut self, set: MapSet, mut programs: Programs) -> MapSet {
        for counted in self.counted.values_mut() {
            for (direction, attachment) in &mut counted.attachments {
                let moved = programs
                    .get(counted.layer, *direction)
                    .and_then(|program| self.attacher.update(attachment, program, &set.name));
                if let Err(error) = moved {
                    // The attachment is broken now. The next inspection detects and repairs it.
                    tracing::warn!(
                        interface = counted.name, %direction, %error,
                        "failed to switch to the new programs"
                    );
                }
            }
        }
        host::grace();
        self.programs = programs;
        std::mem::replace(&mut self.set, set)
    }

    fn names(&self) -> BTreeSet<String> {
        self.counted.values().map(|counted| counted.name.clone()).collect()
    }

    fn layers(&self) -> Vec<LinkLayer> {
        let used = |layer| self.counted.values().any(|counted| counted.layer == layer);
        [LinkLayer::Ethernet, LinkLayer::Ip].into_iter().filter(|layer| used(*layer)).collect()
    }
}

impl Counted {
    pub(super) fn detach(self, attacher: &Attacher) -> Result<(), BackendError> {
        let detached: Vec<_> =
            self.attachments.into_iter().map(|(_, attachment)| attacher.detach(attachment)).collect();
        detached.into_iter().collect()
    }
}

/// Creates a new, empty set of counters.
///
/// # Errors
/// When the kernel refuses. Nothing is left behind then.
pub(super) fn new_set(
    attacher: &Attacher,
    name: MapSetName,
    constants: Constants,
) -> Result<(MapSet, Programs), BackendError> {
    let path = attacher.pins.as_ref().map(|pins| pins.set_path(&name));
    if let Some(path) = &path {
        bpffs::ensure_directory(path)?;
    }
    MapSet::load(name, path.clone(), constants).inspect_err(|_| discard(path.as_deref()))
}

/// Removes the pins of a set that never counted.
pub(super) fn discard(path: Option<&Path>) {
    if let Some(path) = path
        && let Err(error) = bpffs::remove_set(path)
    {
        tracing::warn!(path = %path.display(), %error, "failed to remove old pins");
    }
}

/// A fresh id for a set of maps: random hexadecimal digits.
pub(super) fn new_id() -> String {
    let mut id = uuid::Uuid::new_v4().simple().to_string();
    id.truncate(ID_DIGITS);
    id
}
