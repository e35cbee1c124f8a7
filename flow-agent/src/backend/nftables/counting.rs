//! EDGE clock: the running nftables backend: one set of counters, and the interfaces that it counts on.
#![expect(clippy::disallowed_methods, reason = "edge: clock")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::found;
use super::model::layout::NftLayout;
use super::model::place::{NftChain, NftSet};
use super::model::transaction::NftTransaction;
use super::model::values::NftValues;
use super::retired::{RetiredCounters, identity};
use super::set::NftCounters;
use crate::backend::error::nftables::NftablesError;
use crate::backend::followed::FollowedDevices;
use crate::backend::iptables::model::flow::Direction;
use crate::backend::iptables::model::pace::Pace;
use crate::backend::iptables::{new_name, refuse_too_many};
use crate::backend::{Backend, BackendError, Identity, Inspection, Retired, host};
use crate::ledger::blocked::Blocked;
use crate::ledger::limits::budget::UserBudget;
use crate::ledger::reading::{Moment, Reading};

pub struct NftablesBackend {
    pub(super) instance: String,
    pub(super) max_ports: u32,
    pub(super) epoch: String,
    pub(super) set: NftCounters,
    pub(super) devices: FollowedDevices,
    /// The last time at which everything was found to be as it should be.
    pub(super) well_at: Moment,
    /// The number of bytes that the devices had moved right before then.
    pub(super) moved: u64,
    /// Whether it was reported that packets may pass before reaching the counters, which is then repaired.
    pub(super) is_reported: bool,
    /// Whether the set carries the mark that a bucket has been sealed.
    pub(super) sealed: bool,
    pub(super) pace: Pace,
    /// What was refused up to the time when the last budget was lifted.
    pub(super) lifted: Blocked,
    /// The ids that a new set must not have.
    pub(super) taken: BTreeSet<String>,
}

impl Backend for NftablesBackend {
    fn identity(&self) -> Identity {
        identity(self.epoch.clone())
    }

    fn interfaces(&self) -> Vec<String> {
        self.set.layout.interfaces.clone()
    }

    fn ports(&self) -> BTreeSet<u16> {
        self.set.ports()
    }

    fn read(&mut self, now: &dyn Fn() -> Moment) -> Result<Reading, BackendError> {
        let moved = self.devices.moved();
        let at = now();
        let values = self.set.read()?;
        self.well_at = at;
        self.moved = moved;
        let mut blocked = values.blocked();
        blocked.add(&self.lifted);
        Ok(Reading {
            epoch: self.epoch.clone(),
            at,
            ports: values.ports().into(),
            draining: self.set.layout.draining.clone(),
            others: values.others(),
            blocked,
            devices: self.devices.counters(),
        })
    }

