//! Seeing to it that every packet is counted: nobody before us, no rule lost, the interfaces followed.

use std::collections::BTreeSet;
use std::time::Duration;

use super::counting::{Counted, Counting, pick};
use super::fingerprint::Fingerprint;
use super::found;
use super::kept;
use super::names::Direction;
use super::saved;
use super::set::Side;
use super::tools::Quiet;
use super::view::View;
use crate::backend::interfaces::Interface;
use crate::backend::lock::InterfaceLock;
use crate::backend::{Backend as _, BackendError, Inspection, Retired, host};
use crate::ledger::reading::{Moment, Unseen};

/// How long rules are trusted whose fingerprint does not tell every change.
const TRUST: Duration = Duration::from_secs(30);

/// What was found of a side.
enum Sight {
    Well,
    /// Counting, but packets may have passed before.
    NotFirst(String),
    /// Counters are lost, or nobody knows what they count.
    Damaged(String),
}

impl Counting {
    /// Looks at everything once, and mends it.
    pub(super) fn look_around(&mut self, now: Moment) -> Result<Inspection, BackendError> {
        let mut inspection = Inspection::default();
        if !self.is_unchanged(now) {
            self.look_at_rules(now, &mut inspection)?;
        }
        match self.leave_ipsets() {
            Ok(retired) => inspection.retired.extend(retired),
            Err(error) => tracing::error!(%error, "rules still ask ipsets; it is tried again"),
        }
        match self.follow(now) {
            Ok(unseen) => inspection.unseen.extend(unseen),
            // What was found of the rules must be told: it is not found again.
            Err(error) if !inspection.unseen.is_empty() => {
                tracing::error!(%error, "failed to look at the interfaces; it is tried again");
            }
            Err(error) => return Err(error),
        }
        Ok(inspection)
    }

    /// Rules that ask ipsets do not stay where rules are kept over a boot from now on.
    fn leave_ipsets(&mut self) -> Result<Option<Box<dyn Retired>>, BackendError> {
        if !self.set.dispatch.is_by_ipsets() || kept::keeper().is_none() {
            return Ok(None);
        }
        kept::warn();
        self.replace(&self.set.ports.clone()).map(Some)
    }

    /// Whether all was well at the last look, and nobody can have changed a rule since.
    fn is_unchanged(&mut self, now: Moment) -> bool {
        let Some(before) = &self.watch.fingerprints else { return false };
        if self.fingerprints().as_ref() != Some(before) {
            return false;
        }
        if before.iter().all(Fingerprint::is_exact) && !self.set.dispatch.is_by_ipsets() {
            self.watch.well_at = now;
            return true;
        }
        let trust = u64::try_from(TRUST.as_nanos()).expect("half a minute");
        now.boot_ns < self.watch.well_at.boot_ns.saturating_add(trust)
    }

    fn look_at_rules(&mut self, now: Moment, inspection: &mut Inspection) -> Result<(), BackendError> {
        // Taken before the look: what changes while we look is looked at again.
        let fingerprints = self.fingerprints();
        let mut hidden = Vec::new();
        let mut damaged = Vec::new();
        for side in &self.set.sides {
            match self.look_at(side)? {
                Sight::Well => {}
                Sight::NotFirst(why) => hidden.push((side.clone(), why)),
                Sight::Damaged(why) => damaged.push(why),
            }
        }
        let well_at = std::mem::replace(&mut self.watch.well_at, now);
        if hidden.is_empty() && damaged.is_empty() {
            self.watch.fingerprints = fingerprints;
            return Ok(());
        }
        self.watch.fingerprints = None;
        let mut reasons: Vec<String> =
            hidden.iter().map(|(_, why)| why.clone()).chain(damaged.iter().cloned()).collect();
        if damaged.is_empty() {
            for (side, _) in &hidden {
                if let Err(error) = self.enter_first(side) {
                    reasons.push(error.to_string());
                }
            }
        } else {
            match self.replace(&self.set.ports.clone()) {
                Ok(retired) => inspection.retired.push(retired),
                Err(error) => reasons.push(error.to_string()),
            }
        }
        let why = reasons.join("; ");
        tracing::warn!(why, "a time was not seen");
        let unseen = |name: &String| Unseen { start: well_at, end: now, interface: name.clone(), why: why.clone() };
        inspection.unseen.extend(self.set.interfaces.iter().map(unseen));
        Ok(())
    }

    fn look_at(&self, side: &Side) -> Result<Sight, BackendError> {
        let quiet = Quiet::wait(&[&side.tools])?;
        let family = side.tools.family;
        let sight = side.tools.save(&quiet, self.set.name.instance(), |table| {
            let view = View::read(table, family, &self.set.name).and_then(|view| self.set.verify(side, view));
            if let Err(damage) = view {
                return Sight::Damaged(format!("somebody changed the {} counters: {damage}", family.name()));
            }
            let why: Vec<String> = Direction::BOTH
                .into_iter()
                .filter_map(|direction| found::describe(family, &saved::entrance(table, &self.set.name, direction)))
                .collect();
            if why.is_empty() { Sight::Well } else { Sight::NotFirst(why.join("; ")) }
        });
        Ok(sight?)
    }

    /// Counts on the interfaces that came, and not on those that are not to be counted any more. What is named is counted
    /// whether it is there or not: when it comes back, the first packet is seen.
    fn follow(&mut self, now: Moment) -> Result<Vec<Unseen>, BackendError> {
        let present = host::present(&self.patterns)?;
        let indices = self.counted.values().map(|counted| counted.index).collect();
        let (picked, absent) = pick(&self.patterns, &present, &indices);
        let mut unseen = Vec::new();
        let mut names: BTreeSet<String> =
            absent.into_iter().filter(|name| self.set.interfaces.contains(name)).collect();
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

    /// Takes the lock of a device; one that was made again under its name is another device.
    fn hold(&mut self, interface: &Interface) -> Result<(), BackendError> {
        if self.counted.get(&interface.name).is_some_and(|counted| counted.index == interface.index) {
            return Ok(());
        }
        super::start::refuse_name(&interface.name)?;
        let lock = InterfaceLock::take(self.netns, interface.index, &interface.name, &self.instance)?;
        self.counted.insert(interface.name.clone(), Counted { index: interface.index, _lock: lock });
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
            // A new device that has not moved a packet when it is counted hid nothing.
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
