//! EDGE clock: makes sure that every packet is counted: our jump comes first, no rule is lost, and interfaces are
//! followed.

#![expect(clippy::disallowed_methods, reason = "edge: clock")]

use std::collections::BTreeSet;
use std::time::Instant;

use super::counting::{Counted, IptablesBackend, pick};
use super::found;
use super::host::fingerprint::Fingerprint;
use super::host::kept;
use super::host::tools::{Quiet, Tools};
use super::model::set_name::RuleSetName;
use super::saved::last::Last;
use super::set::FamilyReading;
use crate::backend::interface::Interface;
use crate::backend::interfaces::Selection;
use crate::backend::lock::InterfaceLock;
use crate::backend::stacks::LeftOut;
use crate::backend::{Backend as _, BackendError, Inspection, Retired, host};
use crate::ledger::reading::{Moment, Unseen};

/// The state in which a side was found.
enum CounterStatus {
    Well(Box<Last>),
    /// The rules are counting, but packets may have passed before reaching them.
    NotFirst(String),
    /// Counters are lost, or can no longer be attributed.
    Damaged(String),
}

impl IptablesBackend {
    /// Inspects everything once and repairs what is broken. Sets that were replaced are always returned, because nobody
    /// else knows of them.
    pub(super) fn look_around(&mut self, now: Moment) -> Result<Inspection, BackendError> {
        let begun_at = Instant::now();
        let mut inspection = Inspection::default();
        if !self.is_unchanged(now) {
            self.look_at_rules(now, begun_at, &mut inspection)?;
        }
        match self.leave_ipsets() {
            Ok(retired) => inspection.retired.extend(retired),
            Err(error) => tracing::error!(%error, "rules still use ipsets; will retry"),
        }
        match self.follow(now) {
            Ok(unseen) => inspection.unseen.extend(unseen),
            // Findings about the rules and replaced sets cannot be found a second time, so they are returned despite
            // the error.
            Err(error) if !inspection.unseen.is_empty() || !inspection.retired.is_empty() => {
                tracing::error!(%error, "failed to inspect the interfaces; will retry");
            }
            Err(error) => return Err(error),
        }
        Ok(inspection)
    }

    /// If rules are now saved across reboots, replaces a set that uses ipsets.
    fn leave_ipsets(&mut self) -> Result<Option<Box<dyn Retired>>, BackendError> {
        if !self.set.dispatch.is_by_ipsets() || kept::keeper().is_none() {
            return Ok(None);
        }
        kept::warn();
        self.replace(&self.set.ports.clone()).map(Some)
    }

    /// Whether all was well at the last inspection and no rule or ipset can have changed since. Changes of ipsets leave
    /// no trace, and neither do changes of legacy rules that keep their number and size. In those cases every
    /// inspection reads the rules, so that interference is noticed within seconds.
    fn is_unchanged(&mut self, now: Moment) -> bool {
        let Some(before) = &self.watch.fingerprints else { return false };
        let is_known = before.iter().all(Fingerprint::is_exact) && !self.set.dispatch.is_by_ipsets();
        let is_unchanged = is_known && self.fingerprints().as_ref() == Some(before);
        if is_unchanged {
            self.watch.well_at = now;
        }
        is_unchanged
    }

