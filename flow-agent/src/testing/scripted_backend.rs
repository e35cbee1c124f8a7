//! A test double of a backend, with counters that a test moves, and a kernel that fails on demand.
//!
//! A [`Script`] is the kernel's side. It outlives the backend that it starts, as pinned counters outlive an agent. To
//! simulate a kill, drop the backend and start another; to lose the counters, call [`Script::reboot`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::TimeDelta;

use crate::backend::{Backend, BackendError, BackendOptions, Identity, Inspection, Retired, Started};
use crate::ledger::blocked::Blocked;
use crate::ledger::counters::{Counters, Device, Flow, Others};
use crate::ledger::reading::{Moment, Reading, Unseen};
use crate::ledger::record::{BackendKind, CountMode};

/// An operation that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Start,
    Read,
    Add,
    Drain,
    Release,
    Replace,
    Inspect,
    Delete,
}

/// The kernel's side of the double. All clones share the same kernel.
#[derive(Clone, Debug)]
pub struct Script(Arc<Mutex<Kernel>>);

#[derive(Debug)]
struct Kernel {
    /// How often counters were created, which is part of their epochs.
    lives: u32,
    slots: u32,
    live: Set,
    retired: Vec<Set>,
    /// The last known values of counters that somebody destroyed, until an inspection returns them.
    destroyed: Option<Set>,
    unseen: Vec<Unseen>,
    faults: Vec<Operation>,
    /// How many of the next readings take two seconds.
    slow_readings: u32,
}

/// One set of counters.
#[derive(Clone, Debug, Default)]
struct Set {
    epoch: String,
    sealed: bool,
    counting: BTreeMap<u16, Counters>,
    draining: BTreeMap<u16, Counters>,
    others: Others,
    devices: Vec<Device>,
}

impl Script {
    /// A kernel in which nothing counts yet, with room for `slots` ports.
    pub fn new(slots: u32) -> Self {
        let live = Set { epoch: "scripted-1".into(), ..Set::default() };
        let (retired, unseen, faults) = (Vec::new(), Vec::new(), Vec::new());
        let kernel = Kernel { lives: 1, slots, live, retired, destroyed: None, unseen, faults, slow_readings: 0 };
        Self(Arc::new(Mutex::new(kernel)))
    }

    /// Makes this many of the next readings take two seconds to complete.
    pub fn read_slowly(&self, readings: u32) {
        self.kernel().slow_readings = readings;
    }

    /// Starts a backend on these counters. If they were sealed but their epoch is not known, they are left alone, and
    /// new ones are made.
    ///
    /// # Errors
    /// When [`Operation::Start`] was made to fail, or the ports do not fit.
    pub fn start(&self, options: &BackendOptions) -> Result<Started, BackendError> {
        let mut kernel = self.kernel();
        kernel.fails(Operation::Start)?;
        let mut unadopted = Vec::new();
        if kernel.live.sealed && !options.known_epochs.contains(&kernel.live.epoch) {
            unadopted.push(kernel.live.epoch.as_str().into());
            kernel.live = kernel.new_set();
        }
        let gone = kernel.live.counting.keys().copied().filter(|port| !options.ports.contains(port)).collect();
        kernel.live.drain(&gone);
        if !options.known_epochs.contains(&kernel.live.epoch) {
            let new = options.ports.iter().copied().filter(|port| !kernel.live.draining.contains_key(port)).collect();
            kernel.add(&new)?;
        }
        let retired = std::mem::take(&mut kernel.retired);
        let retired = retired.into_iter().map(|set| self.retire(set)).collect();
        let unseen = std::mem::take(&mut kernel.unseen);
        drop(kernel);
        Ok(Started { backend: Box::new(Scripted(self.clone())), retired, unseen, unadopted })
    }

