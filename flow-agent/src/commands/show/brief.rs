//! PURE: the sums of the buckets that were read, for the chart of a day and today's forecast.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, Utc};

use super::narrow::Narrow;
use crate::ledger::block::HourBlock;
use crate::ledger::forecast::Measured;
use crate::ledger::record::Gap;

/// The total of one bucket over the lines that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brief {
    pub start: DateTime<FixedOffset>,
    pub end: DateTime<FixedOffset>,
    pub in_bytes: u128,
    pub out_bytes: u128,
    /// The measured seconds.
    pub covered: u64,
    /// Identifies the bucket together with its start; empty for the open one.
    pub sha256: String,
}

impl Brief {
    /// The sums of `block`; `None` if none of its lines was asked for, so that nothing is known.
    pub fn of(block: &HourBlock, narrow: &Narrow) -> Option<Self> {
        let mut brief = Self {
            start: block.seal.start,
            end: block.seal.end,
            in_bytes: 0,
            out_bytes: 0,
            covered: covered(block.seal.start, block.seal.end, &block.seal.gaps),
            sha256: block.seal.sha256.clone(),
        };
        let mut has_lines = !narrow.is_narrow();
        for line in block.lines.iter().filter(|line| narrow.has(line.port, line.user.as_deref())) {
            has_lines = true;
            let counters = line.counters();
            brief.in_bytes += u128::from(counters.tcp_in_bytes) + u128::from(counters.udp_in_bytes);
            brief.out_bytes += u128::from(counters.tcp_out_bytes) + u128::from(counters.udp_out_bytes);
        }
        has_lines.then_some(brief)
    }

    fn seconds(&self) -> u64 {
        u64::try_from((self.end - self.start).num_seconds()).unwrap_or(0)
    }
}

/// The seconds of a span outside its gaps. A second in which any of the interfaces was not counted is not measured.
pub fn covered(start: DateTime<FixedOffset>, end: DateTime<FixedOffset>, gaps: &[Gap]) -> u64 {
    let (start, end) = (start.timestamp(), end.timestamp());
    let mut spans: Vec<(i64, i64)> =
        gaps.iter().map(|gap| (gap.start.timestamp().max(start), gap.end.timestamp().min(end))).collect();
    spans.sort_unstable();
    let (mut missing, mut until) = (0, start);
    for (from, to) in spans {
        let from = from.max(until);
        if from < to {
            missing += to - from;
            until = to;
        }
    }
    u64::try_from(end - start - missing).unwrap_or(0)
}

/// The sums of buckets, by their start and checksum.
#[derive(Clone, Debug, Default)]
pub struct Briefs(BTreeMap<(i64, String), Brief>);

/// The sums of a span of time; buckets that lie partly in it contribute in proportion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    pub in_bytes: u128,
    pub out_bytes: u128,
    pub covered: u64,
}

impl Part {
    /// Both directions together.
    pub fn measured(self) -> Measured {
        Measured { bytes: self.in_bytes.saturating_add(self.out_bytes), seconds: self.covered }
    }
}

impl Briefs {
    /// Adds a bucket. If it was read before, it replaces itself.
    pub fn add(&mut self, brief: Brief) {
        self.0.insert((brief.start.timestamp(), brief.sha256.clone()), brief);
    }

    /// What moved between `from` and `to`; buckets that lie partly in that time contribute in proportion.
    pub fn between(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Part {
        let (from, to) = (from.timestamp(), to.timestamp());
        let mut sum = Part::default();
        for brief in self.0.values() {
            let (start, end) = (brief.start.timestamp(), brief.end.timestamp());
            let inside = u64::try_from(end.min(to) - start.max(from)).unwrap_or(0);
            let seconds = brief.seconds();
            if inside == 0 || seconds == 0 {
                continue;
            }
            let part = |whole: u128| whole * u128::from(inside) / u128::from(seconds);
            sum.in_bytes += part(brief.in_bytes);
            sum.out_bytes += part(brief.out_bytes);
            sum.covered += u64::try_from(part(brief.covered.into())).unwrap_or(0);
        }
        sum
    }
}

#[cfg(test)]
mod tests;
