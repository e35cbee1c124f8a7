//! EDGE kernel: setting, changing and lifting limits while the programs run.
//!
//! Without budgets the attached programs only count; with budgets they also refuse. Switching from one kind to the
//! other is atomic for each direction of a device, and the counters stay the same.

use std::collections::{BTreeMap, BTreeSet};

use super::counting::EbpfBackend;
use super::gate::{self, Gate, apply::CountersOfPorts};
use super::pins::bpffs::{self, FoundGate, Pins};
use super::pins::layout::GateName;
use super::set::{Constants, MapSet};
use crate::backend::BackendError;
use crate::backend::{connections, host};
use crate::ledger::limits::budget::{Transferred, UserBudget};
use crate::ledger::reading::Moment;

impl EbpfBackend {
    /// Enforces `budgets` and lifts all others.
    pub(super) fn limit(&mut self, budgets: &[UserBudget], now: Moment) -> Result<(), BackendError> {
        let outcome = self.change_limits(budgets, now);
        self.close_connections(budgets, now);
        outcome
    }

    /// Closes the connections of users whose packets have been refused since the last look. The resets pass as long as
    /// the budget has room for them; see [`flow_common::gate::admit_reset`].
    pub(super) fn close_connections(&mut self, budgets: &[UserBudget], now: Moment) {
        let refused = self.gate.as_ref().map(|gate| gate.refused(now)).unwrap_or_default();
        let before = std::mem::replace(&mut self.refused, refused);
        if self.refused.is_subset(&before) {
            return;
        }
        let is_new = |budget: &&UserBudget| {
            let owner = gate::apply::owner(&budget.user);
            self.refused.contains(&owner) && !before.contains(&owner)
        };
        let ports = budgets.iter().filter(is_new).flat_map(|budget| budget.ports.iter().copied()).collect();
        // A port that is no longer counted here is no longer limited here.
        connections::close(&self.set.active().intersection(&ports).copied().collect());
    }

    fn change_limits(&mut self, budgets: &[UserBudget], now: Moment) -> Result<(), BackendError> {
        match (budgets.is_empty(), &self.gate) {
            (true, None) => Ok(()),
            (true, Some(_)) => self.open_gate(),
            (false, None) => {
                self.close_gate(budgets.len())?;
                self.apply(budgets, now)
            }
            (false, Some(_)) => self.apply(budgets, now),
        }
    }

    fn apply(&self, budgets: &[UserBudget], now: Moment) -> Result<(), BackendError> {
        let Some(gate) = &self.gate else { return Ok(()) };
        let ports = budgets.iter().flat_map(|budget| budget.ports.iter().copied()).collect();
        let slots = self.set.slots_of(&ports);
        gate.apply(budgets, &SetCounters { set: &self.set, slots }, now, &host::grace)
    }

    /// Replaces the programs that only count with programs that also refuse.
    fn close_gate(&mut self, budgets: usize) -> Result<(), BackendError> {
        let (Some(pins), Some(_)) = (&self.attacher.pins, &self.set.path) else {
            return Err(BackendError::CannotRefuse);
        };
        let name = GateName::new(budgets, self.set.name.cpus);
        let found = FoundGate { path: pins.gate_path(&name), name };
        bpffs::ensure_directory(&found.path)?;
        let closed = self.change_programs(Some(found.clone()));
        if closed.is_err() {
            bpffs::remove_set(&found.path)?;
        }
        closed
    }

    /// Replaces the programs that refuse with programs that only count.
    fn open_gate(&mut self) -> Result<(), BackendError> {
        self.change_programs(None)?;
        // If the pins are out of reach, there is nothing to remove, and that is no error.
        match self.attacher.pins.as_ref().map_or(Ok(None), Pins::gate)? {
            Some(found) => bpffs::remove_set(&found.path),
            None => Ok(()),
        }
    }

    fn change_programs(&mut self, gate: Option<FoundGate>) -> Result<(), BackendError> {
        if self.set.path.is_none() {
            return Err(BackendError::CannotRefuse);
        }
        let constants = Constants { gate: gate.clone(), ..self.constants.clone() };
        let (set, mut programs) = MapSet::load(self.set.name.clone(), self.set.path.clone(), constants.clone())?;
        self.load_all(&mut programs)?;
        let gate = gate.map(|found| Gate::of(|name| programs.map(name), found)).transpose()?;
        self.move_to(set, programs);
        self.gate = gate;
        self.constants = constants;
        Ok(())
    }
}

/// The counters of a set, in the form that budgets need.
struct SetCounters<'a> {
    set: &'a MapSet,
    /// The slots of the ports of all budgets.
    slots: BTreeMap<u16, u16>,
}

impl CountersOfPorts for SetCounters<'_> {
    fn counted(&self, ports: &BTreeSet<u16>) -> BTreeSet<u16> {
        ports.iter().copied().filter(|port| self.slots.contains_key(port)).collect()
    }

    fn transferred(&self, ports: &BTreeSet<u16>) -> Transferred {
        let slots: Vec<u16> = ports.iter().filter_map(|port| self.slots.get(port).copied()).collect();
        self.set.transferred(&slots)
    }
}