    /// Passes traffic on `port`: adds to its counters, or to `other_ports` if it is not counted.
    pub fn pass(&self, port: u16, usage: Counters) {
        let mut kernel = self.kernel();
        if let Some(counters) = kernel.live.counting.get_mut(&port) {
            *counters = counters.checked_add(usage).expect("a test passes less than 2^64 bytes");
            return;
        }
        let flow = Flow {
            in_bytes: usage.in_bytes(),
            in_packets: usage.tcp_in_packets + usage.udp_in_packets,
            out_bytes: usage.out_bytes(),
            out_packets: usage.tcp_out_packets + usage.udp_out_packets,
        };
        let others = Others { other_ports: flow, ..Others::default() };
        kernel.live.others = kernel.live.others.checked_add(others).expect("a test passes less than 2^64 bytes");
    }

    /// Sets the counters of `port`, which must be counted. Zero simulates a reset by somebody.
    pub fn set(&self, port: u16, counters: Counters) {
        self.kernel().live.counting.insert(port, counters);
    }

    /// Sets the devices' own counters.
    pub fn set_devices(&self, devices: Vec<Device>) {
        self.kernel().live.devices = devices;
    }

    /// Makes the next inspection, or start, report this.
    pub fn hide(&self, unseen: Unseen) {
        self.kernel().unseen.push(unseen);
    }

    /// Makes the next `operation` fail without any effect.
    pub fn fail_next(&self, operation: Operation) {
        self.kernel().faults.push(operation);
    }

    /// Destroys the counters: the next inspection makes new ones, and returns these as they are now.
    pub fn destroy(&self) {
        let mut kernel = self.kernel();
        kernel.destroyed = Some(kernel.live.clone());
    }

    /// Loses all counters, as a reboot does: the next start begins a new epoch at zero.
    pub fn reboot(&self) {
        let mut kernel = self.kernel();
        kernel.live = kernel.new_set();
        kernel.retired.clear();
    }

    /// The draining ports whose counters still exist.
    pub fn draining(&self) -> BTreeSet<u16> {
        self.kernel().live.draining.keys().copied().collect()
    }

    /// The epochs of the retired counters that were not deleted yet.
    pub fn retired_epochs(&self) -> Vec<String> {
        self.kernel().retired.iter().map(|set| set.epoch.clone()).collect()
    }

    fn kernel(&self) -> MutexGuard<'_, Kernel> {
        // If a test panicked elsewhere, that was reported already.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn retire(&self, set: Set) -> Box<dyn Retired> {
        Box::new(RetiredScript { script: self.clone(), set })
    }
}

impl Kernel {
    fn fails(&mut self, operation: Operation) -> Result<(), BackendError> {
        let Some(index) = self.faults.iter().position(|fault| *fault == operation) else { return Ok(()) };
        self.faults.remove(index);
        let source = std::io::Error::other("the script says so");
        Err(BackendError::Path { action: "act upon", path: format!("{operation:?}").into(), source })
    }

    fn new_set(&mut self) -> Set {
        self.lives += 1;
        Set { epoch: format!("scripted-{}", self.lives), ..Set::default() }
    }

    fn add(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError> {
        let set = &mut self.live;
        let held: BTreeSet<u16> = set.counting.keys().chain(set.draining.keys()).copied().collect();
        let wanted = held.union(ports).count();
        if wanted > self.slots as usize {
            return Err(BackendError::Full { wanted, slots: self.slots });
        }
        for port in ports {
            let counters = set.draining.remove(port).unwrap_or_default();
            set.counting.entry(*port).or_insert(counters);
        }
        Ok(())
    }
}

impl Set {
    fn drain(&mut self, ports: &BTreeSet<u16>) {
        for port in ports {
            if let Some(counters) = self.counting.remove(port) {
                self.draining.insert(*port, counters);
            }
        }
    }

    fn identity(&self) -> Identity {
        Identity { kind: BackendKind::Ebpf, count: CountMode::Ip, epoch: self.epoch.clone(), pinned: true }
    }

    fn read(&self, at: Moment) -> Reading {
        let ports = self.counting.iter().chain(&self.draining).map(|(port, counters)| (*port, *counters)).collect();
        let draining = self.draining.keys().copied().collect();
        Reading {
            epoch: self.epoch.clone(),
            at,
            ports,
            draining,
            others: self.others,
            blocked: Blocked::default(),
            devices: self.devices.clone(),
        }
    }

