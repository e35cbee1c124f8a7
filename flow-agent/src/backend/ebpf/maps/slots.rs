//! The life of a slot: pure plans of small steps, after each of which the agent may die.
//!
//! A slot is *free*, *active* for a port, or *draining*: no longer fed, its last bytes not sealed yet. Whoever comes
//! after a dead agent learns from the owners in the kernel whose bytes lie where, so the order of the steps is what
//! keeps everybody's bytes apart:
//!
//! - **add**: while the slot is still free: zero it, let every program that runs now end, see that it stayed zero. Then
//!   own it, then route the port to it. Free cells may hold anything, so a death in between gives nobody another's bytes.
//! - **drain**: own it as draining, route the port away, let every program that runs now end. From then on it stands.
//! - **release**: own it as free.
//! - **add again while draining**: own it as active, route the port to it; it goes on from where it stood.

use std::collections::{BTreeMap, BTreeSet};

use flow_common::wire::{OTHER_PORTS, SLOT_ACTIVE, SLOT_DRAINING, SLOT_FREE, SlotOwner};

use crate::backend::BackendError;

/// One step. Each is done by one store, or may be done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotStep {
    /// Says in the kernel who owns the slot.
    Own { slot: u16, owner: Occupant },
    /// Lets packets of the port count in the slot; slot 0 is that of all ports that nobody watches.
    Route { port: u16, slot: u16 },
    /// Zeroes the slot's cells.
    Zero { slot: u16 },
    /// Waits until every program that runs now has ended.
    Grace,
    /// Sees that the slot's cells are zero still.
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
    /// The port whose bytes lie in the slot.
    pub fn port(self) -> Option<u16> {
        match self {
            Self::Free => None,
            Self::Active(port) | Self::Draining(port) => Some(port),
        }
    }

    /// As it lies in the map; `None` for what no release wrote.
    pub fn from_wire(owner: SlotOwner) -> Option<Self> {
        match owner.state {
            SLOT_FREE => Some(Self::Free),
            SLOT_ACTIVE => Some(Self::Active(owner.port)),
            SLOT_DRAINING => Some(Self::Draining(owner.port)),
            _ => None,
        }
    }

    /// As it lies in the map.
    pub fn to_wire(self) -> SlotOwner {
        let (port, state) = match self {
            Self::Free => (0, SLOT_FREE),
            Self::Active(port) => (port, SLOT_ACTIVE),
            Self::Draining(port) => (port, SLOT_DRAINING),
        };
        SlotOwner { port, state, padding: 0 }
    }
}

/// The owners of all slots, as they lie in the kernel; index 0 is slot 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotOwners(Vec<Occupant>);

impl SlotOwners {
    /// Takes the owners of slot 1 and on.
    ///
    /// # Errors
    /// Says what is wrong when a port owns two slots.
    pub fn new(owners: Vec<Occupant>) -> Result<Self, String> {
        let mut seen = BTreeSet::new();
        match owners.iter().filter_map(|owner| owner.port()).find(|port| !seen.insert(*port)) {
            Some(port) => Err(format!("port {port} owns two slots")),
            None => Ok(Self(owners)),
        }
    }

    /// Every owned slot and its owner.
    pub fn owned(&self) -> impl Iterator<Item = (u16, Occupant)> {
        self.all().filter(|(_, owner)| *owner != Occupant::Free)
    }

    /// The ports that count.
    pub fn active(&self) -> BTreeSet<u16> {
        self.0.iter().filter_map(|owner| if let Occupant::Active(port) = owner { Some(*port) } else { None }).collect()
    }

    /// Whether `ports` can be counted beside what is owned already.
    pub fn have_room_for(&self, ports: &BTreeSet<u16>) -> bool {
        let free = self.0.iter().filter(|owner| **owner == Occupant::Free).count();
        let by_port = self.by_port();
        ports.iter().filter(|port| !by_port.contains_key(port)).count() <= free
    }

    /// Counts `ports`: those that drain go on, those that count already stay as they are.
    ///
    /// # Errors
    /// [`BackendError::Full`] when there are too few free slots: no step was planned.
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

    /// Stops counting `ports`.
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

    /// Forgets `ports`, which drain.
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

    /// Ends what a dead predecessor had begun: the owners are right, the routes follow them. `routes` are the ports
    /// that are routed to any slot but 0.
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
        // The predecessor may have died before its grace was over.
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