    fn look_at_rules(
        &mut self,
        now: Moment,
        begun_at: Instant,
        inspection: &mut Inspection,
    ) -> Result<(), BackendError> {
        // Taken before the inspection, so that a change during the inspection leads to another one.
        let fingerprints = self.fingerprints();
        let moved = self.moved();
        let mut well = Vec::new();
        let mut hidden = Vec::new();
        let mut damaged = Vec::new();
        for side in 0..self.set.sides.len() {
            match self.look_at(side)? {
                CounterStatus::Well(last) => well.push(*last),
                CounterStatus::NotFirst(why) => hidden.push((self.set.sides[side].clone(), why)),
                CounterStatus::Damaged(why) => damaged.push(why),
            }
        }
        let was_reported = std::mem::take(&mut self.watch.is_reported);
        if damaged.is_empty() && !hidden.is_empty() && !was_reported {
            let why = hidden.into_iter().map(|(_, why)| why).collect::<Vec<_>>().join("; ");
            let (start, end) = (self.watch.well_at, now.after(begun_at.elapsed()));
            let unseen = |name: &String| Unseen { start, end, interface: name.clone(), why: why.clone() };
            inspection.unseen.extend(self.set.interfaces.iter().map(unseen));
            inspection.is_broken = true;
            self.watch.is_reported = true;
            self.watch.fingerprints = None;
            return Ok(());
        }
        let well_at = std::mem::replace(&mut self.watch.well_at, now);
        let moved_before = self.watch.moved;
        self.watch.moved = moved;
        if hidden.is_empty() && damaged.is_empty() {
            self.set.keep(well);
            self.watch.fingerprints = fingerprints;
            return Ok(());
        }
        self.watch.fingerprints = None;
        let mut reasons: Vec<String> =
            hidden.iter().map(|(_, why)| why.clone()).chain(damaged.iter().cloned()).collect();
        if damaged.is_empty() {
            for (side, _) in &hidden {
                match self.enter_first(side) {
                    Ok(()) => {
                        tracing::info!(family = side.tools.family.name(), "packets reach the counters first again");
                    }
                    Err(error) => reasons.push(error.to_string()),
                }
            }
        } else {
            match self.replace_damaged() {
                Ok(retired) => {
                    inspection.retired.push(retired);
                    reasons.push(self.at_most_since(moved_before));
                }
                Err(error) => reasons.push(error.to_string()),
            }
        }
        let why = reasons.join("; ");
        let end = now.after(begun_at.elapsed());
        let unseen = |name: &String| Unseen { start: well_at, end, interface: name.clone(), why: why.clone() };
        inspection.unseen.extend(self.set.interfaces.iter().map(unseen));
        Ok(())
    }

    fn look_at(&mut self, side: usize) -> Result<CounterStatus, BackendError> {
        let tools = self.set.sides[side].tools.clone();
        let quiet = Quiet::wait(&[&tools])?;
        let FamilyReading { verdict, entrances, strays } = self.set.look(side, &quiet)?;
        drop(quiet);
        for name in strays {
            self.remove_stray(&tools, &name)?;
        }
        let family = tools.family;
        let last = match verdict {
            Ok(last) => last,
            Err(damage) => {
                return Ok(CounterStatus::Damaged(format!(
                    "somebody changed the {} counters: {damage}",
                    family.name()
                )));
            }
        };
        let why: Vec<String> = entrances.iter().filter_map(|entrance| found::describe(family, entrance)).collect();
        Ok(if why.is_empty() { CounterStatus::Well(Box::new(last)) } else { CounterStatus::NotFirst(why.join("; ")) })
    }

    /// Removes a set of this instance that is no longer in use but that packets enter, because somebody restored it
    /// from a file. What it has counted since then was counted by the present set too or lies in a gap, and what it
    /// counted before is known.
    fn remove_stray(&self, tools: &Tools, name: &RuleSetName) -> Result<(), BackendError> {
        let quiet = Quiet::wait(&[tools])?;
        let pieces = found::pieces(tools, &quiet, name.instance())?;
        drop(quiet);
        if let Some(piece) = pieces.into_iter().find(|piece| piece.name == *name) {
            piece.delete()?;
            let family = tools.family.name();
            tracing::warn!(family, chains = %format!("{name}*"), "removed old counters that somebody restored");
        }
        Ok(())
    }

    /// The bytes that the counted devices have moved in both directions, by their own counters.
    pub(super) fn moved(&self) -> u64 {
        let devices = host::device_counters(self.counted.iter().map(|(name, counted)| (counted.index, name.as_str())));
        devices.iter().map(|device| device.rx_bytes.saturating_add(device.tx_bytes)).fold(0, u64::saturating_add)
    }

