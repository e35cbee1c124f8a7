//! EDGE kernel: one set of counters, its maps and the programs that feed them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use aya::maps::{Map, MapData};
use aya::programs::SchedClassifier;
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};

use super::gate;
use super::kernel;
use super::log::ProgramLog;
use super::maps::slots::{Occupant, SlotOwners, SlotStep};
use super::maps::spec::{self, CELLS, PORT_SLOT, REFUSED, SLOT_OWNER, expected_maps, expected_refused};
use super::maps::tables::MapTables;
use super::pins::bpffs::{self, FoundGate, FoundSet, Pin};
use super::pins::layout::MapSetName;
use super::refusal::MAPS;
use crate::backend::host;
use crate::backend::interface::LinkLayer;
use crate::backend::netlink::Direction;
use crate::backend::{BackendError, Identity};
use crate::ledger::limits::budget::Transferred;
use crate::ledger::reading::{Moment, Reading};
use crate::ledger::record::{BackendKind, CountMode};

/// The compiled eBPF object with all classifiers.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../../flow-ebpf/object/flow-ebpf.o");

/// The counting programs: ingress and egress for devices with an Ethernet header, then for devices without one.
pub const PROGRAMS: [&str; 4] = ["ingress_eth", "egress_eth", "ingress_ip", "egress_ip"];

/// The programs that also refuse what a budget does not allow, in the same order.
pub const GATED_PROGRAMS: [&str; 4] = ["gated_in_eth", "gated_out_eth", "gated_in_ip", "gated_out_ip"];

/// The ring buffer for the programs' log lines, and its size in bytes. One page suffices for the few lines a second
/// that are read.
const LOG_RING: (&str, u32) = ("AYA_LOGS", 4_096);

/// The maps of a set in memory and the set's identity, which is enough to read it.
pub struct MapSet {
    pub name: MapSetName,
    /// The directory of its pins, if it is pinned.
    pub path: Option<PathBuf>,
    /// The pins of its maps, if they are pinned and this process runs the set's programs.
    pub pins: Vec<Pin>,
    pub epoch: String,
    tables: MapTables,
}

/// Settings of the programs that feed a set.
#[derive(Clone, Debug)]
pub struct Constants {
    /// Two programs may interleave on one CPU, so they have to count with atomic operations.
    pub atomic: bool,
    /// The programs log frames that they could not parse.
    pub log: bool,
    /// The programs refuse what the budgets of this gate do not allow.
    pub gate: Option<FoundGate>,
}

/// The programs that feed a set. Each is loaded when it is first needed.
pub struct Programs {
    ebpf: Ebpf,
    log: Option<ProgramLog>,
    gated: bool,
}

