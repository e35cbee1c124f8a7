//! EDGE clock: cuts the ports of users who have used up their budget, and opens them again.
//!
//! A set of counters contains rules that can refuse packets only while somebody has a budget. Readings decide which
//! ports are cut; see [`super::model::pace`] for their timing.

#![expect(clippy::disallowed_methods, reason = "edge: clock")]

use std::collections::BTreeSet;
use std::time::Instant;

use super::counting::IptablesBackend;
use super::model::pace::{self, Pace};
use super::model::script::Script;
use super::set::RuleSet;
use crate::backend::error::iptables::IptablesError;
use crate::backend::{Backend as _, BackendError, connections};
use crate::ledger::limits::budget::UserBudget;
use crate::ledger::reading::Moment;

impl IptablesBackend {
    /// Refuses the packets of ports whose budget is used up, and of no others.
    pub(super) fn limit(&mut self, budgets: &[UserBudget], now: Moment) -> Result<(), BackendError> {
        let begun_at = Instant::now();
        let now = || now.after(begun_at.elapsed());
        if budgets.is_empty() {
            self.pace = Pace::default();
            return self.lift(&now);
        }
        // If anything fails here, somebody may exceed a limit, so this is tried again soon.
        self.pace.again_after = Some(pace::AFTER_FAILURE);
        let reading = self.read(&now)?;
        let cost = begun_at.elapsed();
        let mut cut = self.pace.decide(budgets, &reading, cost);
        // Only counted ports can be cut.
        cut.retain(|port| self.set.ports.contains(port));
        let closing = cut.difference(&self.set.cut_ports()).copied().collect::<BTreeSet<_>>();
        if !closing.is_empty() {
            // This comes before the ports are cut, so that the reset still reaches the clients.
            connections::close(&closing);
        }
        self.set.cut(&cut).inspect_err(|_| self.pace.again_after = Some(pace::AFTER_FAILURE))?;
        Ok(())
    }

    /// Opens all ports and removes everything that can refuse a packet. The refused bytes stay known.
    fn lift(&mut self, now: &dyn Fn() -> Moment) -> Result<(), BackendError> {
        if !self.set.sides.iter().any(|side| side.can_cut) {
            return Ok(());
        }
        self.set.cut(&BTreeSet::new())?;
        let blocked = self.read(now)?.blocked;
        self.set.abolish_cut()?;
        self.lifted = blocked;
        Ok(())
    }
}

impl RuleSet {
    /// The ports that were cut in at least one family when the rules were last inspected or changed.
    pub fn cut_ports(&self) -> BTreeSet<u16> {
        self.sides.iter().flat_map(|side| side.last.cut.iter().copied()).collect()
    }

    /// Refuses the packets of `wanted` ports and of no others, in every family. Does nothing where that is so already.
    ///
    /// # Errors
    /// When a program fails. The other family is changed all the same.
    pub fn cut(&mut self, wanted: &BTreeSet<u16>) -> Result<(), IptablesError> {
        self.change_cut(
            |script, side, layout| {
                let last = &side.last;
                if !side.can_cut {
                    script.prepare_cut(layout);
                }
                let closing: BTreeSet<u16> = wanted.difference(&last.cut).copied().collect();
                let fresh = closing.iter().copied().filter(|port| !last.blocked.contains_key(port)).collect();
                let opening: BTreeSet<u16> = last.cut.difference(wanted).copied().collect();
                script.reopen(layout, &opening).cut(layout, &closing, &fresh);
            },
            |side| {
                side.can_cut = true;
                side.last.cut.clone_from(wanted);
                for port in wanted {
                    side.last.blocked.entry(*port).or_default();
                }
            },
        )
    }

    /// Refuses the packets of `ports` in a set that no packets enter yet. A failure does not delay counting: the next
    /// reading for limits cuts the ports.
    pub fn go_on_cutting(&mut self, ports: &BTreeSet<u16>) {
        let held = ports.intersection(&self.ports).copied().collect::<BTreeSet<_>>();
        if held.is_empty() {
            return;
        }
        if let Err(error) = self.cut(&held) {
            tracing::error!(%error, "ports that should be cut stay open until the next attempt");
        }
    }

    /// Removes everything that can refuse a packet.
    ///
    /// # Errors
    /// Like [`RuleSet::cut`].
    pub fn abolish_cut(&mut self) -> Result<(), IptablesError> {
        self.change_cut(
            |script, side, layout| {
                if side.can_cut {
                    script.abolish_cut(layout, &side.last.cut);
                }
            },
            |side| {
                side.can_cut = false;
                side.last.cut.clear();
                side.last.blocked.clear();
            },
        )
    }

    /// Removes the counts of refused packets of `ports`, whose counters are about to be removed.
    ///
    /// # Errors
    /// Like [`RuleSet::cut`].
    pub fn forget_blocked(&mut self, ports: &BTreeSet<u16>) -> Result<(), IptablesError> {
        let of = |ports: &BTreeSet<u16>, known: &mut dyn Iterator<Item = u16>| -> BTreeSet<u16> {
            known.filter(|port| ports.contains(port)).collect()
        };
        self.change_cut(
            |script, side, layout| {
                let cut = of(ports, &mut side.last.cut.iter().copied());
                let blocked = of(ports, &mut side.last.blocked.keys().copied());
                script.reopen(layout, &cut).forget_blocked(layout, &blocked);
            },
            |side| {
                side.last.cut.retain(|port| !ports.contains(port));
                side.last.blocked.retain(|port, _| !ports.contains(port));
            },
        )
    }

    fn change_cut(
        &mut self,
        change: impl Fn(&mut Script, &super::set::FamilySet, &super::model::layout::Layout),
        done: impl Fn(&mut super::set::FamilySet),
    ) -> Result<(), IptablesError> {
        let mut failed = None;
        for index in 0..self.sides.len() {
            let side = &self.sides[index];
            let mut script = Script::default();
            let layout = super::model::layout::Layout { can_cut: true, ..side.layout(self) };
            change(&mut script, side, &layout);
            match side.tools.restore(&script) {
                Ok(()) => done(&mut self.sides[index]),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }
}
