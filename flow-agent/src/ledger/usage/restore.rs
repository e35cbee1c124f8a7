//! Restores buckets that were sealed and then removed from the log by somebody who cut or deleted its file. What the
//! counters still show of them is written again, as one bucket.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, FixedOffset, NaiveDate};

use crate::ledger::block::HourBlock;
use crate::ledger::blocked::Blocked;
use crate::ledger::counters::{Counters, Others};
use crate::ledger::record::{Gap, HourLine, HourSeal, Quality};

/// Why a time is a gap although the counters covered it.
const COUNTERS_GONE: &str = "the hourly log was cut, and counters of that time are gone";
const NOT_REMEMBERED: &str = "the hourly log was cut, and what an earlier agent sealed is known in part only";

/// What an agent remembers of the buckets that it sealed on the newest date, so that it can write their bytes again if
/// the file loses them. Buckets of older dates are not restored: their days are rolled up already, and would count
/// twice.
#[derive(Debug, Default)]
pub struct SealedBuckets {
    /// The counters before the first bucket of that date, or of the newest epoch, if that is later.
    base: Option<Standing>,
    runs: Vec<Run>,
}

/// The counters of an epoch at one moment.
#[derive(Clone, Debug)]
struct Standing {
    epoch: String,
    at: DateTime<FixedOffset>,
    date: NaiveDate,
    totals: BTreeMap<u16, Counters>,
    others: Others,
    /// Ports whose counters at that moment are not known, because they were zeroed or vanished in the bucket that
    /// should show them.
    untold: BTreeSet<u16>,
}

/// One bucket, or several consecutive ones of which nothing but the owners needs to be remembered.
#[derive(Clone, Debug)]
struct Run {
    first_seq: u64,
    last_seq: u64,
    start: DateTime<FixedOffset>,
    boot_ms_at_end: Option<u64>,
    quality: Quality,
    gaps: Vec<Gap>,
    closed: BTreeSet<u16>,
    owners: Arc<BTreeMap<u16, String>>,
}

impl SealedBuckets {
    /// Remembers a bucket that is sealed and synced.
    pub fn remember(&mut self, block: &HourBlock) {
        let seal = &block.seal;
        let Some(seq) = seal.seq else { return };
        let date = seal.start.date_naive();
        if self.base.as_ref().is_none_or(|base| base.epoch != seal.epoch || base.date != date) {
            self.base = Some(Standing::before(block));
            self.runs.clear();
        }
        // A restored bucket replaces those that were lost.
        self.runs.retain(|run| run.last_seq < seq);
        let owners: BTreeMap<u16, String> =
            block.lines.iter().filter_map(|line| Some((line.port, line.user.clone()?))).collect();
        let closed: BTreeSet<u16> = block.lines.iter().filter(|line| line.closed).map(|line| line.port).collect();
        let owners = match self.runs.last() {
            Some(last) if *last.owners == owners => Arc::clone(&last.owners),
            _ => Arc::new(owners),
        };
        let run = Run {
            first_seq: seq,
            last_seq: seq,
            start: seal.start,
            boot_ms_at_end: seal.boot_ms,
            quality: seal.quality,
            gaps: seal.gaps.clone(),
            closed,
            owners,
        };
        match self.runs.last_mut() {
            Some(last) if last.is_plain() && run.is_plain() && Arc::ptr_eq(&last.owners, &run.owners) => {
                last.last_seq = seq;
                last.boot_ms_at_end = run.boot_ms_at_end;
            }
            _ => self.runs.push(run),
        }
    }

    /// Restores what is missing between `survivor`, the newest bucket of this epoch that is still in the log, and
    /// `next`, which is about to be written: one bucket with what the counters moved in between, under the number of
    /// the last missing one. `None` if nothing is missing, or if nothing is known about it. In the latter case it
    /// remains a time without a bucket.
    pub fn restore(&self, survivor: Option<&HourBlock>, next: &HourBlock) -> Option<HourBlock> {
        let date = next.seal.start.date_naive();
        let survivor =
            survivor.filter(|block| block.seal.epoch == next.seal.epoch && block.seal.end.date_naive() >= date);
        let remembered = self.base.as_ref().filter(|base| base.epoch == next.seal.epoch && base.date == date);
        let base = survivor.map(Standing::after).or(remembered.cloned())?;
        let last_found = survivor.and_then(|block| block.seal.seq).unwrap_or(0);
        let seq = next.seal.seq?.checked_sub(1).filter(|seq| *seq > last_found)?;
        let lost: Vec<&Run> = match remembered {
            Some(_) => self.runs.iter().filter(|run| run.last_seq > last_found && run.first_seq <= seq).collect(),
            None => Vec::new(),
        };
        Some(Restoration { base, last_found, lost, next }.bucket(seq))
    }
}

impl Run {
    fn is_plain(&self) -> bool {
        matches!(self.quality, Quality::Exact | Quality::Late) && self.gaps.is_empty() && self.closed.is_empty()
    }
}

