//! The life cycle of a slot: pure plans made of small steps, after each of which the agent may die.
//!
//! A slot is *free*, *active* for a port, or *draining*: it gets no more packets, but its last bytes are not sealed
//! yet. A successor of a dead agent learns from the owners stored in the kernel whose bytes each slot holds. So the
//! order of the steps keeps one port's bytes from being given to another:
//!
//! - **add**: while the slot is still free, zero it, wait until all running programs have ended, and verify that it
//!   stayed zero. Then write its owner, then route the port to it. The cells of a free slot may hold anything, so an
//!   agent that dies in between gives nobody the bytes of another port.
//! - **drain**: write its owner as draining, route the port away, and wait until all running programs have ended. From
//!   then on the slot does not change.
//! - **release**: write its owner as free.
//! - **add again while draining**: write its owner as active and route the port to it. It continues from its last
//!   value.

use std::collections::{BTreeMap, BTreeSet};

use flow_common::wire::{OTHER_PORTS, SLOT_ACTIVE, SLOT_DRAINING, SLOT_FREE, SlotOwner};

use crate::backend::BackendError;

/// One step. Each step is a single store or can safely be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotStep {
    /// Stores in the kernel who owns the slot.
    Own { slot: u16, owner: Occupant },
    /// Routes packets of the port to the slot. Slot 0 counts all ports that nobody watches.
    Route { port: u16, slot: u16 },
    /// Zeroes the slot's cells.
    Zero { slot: u16 },
    /// Waits until every program that is running now has ended.
    Grace,
    /// Verifies that the slot's cells are still zero.
    VerifyZero { slot: u16 },
}

/// Who owns a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occupant {
    Free,
    Active(u16),
    Draining(u16),
}

impl Occupant {
    /// The port whose bytes the slot holds.
    pub fn port(self) -> Option<u16> {
        match self {
            Self::Free => None,
            Self::Active(port) | Self::Draining(port) => Some(port),
        }
    }

    /// Decodes the map's representation. `None` if no release writes such a value.
    pub fn from_wire(owner: SlotOwner) -> Option<Self> {
        match owner.state {
            SLOT_FREE => Some(Self::Free),
            SLOT_ACTIVE => Some(Self::Active(owner.port)),
            SLOT_DRAINING => Some(Self::Draining(owner.port)),
            _ => None,
        }
    }

    /// Encodes the owner as it is stored in the map.
    pub fn to_wire(self) -> SlotOwner {
        let (port, state) = match self {
            Self::Free => (0, SLOT_FREE),
            Self::Active(port) => (port, SLOT_ACTIVE),
            Self::Draining(port) => (port, SLOT_DRAINING),
        };
        SlotOwner { port, state, padding: 0 }
    }
}

/// The owners of all slots as stored in the kernel. Index 0 is slot 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotOwners(Vec<Occupant>);

impl SlotOwners {
    /// Takes the owners of slot 1 and up.
    ///
    /// # Errors
    /// Says what is wrong if a port owns two slots.
    pub fn new(owners: Vec<Occupant>) -> Result<Self, String> {
        let mut seen = BTreeSet::new();
        match owners.iter().filter_map(|owner| owner.port()).find(|port| !seen.insert(*port)) {
            Some(port) => Err(format!("port {port} owns two slots")),
            None => Ok(Self(owners)),
        }
    }

    /// Every slot that is not free, with its owner.
    pub fn owned(&self) -> impl Iterator<Item = (u16, Occupant)> {
        self.all().filter(|(_, owner)| *owner != Occupant::Free)
    }

    /// The ports that are being counted.
    pub fn active(&self) -> BTreeSet<u16> {
        self.0.iter().filter_map(|owner| if let Occupant::Active(port) = owner { Some(*port) } else { None }).collect()
    }

    /// Whether there are free slots for those of `ports` that do not own one yet.
    pub fn have_room_for(&self, ports: &BTreeSet<u16>) -> bool {
        let free = self.0.iter().filter(|owner| **owner == Occupant::Free).count();
        let by_port = self.by_port();
        ports.iter().filter(|port| !by_port.contains_key(port)).count() <= free
    }