impl MapSet {
    /// Creates a new set, or opens the one pinned at `path`, together with the programs that feed it.
    ///
    /// # Errors
    /// When a pinned map does not match the set's name, or when the kernel refuses.
    pub fn load(
        name: MapSetName,
        path: Option<PathBuf>,
        constants: Constants,
    ) -> Result<(Self, Programs), BackendError> {
        kernel::allow_locked_memory();
        let expected = expected_maps(&name);
        let lines = name.lines();
        let count_wire = u32::from(name.count == CountMode::Wire);
        let (atomic, log) = (u32::from(constants.atomic), u32::from(constants.log));
        let mut loader = EbpfLoader::new();
        loader
            // For a refused program the verifier would otherwise log every instruction up to the bad one.
            .verifier_log_level(VerifierLogLevel::STATS)
            .override_global("LINES", &lines, true)
            .override_global("COUNT_WIRE", &count_wire, true)
            .override_global("ATOMIC", &atomic, true)
            .override_global("LOG", &log, true)
            .map_max_entries(LOG_RING.0, LOG_RING.1);
        for map in &expected {
            loader.map_max_entries(map.name, map.max_entries);
            if let Some(path) = &path {
                let pin = path.join(map.name);
                if bpffs::exists(&pin)? {
                    map.verify(&pin)?;
                }
                loader.map_pin_path(map.name, pin);
            }
        }
        let refused = expected_refused(&name);
        let refused_pin = path.as_ref().map(|path| path.join(REFUSED));
        let was_gated = refused_pin.as_ref().map_or(Ok(false), |pin| bpffs::exists(pin))?;
        let has_refused = constants.gate.is_some() || was_gated;
        if has_refused {
            loader.map_max_entries(REFUSED, refused.max_entries);
            if let Some(pin) = &refused_pin {
                if was_gated {
                    refused.verify(pin)?;
                }
                loader.map_pin_path(REFUSED, pin);
            }
        }
        let gate_lines = constants.gate.as_ref().map_or(1, |gate| gate.name.lines);
        let plenty = gate::plenty(name.cpus);
        if let Some(gate) = &constants.gate {
            gate::use_maps(&mut loader, gate)?;
            loader.override_global("BUDGET_LINES", &gate_lines, true).override_global("PLENTY", &plenty, true);
        }
        let mut ebpf =
            loader.load(OBJECT).map_err(|source| BackendError::Load { what: MAPS.into(), source: Box::new(source) })?;
        drop(loader);
        kernel::trim_memory();
        let gated = constants.gate.is_some();
        let map = |name| ebpf.map(name).and_then(map_data).expect("the built object has this array");
        let tables = MapTables::map(
            map(PORT_SLOT).fd().as_fd(),
            map(SLOT_OWNER).fd().as_fd(),
            map(CELLS).fd().as_fd(),
            name.cpus,
            lines,
        )
        .and_then(|mut tables| {
            if has_refused {
                tables.map_refused(map(REFUSED).fd().as_fd())?;
            }
            Ok(tables)
        })
        .map_err(|source| BackendError::Load { what: "maps into memory".into(), source: Box::new(source) })?;
        let epoch = epoch(&name)?;
        let log = if constants.log { Some(ProgramLog::open(&mut ebpf)?) } else { None };
        let mut set = Self { name, path, pins: Vec::new(), epoch, tables };
        if let Some(path) = &set.path {
            set.pins = set.maps().map(|map| Pin::at(path.join(map))).collect::<Result<_, _>>()?;
        }
        Ok((set, Programs { ebpf, log, gated }))
    }

    /// Opens a pinned set for reading only, without programs.
    ///
    /// # Errors
    /// When a pinned map does not match the set's name, or when the kernel refuses.
    pub fn open(found: &FoundSet) -> Result<Self, BackendError> {
        let name = found.name.clone();
        for map in expected_maps(&name) {
            map.verify(&found.path.join(map.name))?;
        }
        let open = |map| {
            MapData::from_pin(found.path.join(map))
                .map_err(|source| BackendError::Load { what: format!("pinned map {map}"), source: Box::new(source) })
        };
        let (routes, owners, cells) = (open(PORT_SLOT)?, open(SLOT_OWNER)?, open(CELLS)?);
        let mut tables =
            MapTables::map(routes.fd().as_fd(), owners.fd().as_fd(), cells.fd().as_fd(), name.cpus, name.lines())
                .map_err(|source| BackendError::Load { what: "maps into memory".into(), source: Box::new(source) })?;
        let refused = found.path.join(REFUSED);
        if bpffs::exists(&refused)? {
            expected_refused(&name).verify(&refused)?;
            tables
                .map_refused(open(REFUSED)?.fd().as_fd())
                .map_err(|source| BackendError::Load { what: "maps into memory".into(), source: Box::new(source) })?;
        }
        let epoch = epoch(&name)?;
        Ok(Self { name, path: Some(found.path.clone()), pins: Vec::new(), epoch, tables })
    }