impl Standing {
    /// The counters at the end of a bucket.
    fn after(block: &HourBlock) -> Self {
        let seal = &block.seal;
        let (mut totals, mut untold) = (BTreeMap::new(), BTreeSet::new());
        for line in &block.lines {
            match line.total {
                Some(total) if !line.closed => drop(totals.insert(line.port, Counters::from_array(total))),
                // A closed port may have been added again since, with counters from zero.
                Some(_) | None => drop(untold.insert(line.port)),
            }
        }
        let (epoch, others) = (seal.epoch.clone(), seal.other_total.unwrap_or_default());
        Self { epoch, at: seal.end, date: seal.end.date_naive(), totals, others, untold }
    }

    /// The counters at the beginning of a bucket.
    fn before(block: &HourBlock) -> Self {
        let seal = &block.seal;
        let (mut totals, mut untold) = (BTreeMap::new(), BTreeSet::new());
        for line in &block.lines {
            let before = line.total.and_then(|total| Counters::from_array(total).checked_sub(line.counters()));
            match before {
                Some(before) => drop(totals.insert(line.port, before)),
                None => drop(untold.insert(line.port)),
            }
        }
        let others = seal.other_total.unwrap_or_default();
        let others = others.checked_sub(seal.other).unwrap_or(others);
        Self { epoch: seal.epoch.clone(), at: seal.start, date: seal.start.date_naive(), totals, others, untold }
    }
}

/// What is needed to restore missing buckets.
struct Restoration<'a> {
    base: Standing,
    /// The number of the newest bucket that is still in the log; 0 if there is none.
    last_found: u64,
    lost: Vec<&'a Run>,
    next: &'a HourBlock,
}

impl Restoration<'_> {
    fn bucket(self, seq: u64) -> HourBlock {
        let (start, until) = (self.base.at, Standing::before(self.next));
        let end = until.at.max(start);
        let gap = |from: DateTime<FixedOffset>, to: DateTime<FixedOffset>, why: &str| Gap {
            start: from.clamp(start, end),
            end: to.clamp(start, end),
            interface: "*".to_owned(),
            why: why.to_owned(),
        };
        let mut gaps: Vec<Gap> = self.lost.iter().flat_map(|run| run.gaps.clone()).collect();
        // What earlier agents sealed is not remembered, neither the owners nor which ports were closed.
        let known_from = self.lost.first().map_or(end, |run| run.start);
        let all_remembered =
            self.lost.first().is_some_and(|run| run.first_seq <= self.last_found + 1) || start >= known_from;
        if !all_remembered {
            gaps.push(gap(start, known_from, NOT_REMEMBERED));
        }
        let closed: BTreeSet<u16> = self.lost.iter().flat_map(|run| run.closed.iter().copied()).collect();
        let gone = |port: &u16| closed.contains(port) || self.base.untold.contains(port) || until.untold.contains(port);
        let mut is_reset = false;
        let mut lines = Vec::new();
        for (port, now) in until.totals.iter().filter(|(port, _)| !gone(port)) {
            let before = self.base.totals.get(port).copied();
            let (usage, reset) = now.since(before.unwrap_or_default());
            is_reset |= reset;
            if before.is_some() || !usage.is_zero() {
                let user = self.owner(*port, all_remembered);
                lines.push(HourLine::new(start, end, *port, user, usage, Some(now.to_array()), false));
            }
        }
        let vanished = self.base.totals.keys().any(|port| !until.totals.contains_key(port));
        if vanished || !closed.is_empty() || !self.base.untold.is_empty() || !until.untold.is_empty() {
            gaps.push(gap(start, end, COUNTERS_GONE));
        }
        gaps.sort_by(|a, b| (a.start, a.end, &a.interface, &a.why).cmp(&(b.start, b.end, &b.interface, &b.why)));
        gaps.dedup();
        let (other, other_reset) = until.others.since(self.base.others);
        let has = |quality| self.lost.iter().any(|run| run.quality == quality);
        let quality = match () {
            () if !gaps.is_empty() => Quality::Gap,
            () if is_reset || other_reset || has(Quality::Reset) => Quality::Reset,
            () if has(Quality::Clock) => Quality::Clock,
            () => Quality::Late,
        };
        let seal = HourSeal {
            seq: Some(seq),
            start,
            end,
            quality,
            gaps,
            other,
            other_total: Some(until.others),
            devices: Vec::new(),
            blocked: Blocked::default(),
            blocked_total: Blocked::default(),
            device_total: None,
            boot_ms: self.lost.last().and_then(|run| run.boot_ms_at_end),
            ..self.next.seal.clone()
        };
        HourBlock { lines, seal }
    }

    /// Who owned `port` in all missing buckets; `None` if that changed or is not known.
    fn owner(&self, port: u16, all_remembered: bool) -> Option<String> {
        let mut owners = self.lost.iter().map(|run| run.owners.get(&port));
        let owner = owners.next().flatten().filter(|_| all_remembered)?;
        owners.all(|other| other == Some(owner)).then(|| owner.clone())
    }
}

#[cfg(test)]
mod tests;