    /// Describes how many bytes may have passed without being counted.
    fn at_most_since(&self, before: u64) -> String {
        match self.moved().checked_sub(before) {
            Some(bytes) => format!("the interfaces moved {bytes} bytes in that time"),
            None => "an interface was re-created in that time".to_owned(),
        }
    }

    /// Counts on interfaces that have appeared, and no longer on those that should not be counted. A literally named
    /// interface stays in the rules even while it is absent, so that its first packet is counted when it comes back.
    fn follow(&mut self, now: Moment) -> Result<Vec<Unseen>, BackendError> {
        let present = host::present(&self.patterns)?;
        let indices = self.counted.values().map(|counted| counted.index).collect();
        let selection = self.patterns.select(&present, &indices);
        let picked = pick(&selection, &present);
        self.say_left_out(&selection);
        let mut unseen = Vec::new();
        let mut names: BTreeSet<String> =
            selection.absent.into_iter().filter(|name| self.set.interfaces.contains(name)).collect();
        for interface in &picked {
            match self.hold(interface) {
                Ok(()) => {
                    names.insert(interface.name.clone());
                }
                Err(error) => {
                    let start = self.watch.missing.insert(interface.name.clone(), now);
                    let start = start.unwrap_or(self.watch.followed_at);
                    unseen.push(Unseen { start, end: now, interface: interface.name.clone(), why: error.to_string() });
                }
            }
        }
        self.counted.retain(|name, _| picked.iter().any(|interface| interface.name == *name));
        let names: Vec<String> = names.into_iter().collect();
        if names != self.set.interfaces {
            unseen.extend(self.limit_to(names, &picked, now)?);
        }
        if self.set.interfaces.is_empty() && unseen.is_empty() {
            unseen.push(self.patterns.nothing_counted(self.watch.followed_at, now));
        }
        self.watch.followed_at = now;
        Ok(unseen)
    }

    /// Reports devices that became ports or members of others. From then on rules see their packets as those of the
    /// other device, which is counted instead. A start would refuse a configuration that names the lower device.
    fn say_left_out(&mut self, selection: &Selection) {
        let left_out: BTreeSet<LeftOut> = selection.left_out.iter().cloned().collect();
        for LeftOut { interface, counted, .. } in left_out.difference(&self.watch.left_out) {
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
        self.watch.left_out = left_out;
    }

    /// Takes the lock of a device. A device that was made again under the same name needs a new lock.
    fn hold(&mut self, interface: &Interface) -> Result<(), BackendError> {
        if self.counted.get(&interface.name).is_some_and(|counted| counted.index == interface.index) {
            return Ok(());
        }
        super::start::refuse_name(&interface.name)?;
        let lock = InterfaceLock::take(self.netns, interface.index, &interface.name, &self.instance)?;
        self.counted.insert(interface.name.clone(), Counted { index: interface.index, lock });
        Ok(())
    }

    fn limit_to(&mut self, names: Vec<String>, picked: &[Interface], now: Moment) -> Result<Vec<Unseen>, BackendError> {
        let before = self.set.interfaces.clone();
        self.set.change(
            |script, layout| {
                script.follow(layout, &names);
            },
            |script, layout| {
                script.follow(layout, &before);
            },
        )?;
        let mut unseen = Vec::new();
        for interface in picked.iter().filter(|interface| !before.contains(&interface.name)) {
            tracing::info!(interface = interface.name, "counted");
            let missed = self.watch.missing.remove(&interface.name);
            // If a new device has not moved a packet by the time it is counted, nothing was missed.
            if missed.is_none() && host::is_untouched(interface.index) {
                continue;
            }
            let (start, why) = (missed.unwrap_or(self.watch.followed_at), "the interface appeared".to_owned());
            unseen.push(Unseen { start, end: now, interface: interface.name.clone(), why });
        }
        self.set.interfaces = names;
        self.watch.fingerprints = None;
        Ok(unseen)
    }
}
