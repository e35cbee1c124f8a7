//! EDGE kernel: the devices that rules count on, which rules know by name: chosen at a start, locked, and followed when
//! they appear, disappear or are made anew.

use std::collections::{BTreeMap, BTreeSet};

use super::interface::Interface;
use super::interfaces::{Patterns, Selection, indices_of};
use super::lock::InterfaceLock;
use super::stacks::LeftOut;
use super::{BackendError, host};
use crate::ledger::counters::Device;
use crate::ledger::reading::{Moment, Unseen};

/// The counted devices of a backend of rules.
pub struct FollowedDevices {
    instance: String,
    netns: u64,
    patterns: Patterns,
    refuse_name: RefuseName,
    /// By name, because rules know interfaces only by name.
    held: BTreeMap<String, HeldDevice>,
    /// The last time at which the devices were inspected.
    followed_at: Moment,
    /// Interfaces that should be counted but cannot be, and since when.
    missing: BTreeMap<String, Moment>,
    /// The devices that are left out because rules see their packets as those of another device, and that were
    /// reported.
    left_out: BTreeSet<LeftOut>,
}

/// Fails if an interface's name cannot be written in a rule.
pub type RefuseName = fn(&str) -> Result<(), BackendError>;

/// A device whose lock is held.
struct HeldDevice {
    index: u32,
    lock: InterfaceLock,
}

/// The devices that a start selected. Nothing is locked yet.
pub struct ChosenDevices {
    pub patterns: Patterns,
    /// Sorted by name.
    pub picked: Vec<Interface>,
    left_out: BTreeSet<LeftOut>,
    refuse_name: RefuseName,
}

impl ChosenDevices {
    /// Selects the interfaces to count, and fails unless all of them exist. `before` are the names of those that were
    /// counted by the last agent.
    ///
    /// # Errors
    /// When a literally named interface is absent, has a name that `refuse_name` refuses, or sees the packets of
    /// another one.
    pub fn choose(
        patterns: Patterns,
        before: &BTreeSet<String>,
        refuse_name: RefuseName,
    ) -> Result<Self, BackendError> {
        let present = host::present(&patterns)?;
        let selection = patterns.select(&present, &indices_of(before, &present));
        let picked = pick(&selection, &present);
        selection.refuse_stacked()?;
        selection.left_out.iter().for_each(LeftOut::say);
        if let Some(interface) = selection.absent.into_iter().next() {
            let present = present.into_iter().map(|interface| interface.name).collect();
            return Err(BackendError::NoSuchInterface { interface, present });
        }
        picked.iter().try_for_each(|interface| refuse_name(&interface.name))?;
        if picked.is_empty() {
            tracing::warn!("no interface to count yet: waiting for one");
        }
        Ok(Self { patterns, picked, left_out: selection.left_out.into_iter().collect(), refuse_name })
    }

    /// The names of the devices, sorted.
    pub fn names(&self) -> Vec<String> {
        self.picked.iter().map(|interface| interface.name.clone()).collect()
    }

    /// The gap if there is nothing to count yet; `last_known` is when the newest reading on disk was taken.
    pub fn nothing_counted(&self, last_known: Option<Moment>, now: Moment) -> Option<Unseen> {
        self.picked.is_empty().then(|| self.patterns.nothing_counted(last_known.unwrap_or(now), now))
    }

    /// Takes the lock of each device.
    ///
    /// # Errors
    /// When another agent counts on one of them.
    pub fn hold(&self, instance: &str, now: Moment) -> Result<FollowedDevices, BackendError> {
        let netns = host::netns()?;
        let lock = |interface: &Interface| {
            let lock = InterfaceLock::take(netns, interface.index, &interface.name, instance)?;
            Ok((interface.name.clone(), HeldDevice { index: interface.index, lock }))
        };
        Ok(FollowedDevices {
            instance: instance.to_owned(),
            netns,
            patterns: self.patterns.clone(),
            refuse_name: self.refuse_name,
            held: self.picked.iter().map(lock).collect::<Result<_, BackendError>>()?,
            followed_at: now,
            missing: BTreeMap::new(),
            left_out: self.left_out.clone(),
        })
    }
}

impl FollowedDevices {
    pub fn patterns(&self) -> &Patterns {
        &self.patterns
    }

    /// Makes sure that the files of the locks are still there.
    pub fn keep_locks(&mut self) {
        self.held.iter_mut().for_each(|(name, held)| held.lock.keep(name));
    }

    /// The devices' own counters, sorted by name.
    pub fn counters(&self) -> Vec<Device> {
        host::device_counters(self.held.iter().map(|(name, held)| (held.index, name.as_str())))
    }

    /// The bytes that the devices have moved in both directions, by their own counters.
    pub fn moved(&self) -> u64 {
        let devices = self.counters().into_iter();
        devices.map(|device| device.rx_bytes.saturating_add(device.tx_bytes)).fold(0, u64::saturating_add)
    }

    /// Describes how many bytes may have passed without being counted since the devices had moved `before`.
    pub fn at_most_since(&self, before: u64) -> String {
        match self.moved().checked_sub(before) {
            Some(bytes) => format!("the interfaces moved {bytes} bytes in that time"),
            None => "an interface was re-created in that time".to_owned(),
        }
    }