    /// The names of the set's maps.
    pub fn maps(&self) -> impl Iterator<Item = &'static str> + use<> {
        spec::ALL.into_iter().chain(self.tables.has_refused().then_some(REFUSED))
    }

    /// The slots of those `ports` that own one.
    pub fn slots_of(&self, ports: &BTreeSet<u16>) -> BTreeMap<u16, u16> {
        let of_port = |(slot, owner): (u16, Occupant)| Some((owner.port().filter(|port| ports.contains(port))?, slot));
        self.tables.owned().filter_map(of_port).collect()
    }

    /// The sum of the bytes in some slots, TCP and UDP together.
    pub fn transferred(&self, slots: &[u16]) -> Transferred {
        self.tables.transferred(slots)
    }

    /// How seals identify these counters.
    pub fn identity(&self) -> Identity {
        Identity {
            kind: BackendKind::Ebpf,
            count: self.name.count,
            epoch: self.epoch.clone(),
            pinned: self.path.is_some(),
        }
    }

    /// The owner of every slot.
    ///
    /// # Errors
    /// [`BackendError::SlotTable`] if the table contradicts itself.
    pub fn owners(&self) -> Result<SlotOwners, BackendError> {
        self.tables.owners().map_err(|why| {
            let path = self.path.clone().unwrap_or_else(|| "memory".into());
            BackendError::SlotTable { path, why }
        })
    }

    /// Executes steps that change slots.
    ///
    /// # Errors
    /// Like [`MapTables::apply`].
    pub fn apply(&self, steps: &[SlotStep]) -> Result<(), BackendError> {
        self.tables.apply(steps, &host::grace)
    }

    /// Finishes what a dead predecessor had begun with the slots.
    ///
    /// # Errors
    /// [`BackendError::SlotTable`] if the table contradicts itself.
    pub fn recover(&self) -> Result<(), BackendError> {
        self.apply(&self.owners()?.plan_recovery(&self.tables.routes()))
    }

    /// The ports that are being counted.
    pub fn active(&self) -> BTreeSet<u16> {
        let active = |(_, owner)| if let Occupant::Active(port) = owner { Some(port) } else { None };
        self.tables.owned().filter_map(active).collect()
    }

    /// Reads every counter except those of the devices themselves.
    pub fn read(&self, now: &dyn Fn() -> Moment) -> Reading {
        let at = now();
        let (ports, draining) = self.tables.read();
        let (others, blocked) = (self.tables.others(), self.tables.refused());
        Reading { epoch: self.epoch.clone(), at, ports: ports.into(), draining, others, blocked, devices: Vec::new() }
    }
}

impl Programs {
    /// The program for this kind of device and this direction. Loads it if necessary.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn get(&mut self, layer: LinkLayer, direction: Direction) -> Result<&mut SchedClassifier, BackendError> {
        let [ingress_eth, egress_eth, ingress_ip, egress_ip] = if self.gated { GATED_PROGRAMS } else { PROGRAMS };
        let name = match (direction, layer) {
            (Direction::Ingress, LinkLayer::Ethernet) => ingress_eth,
            (Direction::Egress, LinkLayer::Ethernet) => egress_eth,
            (Direction::Ingress, LinkLayer::Ip) => ingress_ip,
            (Direction::Egress, LinkLayer::Ip) => egress_ip,
        };
        let program = self.ebpf.program_mut(name).expect("the built object has this program");
        let program: &mut SchedClassifier = program.try_into().expect("the built object's programs are classifiers");
        if program.fd().is_err() {
            program
                .load()
                .map_err(|source| BackendError::Load { what: format!("program {name}"), source: Box::new(source) })?;
        }
        Ok(program)
    }
}

impl Programs {
    /// The map with this name. The programs keep it open even if its pin is removed.
    pub fn map(&self, name: &str) -> BorrowedFd<'_> {
        let map = self.ebpf.map(name).and_then(map_data);
        map.expect("the built object has this map").fd().as_fd()
    }

    /// Forwards the programs' log lines to our own log.
    pub fn flush_log(&mut self) {
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }
}

/// The length of a set's id.
pub const ID_DIGITS: usize = 16;

/// The epoch of a set: the id of this boot, which no set outlives, and the id of the set.
///
/// # Errors
/// When the kernel's boot id cannot be read.
pub fn epoch(name: &MapSetName) -> Result<String, BackendError> {
    Ok(format!("{}:{}", host::boot_id()?, name.id))
}

/// Whether `epoch` belongs to this boot and to the eBPF backend, so that no reboot can have removed its set.
///
/// # Errors
/// When the kernel's boot id cannot be read.
pub fn is_of_this_boot(epoch: &str) -> Result<bool, BackendError> {
    let boot = host::boot_id()?;
    // The iptables backend uses shorter ids.
    Ok(epoch.strip_prefix(&boot).and_then(|rest| rest.strip_prefix(':')).is_some_and(|id| id.len() == ID_DIGITS))
}

fn map_data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data) | Map::LruHashMap(data) => Some(data),
        _ => None,
    }
}
