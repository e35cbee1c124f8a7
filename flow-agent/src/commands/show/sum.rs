//! PURE: adds up buckets, in total and by owner.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;

use super::read::ShownBlock;
use super::whole_days::WholeDay;
use crate::ledger::block::{DayBlock, Hourly};
use crate::ledger::calendar::{day_end, day_start, local};
use crate::ledger::counters::Counters;
use crate::ledger::reconcile::{reconcile, reconcile_day};
use crate::ledger::record::HourSeal;
use crate::ledger::statement::StatementOwner;
use crate::render::figures::{FigureKind, Sums, TopRow, TotalRow};

/// The sums so far.
#[derive(Clone, Debug, Default)]
pub struct Sum {
    total: TotalRow,
    counters: Counters,
    owners: BTreeMap<StatementOwner, OwnerSum>,
}

#[derive(Clone, Debug, Default)]
struct OwnerSum {
    ports: BTreeSet<u16>,
    counters: Counters,
}

impl Sum {
    /// Adds a bucket; `whole` says that none of its lines were left out.
    pub fn add(&mut self, shown: &ShownBlock<Hourly>, whole: bool) {
        self.add_seal(&shown.block.seal, shown.open, whole);
        if let Some(more) = reconcile(&shown.block).filter(|_| whole && !shown.open) {
            self.total.reconciliation.get_or_insert_default().add(more);
        }
        for line in &shown.block.lines {
            self.add_line(line.port, line.user.as_deref(), line.counters());
        }
    }

    /// Adds a day in the place of its buckets; `whole` says that none of its lines were left out.
    pub fn add_whole_day(&mut self, day: &WholeDay, whole: bool) {
        for seal in &day.seals {
            self.add_seal(seal, false, whole);
        }
        if let Some(more) = reconcile_day(&day.seals, &day.block.lines).filter(|_| whole) {
            self.total.reconciliation.get_or_insert_default().add(more);
        }
        for line in &day.block.lines {
            self.add_line(line.port, line.user.as_deref(), line.counters());
        }
    }

    fn add_seal(&mut self, seal: &HourSeal, open: bool, whole: bool) {
        let total = &mut self.total;
        total.start = Some(total.start.map_or(seal.start, |start| start.min(seal.start)));
        total.end = Some(total.end.map_or(seal.end, |end| end.max(seal.end)));
        match open {
            true => total.open = true,
            false => *total.quality.entry(seal.quality).or_default() += 1,
        }
        if whole {
            // For display only: a bucket whose addition would exceed 2^64 is left out.
            total.other = total.other.checked_add(seal.other).unwrap_or(total.other);
        }
        for (_, refused) in seal.blocked.iter() {
            total.blocked = total.blocked.saturating_add(refused);
        }
    }

    /// Adds a day whose buckets no longer exist; some of its lines may have been left out.
    pub fn add_day(&mut self, block: &DayBlock, zone: Tz) {
        let (total, seal) = (&mut self.total, &block.seal);
        let start = local(zone, day_start(zone, seal.day));
        let end = local(zone, day_end(zone, seal.day));
        total.start = Some(total.start.map_or(start, |first| first.min(start)));
        total.end = Some(total.end.map_or(end, |last| last.max(end)));
        for (quality, buckets) in &seal.quality {
            *total.quality.entry(*quality).or_default() += buckets;
        }
        for line in &block.lines {
            self.add_line(line.port, line.user.as_deref(), line.counters());
        }
    }

    /// Adds the usage of a port.
    pub fn add_line(&mut self, port: u16, user: Option<&str>, counters: Counters) {
        let owner = user.map_or(StatementOwner::Port(port), |user| StatementOwner::User(user.to_owned()));
        let sum = self.owners.entry(owner).or_default();
        sum.ports.insert(port);
        sum.counters = sum.counters.saturating_add(counters);
        self.counters = self.counters.saturating_add(counters);
    }

    /// The total; `damages` is the number of damaged parts.
    pub fn total(&self, kind: FigureKind, damages: usize) -> TotalRow {
        let ports: BTreeSet<_> = self.owners.values().flat_map(|sum| &sum.ports).collect();
        TotalRow { kind, sums: self.counters.into(), ports: ports.len(), damages, ..self.total.clone() }
    }

    /// The usage of each owner: users by name, then unassigned ports by number.
    pub fn by_owner(&self) -> impl Iterator<Item = (Option<String>, Vec<u16>, Sums)> {
        self.owners.iter().map(|(owner, sum)| (name(owner), sum.ports.iter().copied().collect(), sum.counters.into()))
    }

    /// The `limit` owners with the most bytes in both directions; equal ones are ordered by name. Owners without usage
    /// are left out.
    pub fn top(&self, limit: usize) -> Vec<TopRow> {
        let mut owners: Vec<_> = self.by_owner().filter(|(.., sums)| *sums != Sums::default()).collect();
        // The sort is stable, so equal owners remain ordered by name.
        owners.sort_by_key(|(.., sums)| Reverse(sums.bytes));
        let owners = owners.into_iter().take(limit).zip(1..);
        owners.map(|((user, ports, sums), rank)| TopRow { kind: FigureKind::Top, rank, user, ports, sums }).collect()
    }
}

fn name(owner: &StatementOwner) -> Option<String> {
    match owner {
        StatementOwner::User(name) => Some(name.clone()),
        StatementOwner::Port(_) => None,
    }
}
