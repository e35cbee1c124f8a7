//! EDGE kernel: the maps of the gate, which hold what users may still transfer.
//!
//! They lie beside the sets of counters, not in one of them, and outlive them: a larger set, a reload, an upgrade and a dead
//! agent change nothing of what somebody has left.

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
/// The names of all of them.
pub const ALL: [&str; 3] = [PORT_BUDGET, BUDGETS, SHARES];

/// The gate of the programs that run.
pub struct Gate {
    pub found: FoundGate,
    pub pins: Vec<Pin>,
    tables: GateTables,
}

/// The maps of a gate with this name.
fn expected_maps(name: &GateName) -> [ExpectedMap; 3] {
    [
        array(PORT_BUDGET, size_of::<PortBudget>(), u32::try_from(PORTS).expect("65,536")),
        array(BUDGETS, size_of::<Budget>(), name.lines),
        array(SHARES, size_of::<Share>(), name.cpus.saturating_mul(name.lines)),
    ]
}

/// Lets the programs that are loaded use the gate's maps, which are made where they are not pinned yet.
///
/// # Errors
/// When a pinned map is not what the gate's name says.
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

/// So many bytes must be left of a budget for a CPU to take some in advance: what all CPUs may have taken, and more.
pub fn plenty(cpus: u32) -> u64 {
    (u64::from(cpus) + 1) * LEASE
}

impl Gate {
    /// The gate whose maps the programs use; `map` gives the one of a name.
    ///
    /// # Errors
    /// When they cannot be mapped into memory, or their pins are not to be found.
    pub fn of<'a>(map: impl Fn(&str) -> BorrowedFd<'a>, found: FoundGate) -> Result<Self, BackendError> {
        let [ports, budgets, shares] = ALL.map(map);
        let tables = GateTables::map(ports, budgets, shares, &found.name)
            .map_err(|source| BackendError::Load { what: "maps into memory".into(), source: Box::new(source) })?;
        let pins = ALL.iter().map(|name| Pin::at(found.path.join(name))).collect::<Result<_, _>>()?;
        Ok(Self { found, pins, tables })
    }

    /// Pins again what is not pinned any more; `map` gives the map of a name.
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

    /// Whether all pins are as we left them.
    pub fn is_pinned(&self) -> bool {
        self.pins.len() == ALL.len() && self.pins.iter().all(Pin::is_intact)
    }
}
