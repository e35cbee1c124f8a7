//! EDGE clock: cuts the ports of users who have used up their budget, and opens them again.
//!
//! A set of counters contains rules that can refuse packets only while somebody has a budget. Cutting or opening a port
//! then adds or removes one element and changes no rule. Readings decide which ports are cut; see
//! [`crate::backend::iptables::model::pace`] for their timing.

#![expect(clippy::disallowed_methods, reason = "edge: clock")]

use std::collections::BTreeSet;
use std::time::Instant;

use super::counting::NftablesBackend;
use super::host;
use super::model::layout::NftLayout;
use super::model::place::{NftChain, NftSet};
use super::model::transaction::NftTransaction;
use super::set::NftCounters;
use crate::backend::error::nftables::NftablesError;
use crate::backend::iptables::model::flow::Direction;
use crate::backend::iptables::model::pace::{self, Pace};
use crate::backend::{Backend as _, BackendError, connections};
use crate::ledger::limits::budget::UserBudget;
use crate::ledger::reading::Moment;

impl NftablesBackend {
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
        let mut cut = self.pace.decide(budgets, &reading, begun_at.elapsed());
        // Only counted ports can be cut.
        let counted = self.set.ports();
        cut.retain(|port| counted.contains(port));
        let closing = cut.difference(&self.set.last.cut).copied().collect::<BTreeSet<_>>();
        if !closing.is_empty() {
            // This comes before the ports are cut, so that the reset still reaches the clients.
            connections::close(&closing);
        }
        self.set.cut(&cut).inspect_err(|_| self.pace.again_after = Some(pace::AFTER_FAILURE))?;
        Ok(())
    }

    /// Opens all ports and removes everything that can refuse a packet. The refused bytes stay known.
    fn lift(&mut self, now: &dyn Fn() -> Moment) -> Result<(), BackendError> {
        if !self.set.layout.can_cut {
            return Ok(());
        }
        self.set.cut(&BTreeSet::new())?;
        let blocked = self.read(now)?.blocked;
        self.set.abolish_cut()?;
        self.lifted = blocked;
        Ok(())
    }
}

impl NftCounters {
    /// Refuses the packets of `wanted` ports and of no others. Does nothing where that is so already.
    ///
    /// # Errors
    /// When `nft` fails.
    pub fn cut(&mut self, wanted: &BTreeSet<u16>) -> Result<(), NftablesError> {
        if !self.layout.can_cut {
            self.prepare_cut()?;
        }
        let closing: BTreeSet<u16> = wanted.difference(&self.last.cut).copied().collect();
        let opening: BTreeSet<u16> = self.last.cut.difference(wanted).copied().collect();
        let fresh: BTreeSet<u16> = closing.difference(&self.last.refused()).copied().collect();
        let [incoming, outgoing] = Direction::BOTH.map(NftSet::Blocked);
        host::change_ports(
            &self.layout,
            &[(NftSet::Cut, &opening)],
            &[(incoming, &fresh), (outgoing, &fresh), (NftSet::Cut, &closing)],
        )?;
        self.last.cut.clone_from(wanted);
        for direction in Direction::BOTH {
            let counts = self.last.counts.entry(NftSet::Blocked(direction)).or_default();
            fresh.iter().for_each(|port| {
                counts.entry(*port).or_default();
            });
        }
        Ok(())
    }

    /// Makes the sets and chains that refuse packets. No port is cut so far.
    fn prepare_cut(&mut self) -> Result<(), NftablesError> {
        let layout = NftLayout { can_cut: true, ..self.layout.clone() };
        self.change(layout, |transaction, layout| {
            let cut = |chain: &NftChain| matches!(chain, NftChain::Cut(_));
            cut_sets().into_iter().for_each(|set| layout.make_set(transaction, set));
            for (chain, rules) in layout.chains().into_iter().filter(|(chain, _)| cut(chain)) {
                transaction.add_chain(&layout.chain(chain)).add_rules(&layout.chain(chain), rules);
            }
            layout.rewrite_split(transaction);
        })?;
        host::add_sentinels(&self.layout, cut_sets())
    }

    /// Refuses the packets of `ports` in a set that no packets enter yet. A failure does not delay counting: the next
    /// reading for limits cuts the ports.
    pub fn go_on_cutting(&mut self, ports: &BTreeSet<u16>) {
        let held = ports.intersection(&self.layout.ports).copied().collect::<BTreeSet<_>>();
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
    /// Like [`NftCounters::cut`].
    fn abolish_cut(&mut self) -> Result<(), NftablesError> {
        let layout = NftLayout { can_cut: false, ..self.layout.clone() };
        self.change(layout, |transaction: &mut NftTransaction, layout| {
            layout.rewrite_split(transaction);
            let chains = Direction::BOTH.map(|direction| layout.chain(NftChain::Cut(direction)));
            let sets = cut_sets().map(|set| layout.set(set));
            transaction.delete(&chains, &sets);
        })?;
        self.last.cut.clear();
        for direction in Direction::BOTH {
            self.last.counts.remove(&NftSet::Blocked(direction));
        }
        Ok(())
    }
}

fn cut_sets() -> [NftSet; 3] {
    [NftSet::Cut, NftSet::Blocked(Direction::Ingress), NftSet::Blocked(Direction::Egress)]
}
