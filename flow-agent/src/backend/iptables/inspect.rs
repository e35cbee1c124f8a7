//! EDGE clock: makes sure that every packet is counted: our jump comes first, no rule is lost, and interfaces are
//! followed.

#![expect(clippy::disallowed_methods, reason = "edge: clock")]

use std::time::Instant;

use super::counting::IptablesBackend;
use super::found;
use super::host::fingerprint::Fingerprint;
use super::host::kept;
use super::host::tools::{Quiet, Tools};
use super::model::set_name::RuleSetName;
use super::saved::last::Last;
use super::set::FamilyReading;
use crate::backend::{Backend as _, BackendError, Inspection, Retired};
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
        let moved = self.devices.moved();
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
                    reasons.push(self.devices.at_most_since(moved_before));
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

    /// Follows the interfaces in the rules.
    fn follow(&mut self, now: Moment) -> Result<Vec<Unseen>, BackendError> {
        let (set, watch) = (&mut self.set, &mut self.watch);
        let before = set.interfaces.clone();
        self.devices.follow(&before, now, |names| {
            set.change(
                |script, layout| {
                    script.follow(layout, names);
                },
                |script, layout| {
                    script.follow(layout, &before);
                },
            )?;
            set.interfaces = names.to_vec();
            watch.fingerprints = None;
            Ok(())
        })
    }
}