    fn add(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError> {
        let before = &self.set.layout;
        let fresh: BTreeSet<u16> = ports.difference(&before.ports).copied().collect();
        refuse_too_many(self.set.ports().union(ports).count(), self.max_ports)?;
        let all: BTreeSet<u16> = before.ports.union(&fresh).copied().collect();
        if all.len() > before.capacity() as usize {
            return Err(BackendError::Full { wanted: all.len(), slots: before.capacity() });
        }
        let back = before.draining.intersection(ports).copied().collect();
        let draining = before.draining.difference(ports).copied().collect();
        let layout = NftLayout { ports: all, draining, ..before.clone() };
        self.set.change(layout, |transaction, layout| {
            layout.add_ports(transaction, &fresh);
            thaw(transaction, layout, &back);
        })?;
        Ok(())
    }

    fn drain(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError> {
        let gone: BTreeSet<u16> = ports.intersection(&self.set.ports()).copied().collect();
        let before = &self.set.layout;
        let draining = before.draining.union(&gone).copied().collect();
        let layout = NftLayout { draining, ..before.clone() };
        self.set.change(layout, |transaction, layout| freeze(transaction, layout, &gone))?;
        host::grace();
        Ok(())
    }

    fn release(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError> {
        let before = &self.set.layout;
        let gone: BTreeSet<u16> = ports.intersection(&before.draining).copied().collect();
        let ports = before.ports.difference(&gone).copied().collect();
        let draining = before.draining.difference(&gone).copied().collect();
        let layout = NftLayout { ports, draining, ..before.clone() };
        let last = &self.set.last;
        // Only what the last reading has shown: a command about an element that is not there would fail, and with it
        // all others.
        let listed = |ports: BTreeSet<u16>| ports.intersection(&gone).copied().collect::<BTreeSet<u16>>();
        let cut = listed(last.cut.clone());
        let blocked = Direction::BOTH.map(|direction| (direction, listed(last.refused_in(direction))));
        self.set.change(layout, |transaction, layout| {
            layout.remove_ports(transaction, &gone);
            thaw(transaction, layout, &gone);
            layout.delete_ports(transaction, NftSet::Cut, &cut);
            for (direction, ports) in &blocked {
                layout.delete_ports(transaction, NftSet::Blocked(*direction), ports);
            }
        })?;
        self.set.last.forget(&gone);
        Ok(())
    }

    fn replace(&mut self, ports: &BTreeSet<u16>) -> Result<Box<dyn Retired>, BackendError> {
        refuse_too_many(ports.len(), self.max_ports)?;
        let (set, epoch, left_at) = self.put_aside(ports, false)?;
        Ok(Box::new(RetiredCounters::replaced(set, epoch, left_at)))
    }

    fn inspect(&mut self, now: Moment) -> Result<Inspection, BackendError> {
        self.devices.keep_locks();
        self.look_around(now)
    }

    fn enforce(&mut self, budgets: &[UserBudget], now: Moment) -> Result<(), BackendError> {
        self.limit(budgets, now)
    }

    fn enforce_again_after(&self) -> Option<Duration> {
        self.pace.again_after
    }

    fn sealed(&mut self) -> Result<(), BackendError> {
        if !self.sealed {
            let mut transaction = NftTransaction::on(&self.set.layout.table());
            transaction.add_chain(&self.set.layout.chain(NftChain::Sealed));
            self.set.nft.apply(&transaction)?;
        }
        self.sealed = true;
        Ok(())
    }
}

impl NftablesBackend {
    /// Replaces a set that somebody else changed, or whose table is gone or of no use.
    ///
    /// # Errors
    /// Like [`Backend::replace`].
    pub(super) fn replace_damaged(&mut self, found: &NftValues) -> Result<Box<dyn Retired>, BackendError> {
        let anew = self.is_table_useless()?;
        let (set, epoch, left_at) = self.put_aside(&self.set.ports(), anew)?;
        Ok(Box::new(RetiredCounters::damaged(set, epoch, found, left_at)))
    }

    /// Whether the table is of no use for counters, so that it has to be made anew.
    fn is_table_useless(&self) -> Result<bool, NftablesError> {
        let table = self.set.layout.table();
        let (Some(listed), Some(facts)) = (self.set.nft.list(&table)?, super::host::facts(&table)?) else {
            return Ok(false);
        };
        Ok(facts.is_dormant || listed.entrance(&self.set.layout) == super::listed::NftEntrance::Absent)
    }

    /// Makes a new set for `ports` and directs packets into it instead of the present one. Returns the former set.
    fn put_aside(&mut self, ports: &BTreeSet<u16>, anew: bool) -> Result<(NftCounters, String, Instant), BackendError> {
        let NftCounters { nft, layout, .. } = &self.set;
        let name = new_name(&self.instance, &mut self.taken);
        let epoch = found::epoch(&name)?;
        let mut set = NftCounters::make(nft.clone(), name, layout.interfaces.clone(), ports.clone(), anew)?;
        // Ports that are cut stay cut: the new set refuses their packets before any packet enters it.
        set.go_on_cutting(&self.set.last.cut);
        if let Err(error) = set.enter() {
            set.abandon();
            return Err(error.into());
        }
        let left_at = Instant::now();
        host::grace();
        self.sealed = false;
        self.lifted = Blocked::default();
        self.pace.forget();
        let (set, epoch) = (std::mem::replace(&mut self.set, set), std::mem::replace(&mut self.epoch, epoch));
        Ok((set, epoch, left_at))
    }
}

/// Freezes the counters of `ports`. `layout` is the layout from then on.
pub(super) fn freeze(transaction: &mut NftTransaction, layout: &NftLayout, ports: &BTreeSet<u16>) {
    if ports.is_empty() {
        return;
    }
    transaction.add_elements(&layout.set(NftSet::Still), ports.iter().map(|port| (*port).into()));
    // The first frozen port needs rules that come before the counters.
    if layout.draining == *ports {
        layout.rewrite_split(transaction);
    }
}

/// Lets the counters of frozen `ports` count again, or forgets that they were frozen. `layout` is the layout from then
/// on.
fn thaw(transaction: &mut NftTransaction, layout: &NftLayout, ports: &BTreeSet<u16>) {
    if ports.is_empty() {
        return;
    }
    transaction.delete_elements(&layout.set(NftSet::Still), ports.iter().map(|port| (*port).into()));
    if layout.draining.is_empty() {
        layout.rewrite_split(transaction);
    }
}