    /// Plans to count `ports`. Draining ports become active again, and ports that are already counted stay as they are.
    ///
    /// # Errors
    /// [`BackendError::Full`] if there are too few free slots. No step is planned then.
    pub fn plan_add(&self, ports: &BTreeSet<u16>) -> Result<Vec<SlotStep>, BackendError> {
        let by_port = self.by_port();
        let mut steps = Vec::new();
        let mut new = Vec::new();
        for port in ports {
            match by_port.get(port) {
                Some((_, Occupant::Active(_))) => {}
                Some((slot, _)) => steps.extend(begin(*slot, *port)),
                None => new.push(*port),
            }
        }
        let free = self.all().filter(|(_, owner)| *owner == Occupant::Free).map(|(slot, _)| slot);
        let given: Vec<(u16, u16)> = free.zip(new.iter().copied()).collect();
        if given.len() < new.len() {
            let slots = u32::try_from(self.0.len()).expect("there are at most 65,530 slots");
            return Err(BackendError::Full { wanted: by_port.len() + new.len(), slots });
        }
        if !given.is_empty() {
            steps.extend(given.iter().map(|(slot, _)| SlotStep::Zero { slot: *slot }));
            steps.push(SlotStep::Grace);
            steps.extend(given.iter().map(|(slot, _)| SlotStep::VerifyZero { slot: *slot }));
            steps.extend(given.iter().flat_map(|(slot, port)| begin(*slot, *port)));
        }
        Ok(steps)
    }

    /// Plans to stop counting `ports`.
    pub fn plan_drain(&self, ports: &BTreeSet<u16>) -> Vec<SlotStep> {
        let mut steps: Vec<SlotStep> = self
            .owned()
            .filter_map(|(slot, owner)| match owner {
                Occupant::Active(port) if ports.contains(&port) => Some((slot, port)),
                Occupant::Active(_) | Occupant::Draining(_) | Occupant::Free => None,
            })
            .flat_map(|(slot, port)| {
                [SlotStep::Own { slot, owner: Occupant::Draining(port) }, SlotStep::Route { port, slot: OTHER_PORTS }]
            })
            .collect();
        if !steps.is_empty() {
            steps.push(SlotStep::Grace);
        }
        steps
    }

    /// Plans to free the slots of those `ports` that are draining.
    pub fn plan_release(&self, ports: &BTreeSet<u16>) -> Vec<SlotStep> {
        self.owned()
            .filter_map(|(slot, owner)| match owner {
                Occupant::Draining(port) if ports.contains(&port) => {
                    Some(SlotStep::Own { slot, owner: Occupant::Free })
                }
                Occupant::Draining(_) | Occupant::Active(_) | Occupant::Free => None,
            })
            .collect()
    }

    /// Plans to finish what a dead predecessor had begun. The owners are taken as correct, and the routes are made to
    /// match. `routes` holds the ports that are routed to a slot other than 0.
    pub fn plan_recovery(&self, routes: &BTreeMap<u16, u16>) -> Vec<SlotStep> {
        let active: BTreeMap<u16, u16> = self
            .owned()
            .filter_map(|(slot, owner)| match owner {
                Occupant::Active(port) => Some((port, slot)),
                Occupant::Draining(_) | Occupant::Free => None,
            })
            .collect();
        let astray = routes.iter().filter(|(port, slot)| active.get(port) != Some(slot));
        let mut steps: Vec<SlotStep> =
            astray.map(|(port, _)| SlotStep::Route { port: *port, slot: OTHER_PORTS }).collect();
        // The predecessor may have died before it had waited long enough.
        if !steps.is_empty() || self.owned().any(|(_, owner)| matches!(owner, Occupant::Draining(_))) {
            steps.push(SlotStep::Grace);
        }
        let missing = active.iter().filter(|(port, slot)| routes.get(port) != Some(slot));
        steps.extend(missing.map(|(port, slot)| SlotStep::Route { port: *port, slot: *slot }));
        steps
    }

    fn all(&self) -> impl Iterator<Item = (u16, Occupant)> {
        (1..).zip(self.0.iter().copied())
    }

    fn by_port(&self) -> BTreeMap<u16, (u16, Occupant)> {
        self.owned().filter_map(|(slot, owner)| owner.port().map(|port| (port, (slot, owner)))).collect()
    }
}

fn begin(slot: u16, port: u16) -> [SlotStep; 2] {
    [SlotStep::Own { slot, owner: Occupant::Active(port) }, SlotStep::Route { port, slot }]
}

#[cfg(test)]
mod tests;
