//! Finds out whether the kernel permits counting with eBPF, by trying it without attaching anything.

use super::counting;
use super::kernel;
use super::pins::layout;
use super::refusal;
use super::set::{Constants, MapSet};
use crate::backend::interface::LinkLayer;
use crate::backend::netlink::Direction;
use crate::backend::privileges::Privileges;
use crate::backend::{BackendError, host};
use crate::ledger::record::CountMode;

/// Loads the maps and programs, attaches nothing, and drops them.
///
/// # Errors
/// The kernel's refusal, with an explanation where there is one.
pub fn probe(count: CountMode, max_ports: u32) -> Result<(), BackendError> {
    load(count, max_ports).map_err(|error| refusal::explain(error, &Privileges::of_this_thread()))
}

fn load(count: CountMode, max_ports: u32) -> Result<(), BackendError> {
    let name = layout::MapSetName {
        count,
        slots: layout::slots_for(1, max_ports)?,
        cpus: kernel::possible_cpus()?,
        id: counting::new_id(),
    };
    let constants = Constants { atomic: host::is_realtime(), log: false, gate: None };
    let (_set, mut programs) = MapSet::load(name, None, constants)?;
    for direction in Direction::BOTH {
        programs.get(LinkLayer::Ethernet, direction)?;
    }
    Ok(())
}
