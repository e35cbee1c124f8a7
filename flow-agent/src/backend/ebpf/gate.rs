//! EDGE kernel: the maps of the gate, which hold what users may still transfer.
//!
//! They are not part of a set of counters and outlive all sets. A larger set, a reload, an upgrade or the death of the
//! agent changes nothing about what a user has left.

pub mod apply;
mod tables;
#[cfg(test)]
mod tests;

use std::os::fd::BorrowedFd;
use std::path::Path;

use aya::EbpfLoader;
use flow_common::gate::{Budget, LEASE, PortBudget, Share};
use flow_common::wire::PORTS;

use self::tables::GateTables;
use super::maps::spec::{ExpectedMap, array};
use super::pins::bpffs::{self, FoundGate, Pin};
use super::pins::layout::GateName;
use crate::backend::BackendError;

pub const PORT_BUDGET: &str = "PORT_BUDGET";
pub const BUDGETS: &str = "BUDGETS";
pub const SHARES: &str = "SHARES";
/// The names of all three maps.
pub const ALL: [&str; 3] = [PORT_BUDGET, BUDGETS, SHARES];

/// The gate that the running programs use.
pub struct Gate {
    pub found: FoundGate,
    pub pins: Vec<Pin>,
    tables: GateTables,
}

/// The maps that belong to a gate with this name, with their sizes.
fn expected_maps(name: &GateName) -> [ExpectedMap; 3] {
    [
        array(PORT_BUDGET, size_of::<PortBudget>(), u32::try_from(PORTS).expect("65,536")),
        array(BUDGETS, size_of::<Budget>(), name.lines),
        array(SHARES, size_of::<Share>(), name.cpus.saturating_mul(name.lines)),
    ]
}

/// Makes the programs that `loader` loads use the gate's maps. Maps that are not pinned yet are created.
///
/// # Errors
/// When a pinned map does not match the gate's name.
pub fn use_maps(loader: &mut EbpfLoader<'_>, found: &FoundGate) -> Result<(), BackendError> {
    for map in expected_maps(&found.name) {
        let pin = found.path.join(map.name);
        if bpffs::exists(&pin)? {
            map.verify(&pin)?;
        }
        loader.map_max_entries(map.name, map.max_entries);
        loader.map_pin_path(map.name, pin);
    }
    Ok(())
}

/// How many bytes must be left in a budget before a CPU may take some in advance. That is more than all CPUs together
/// may hold as leases.
pub fn plenty(cpus: u32) -> u64 {
    (u64::from(cpus) + 1) * LEASE
}

impl Gate {
    /// Opens the gate whose maps the programs use. `map` returns the map with a given name.
    ///
    /// # Errors
    /// When a map cannot be mapped into memory, or a pin is missing.
    pub fn of<'a>(map: impl Fn(&str) -> BorrowedFd<'a>, found: FoundGate) -> Result<Self, BackendError> {
        let [ports, budgets, shares] = ALL.map(map);
        let tables = GateTables::map(ports, budgets, shares, &found.name)
            .map_err(|source| BackendError::Load { what: "maps into memory".into(), source: Box::new(source) })?;
        let pins = ALL.iter().map(|name| Pin::at(found.path.join(name))).collect::<Result<_, _>>()?;
        Ok(Self { found, pins, tables })
    }

    /// Pins again every map that is no longer pinned. `map_of` returns the map with a given name.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn pin<'a>(&mut self, map_of: impl Fn(&str) -> BorrowedFd<'a>, path: &Path) -> Result<(), BackendError> {
        bpffs::ensure_directory(path)?;
        let pinned = ALL.map(|map| {
            let pin = path.join(map);
            let before = self.pins.iter().find(|before| before.path == pin && before.is_intact());
            before.map_or_else(|| Pin::make(map_of(map), pin.clone()), |before| Ok(before.clone()))
        });
        self.pins = pinned.into_iter().collect::<Result<_, _>>()?;
        path.clone_into(&mut self.found.path);
        Ok(())
    }

    /// Whether all pins are still the ones that this process made or found.
    pub fn is_pinned(&self) -> bool {
        self.pins.len() == ALL.len() && self.pins.iter().all(Pin::is_intact)
    }
}