    /// Counts on interfaces that have appeared, and no longer on those that should not be counted. A literally named
    /// interface stays in the rules even while it is absent, so that its first packet is counted when it comes back.
    /// `counted` are the names in the rules; if others should be there, `apply` is called to change the rules.
    ///
    /// # Errors
    /// When the devices cannot be listed, or `apply` fails.
    pub fn follow(
        &mut self,
        counted: &[String],
        now: Moment,
        apply: impl FnOnce(&[String]) -> Result<(), BackendError>,
    ) -> Result<Vec<Unseen>, BackendError> {
        let present = host::present(&self.patterns)?;
        let indices = self.held.values().map(|held| held.index).collect();
        let selection = self.patterns.select(&present, &indices);
        let picked = pick(&selection, &present);
        self.say_left_out(&selection);
        let mut unseen = Vec::new();
        let mut names: BTreeSet<String> = selection.absent.into_iter().filter(|name| counted.contains(name)).collect();
        for interface in &picked {
            match self.take(interface) {
                Ok(()) => {
                    names.insert(interface.name.clone());
                }
                Err(error) => {
                    let start = self.missing.insert(interface.name.clone(), now);
                    let start = start.unwrap_or(self.followed_at);
                    unseen.push(Unseen { start, end: now, interface: interface.name.clone(), why: error.to_string() });
                }
            }
        }
        self.held.retain(|name, _| picked.iter().any(|interface| interface.name == *name));
        self.missing.retain(|name, _| picked.iter().any(|interface| interface.name == *name));
        let names: Vec<String> = names.into_iter().collect();
        if names != counted {
            match apply(&names) {
                Ok(()) => unseen.extend(self.appeared(&picked, counted, now)),
                // A device that the rules do not name yet is not counted.
                Err(error) => {
                    let added: Vec<&String> = names.iter().filter(|name| !counted.contains(name)).collect();
                    if added.is_empty() {
                        return Err(error);
                    }
                    tracing::error!(error = %crate::errors::chain(&error), "interfaces are not counted; will retry");
                    for name in added {
                        let start = self.missing.insert(name.clone(), now).unwrap_or(self.followed_at);
                        let why = error.to_string();
                        unseen.push(Unseen { start, end: now, interface: name.clone(), why });
                    }
                }
            }
        }
        if names.is_empty() && unseen.is_empty() {
            unseen.push(self.patterns.nothing_counted(self.followed_at, now));
        }
        self.followed_at = now;
        Ok(unseen)
    }

    /// Reports devices that became ports or members of others. From then on rules see their packets as those of the
    /// other device, which is counted instead. A start would refuse a configuration that names the lower device.
    fn say_left_out(&mut self, selection: &Selection) {
        let left_out: BTreeSet<LeftOut> = selection.left_out.iter().cloned().collect();
        for LeftOut { interface, counted, .. } in left_out.difference(&self.left_out) {
            let help = if selection.stacked.iter().any(|pair| pair.lower == *interface) {
                "the configuration names the lower device, which the next start will refuse; name the upper one instead"
            } else {
                ""
            };
            tracing::warn!(
                interface,
                counted,
                help,
                "packets of one interface now arrive through another, which is counted"
            );
        }
        self.left_out = left_out;
    }

    /// Takes the lock of a device. A device that was made again under the same name needs a new lock.
    fn take(&mut self, interface: &Interface) -> Result<(), BackendError> {
        if self.held.get(&interface.name).is_some_and(|held| held.index == interface.index) {
            return Ok(());
        }
        (self.refuse_name)(&interface.name)?;
        let lock = InterfaceLock::take(self.netns, interface.index, &interface.name, &self.instance)?;
        self.held.insert(interface.name.clone(), HeldDevice { index: interface.index, lock });
        Ok(())
    }

    /// The gaps on devices that the rules did not name before.
    fn appeared(&mut self, picked: &[Interface], before: &[String], now: Moment) -> Vec<Unseen> {
        let mut unseen = Vec::new();
        for interface in picked.iter().filter(|interface| !before.contains(&interface.name)) {
            tracing::info!(interface = interface.name, "counted");
            let missed = self.missing.remove(&interface.name);
            // If a new device has not moved a packet by the time it is counted, nothing was missed.
            if missed.is_none() && host::is_untouched(interface.index) {
                continue;
            }
            let (start, why) = (missed.unwrap_or(self.followed_at), "the interface appeared".to_owned());
            unseen.push(Unseen { start, end: now, interface: interface.name.clone(), why });
        }
        unseen
    }
}

/// The devices that the patterns selected. Rules see IP packets, so devices of any type can be counted.
fn pick(selection: &Selection, present: &[Interface]) -> Vec<Interface> {
    let mut picked = selection.chosen.clone();
    picked.extend(selection.refused.iter().cloned());
    picked.extend(present.iter().filter(|interface| selection.unreadable.contains(&interface.name)).cloned());
    picked.sort_by(|a, b| a.name.cmp(&b.name));
    picked
}