    fn interfaces(&self) -> Vec<String> {
        self.devices.iter().map(|device| device.name.clone()).collect()
    }
}

struct Scripted(Script);

impl Backend for Scripted {
    fn identity(&self) -> Identity {
        self.0.kernel().live.identity()
    }

    fn interfaces(&self) -> Vec<String> {
        self.0.kernel().live.interfaces()
    }

    fn ports(&self) -> BTreeSet<u16> {
        self.0.kernel().live.counting.keys().copied().collect()
    }

    fn read(&mut self, now: &dyn Fn() -> Moment) -> Result<Reading, BackendError> {
        let mut kernel = self.0.kernel();
        kernel.fails(Operation::Read)?;
        let mut at = now();
        if kernel.slow_readings > 0 {
            kernel.slow_readings -= 1;
            at.wall -= TimeDelta::seconds(2);
            at.boot_ns -= 2_000_000_000;
        }
        Ok(kernel.live.read(at))
    }

    fn add(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError> {
        let mut kernel = self.0.kernel();
        kernel.fails(Operation::Add)?;
        kernel.add(ports)
    }

    fn drain(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError> {
        let mut kernel = self.0.kernel();
        kernel.fails(Operation::Drain)?;
        kernel.live.drain(ports);
        Ok(())
    }

    fn release(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError> {
        let mut kernel = self.0.kernel();
        kernel.fails(Operation::Release)?;
        kernel.live.draining.retain(|port, _| !ports.contains(port));
        Ok(())
    }

    fn replace(&mut self, ports: &BTreeSet<u16>) -> Result<Box<dyn Retired>, BackendError> {
        let mut kernel = self.0.kernel();
        kernel.fails(Operation::Replace)?;
        kernel.slots = kernel.slots.max(u32::try_from(ports.len()).expect("there are 65,536 ports"));
        let new = kernel.new_set();
        let old = std::mem::replace(&mut kernel.live, new);
        kernel.live.devices.clone_from(&old.devices);
        kernel.add(ports)?;
        kernel.retired.push(old.clone());
        drop(kernel);
        Ok(self.0.retire(old))
    }

    fn inspect(&mut self, _now: Moment) -> Result<Inspection, BackendError> {
        let mut kernel = self.0.kernel();
        kernel.fails(Operation::Inspect)?;
        let unseen = std::mem::take(&mut kernel.unseen);
        let lost = std::mem::take(&mut kernel.destroyed);
        if lost.is_some() {
            let mut new = kernel.new_set();
            new.counting = kernel.live.counting.keys().map(|port| (*port, Counters::default())).collect();
            new.devices.clone_from(&kernel.live.devices);
            kernel.live = new;
        }
        kernel.retired.extend(lost.clone());
        drop(kernel);
        Ok(Inspection { unseen, retired: lost.map(|set| self.0.retire(set)).into_iter().collect(), is_broken: false })
    }

    fn sealed(&mut self) -> Result<(), BackendError> {
        self.0.kernel().live.sealed = true;
        Ok(())
    }
}

struct RetiredScript {
    script: Script,
    set: Set,
}

impl Retired for RetiredScript {
    fn identity(&self) -> Identity {
        self.set.identity()
    }

    fn interfaces(&self) -> Vec<String> {
        self.set.interfaces()
    }

    fn read(&mut self, now: &dyn Fn() -> Moment) -> Result<Reading, BackendError> {
        self.script.kernel().fails(Operation::Read)?;
        let mut reading = self.set.read(now());
        reading.draining = reading.ports.keys().copied().collect();
        Ok(reading)
    }

    fn delete(self: Box<Self>) -> Result<(), BackendError> {
        let mut kernel = self.script.kernel();
        kernel.fails(Operation::Delete)?;
        kernel.retired.retain(|set| set.epoch != self.set.epoch);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
