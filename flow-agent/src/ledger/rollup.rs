//! Makes days from hourly buckets: the lines of a day, and how much of it was measured.

mod coverage;

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use self::coverage::Coverage;
use super::block::{DayBlock, HourBlock, Span};
use super::calendar::{self, BucketLength};
use super::counters::Counters;
use super::record::{DayLine, DaySeal, Gap, HourSeal, Kind, LateBucket, Quality, VERSION};

/// How many gaps a seal lists at most, so that its line stays short enough to be read. The reason of the last one says
/// how many more there are.
pub const MOST_GAPS: usize = 1_000;

/// The longest time that one bucket is believed to cover.
const MOST_DAYS: usize = 366;

/// The dates that a bucket covers, by the offset of the node. If the clock was set during the bucket, how long it lasted
/// is not known, so only the dates on which it began and ended are returned.
pub fn dates_of(seal: &HourSeal) -> Vec<NaiveDate> {
    let (first, last) =
        (seal.start.date_naive(), (seal.end - TimeDelta::seconds(1)).date_naive().max(seal.start.date_naive()));
    let days: Vec<NaiveDate> = first.iter_days().take_while(|day| *day <= last).take(MOST_DAYS + 1).collect();
    if seal.quality == Quality::Clock || days.len() > MOST_DAYS { vec![first, last] } else { days }
}

/// Whether every second of the day was measured or is in a gap that the seal lists. If not, the day was not over when
/// the seal was made, even if its time says so, because the clock was ahead. A seal with as many gaps as can be listed
/// does not tell.
pub fn accounts_for_the_day(seal: &DaySeal) -> bool {
    let zone: Option<Tz> = seal.zone.parse().ok();
    let seconds_in_day = zone.map_or(seal.seconds_in_day, |zone| calendar::seconds_in_day(zone, seal.day));
    let mut gaps: Vec<(i64, i64)> = seal.gaps.iter().map(|gap| (gap.start.timestamp(), gap.end.timestamp())).collect();
    gaps.sort_unstable();
    let (mut listed, mut until) = (0, i64::MIN);
    for (start, end) in gaps {
        listed += (end - start.max(until)).max(0);
        until = until.max(end);
    }
    seal.gaps.len() >= MOST_GAPS || i64::from(seal.seconds_covered) + listed >= i64::from(seconds_in_day)
}

/// How days are defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayRules {
    pub node: String,
    pub zone: Tz,
    pub bucket: BucketLength,
}

/// Adds up the buckets of one day, in any order.
#[derive(Debug)]
pub struct DayRollup {
    rules: DayRules,
    day: NaiveDate,
    sums: BTreeMap<(u16, Option<String>), Counters>,
    coverage: Coverage,
    gaps: Vec<Gap>,
    rejected: Vec<Gap>,
    quality: BTreeMap<Quality, u32>,
    late: Option<LateBucket>,
}

impl DayRollup {
    /// A sum for `day`, without buckets so far.
    pub fn new(rules: DayRules, day: NaiveDate) -> Self {
        let (start, end) = (calendar::day_start(rules.zone, day), calendar::day_end(rules.zone, day));
        Self {
            rules,
            day,
            sums: BTreeMap::new(),
            coverage: Coverage::new(start.timestamp(), end.timestamp()),
            gaps: Vec::new(),
            rejected: Vec::new(),
            quality: BTreeMap::new(),
            late: None,
        }
    }

    /// Adds a bucket, which must be new (see [`DistinctBuckets`](super::distinct_buckets::DistinctBuckets)). A bucket
    /// that begins on another date adds no bytes, but may cover part of the day. Therefore pass the buckets of the
    /// day's own file and those of the newest file before it.
    pub fn take(&mut self, bucket: &HourBlock) {
        let bytes = bucket.lines.iter().fold(0_u64, |bytes, line| bytes.saturating_add(line.counters().bytes()));
        self.take_summary(&bucket.seal, bytes);
        if bucket.seal.start.date_naive() == self.day {
            for line in &bucket.lines {
                self.add_sum(line.port, line.user.clone(), line.counters());
            }
        }
    }

    /// Adds a bucket of which only the seal and the bytes of all its ports are known; the sums of its ports are added
    /// with [`DayRollup::add_sum`].
    pub fn take_summary(&mut self, seal: &HourSeal, bytes: u64) {
        self.coverage.cover(seal.start.timestamp(), seal.end.timestamp());
        for gap in &seal.gaps {
            self.coverage.uncover(gap.start.timestamp(), gap.end.timestamp());
            self.gaps.extend(self.within_day(gap));
        }
        if seal.start.date_naive() == self.day {
            *self.quality.entry(seal.quality).or_default() += 1;
            self.note_if_late(seal, bytes);
        }
    }

    /// Adds what a port moved on this day while `user` owned it.
    pub fn add_sum(&mut self, port: u16, user: Option<String>, counters: Counters) {
        let sum = self.sums.entry((port, user)).or_default();
        // No host can reach this limit, and a main node rejects a day that claims it.
        *sum = sum.saturating_add(counters);
    }

    /// Notes a rejected bucket; the part of it that no other bucket covers is listed as a gap.
    pub fn reject(&mut self, span: Span, why: &str) {
        let (start, end) = span;
        let gap = Gap { start, end, interface: Gap::EVERY_INTERFACE.into(), why: why.to_owned() };
        self.rejected.extend(self.within_day(&gap));
    }

    /// The block of the day. Times without a bucket are listed to the end of the day, or to the newest bucket while the
    /// day is not over. More buckets may be added afterwards.
    pub fn finish(&self, now: DateTime<Utc>) -> DayBlock {
        let (start, end) = self.coverage.day();
        let until = if now.timestamp() >= end { end } else { self.coverage.newest().unwrap_or(start) };
        let unsealed: Vec<Gap> = self.coverage.holes(until).into_iter().flat_map(|hole| self.unsealed(hole)).collect();
        let gaps = self.gaps.iter().cloned().chain(unsealed).collect();
        let lines = self.sums.iter();
        let lines = lines.map(|((port, user), sum)| DayLine::new(self.day, *port, user.clone(), *sum)).collect();
        let seconds = |count: i64| u32::try_from(count).expect("a day has at most two days' seconds");
        let seal = DaySeal {
            v: VERSION,
            kind: Kind::Seal,
            day: self.day,
            node: self.rules.node.clone(),
            zone: self.rules.zone.name().to_owned(),
            ports: 0,
            seconds_in_day: seconds(end - start),
            seconds_covered: seconds(self.coverage.seconds()),
            buckets_expected: calendar::buckets_expected(self.rules.zone, self.rules.bucket, self.day),
            buckets_sealed: self.quality.values().sum(),
            quality: self.quality.clone(),
            gaps: in_order(gaps),
            late: self.late.clone(),
            at: Some(calendar::local(self.rules.zone, now)),
            sha256: String::new(),
        };
        DayBlock { lines, seal }
    }

    fn note_if_late(&mut self, seal: &HourSeal, bytes: u64) {
        let crosses = (seal.start.timestamp() + 1..seal.end.timestamp()).contains(&self.coverage.day().1);
        if crosses {
            // When one set of counters replaces another, both may have a bucket that crosses midnight.
            self.late = Some(match self.late.take() {
                None => LateBucket { start: seal.start, end: seal.end, bytes },
                Some(other) => LateBucket {
                    start: other.start.min(seal.start),
                    end: other.end.max(seal.end),
                    bytes: other.bytes.saturating_add(bytes),
                },
            });
        }
    }

    /// The gaps for a time without buckets: rejected buckets with their reasons, and the rest as `no bucket`.
    fn unsealed(&self, hole: (i64, i64)) -> Vec<Gap> {
        let mut rest = vec![hole];
        let mut gaps = Vec::new();
        for rejected in &self.rejected {
            let (start, end) = (rejected.start.timestamp().max(hole.0), rejected.end.timestamp().min(hole.1));
            if start < end {
                rest = rest.into_iter().flat_map(|piece| coverage::without(piece, (start, end))).collect();
                gaps.push(self.gap(start, end, &rejected.interface, &rejected.why));
            }
        }
        gaps.extend(rest.into_iter().map(|(from, to)| self.gap(from, to, Gap::EVERY_INTERFACE, Gap::NO_BUCKET)));
        gaps
    }

    /// The part of `gap` that lies within the day.
    fn within_day(&self, gap: &Gap) -> Option<Gap> {
        let (start, end) = self.coverage.day();
        let (from, to) = (gap.start.timestamp().max(start), gap.end.timestamp().min(end));
        (from < to).then(|| self.gap(from, to, &gap.interface, &gap.why))
    }

    fn gap(&self, from: i64, to: i64, interface: &str, why: &str) -> Gap {
        let local = |at| {
            let at = DateTime::from_timestamp(at, 0).expect("within the day");
            calendar::local(self.rules.zone, at)
        };
        Gap { start: local(from), end: local(to), interface: interface.to_owned(), why: why.to_owned() }
    }
}

/// Sorts the gaps by time, and joins those that continue from one bucket to the next.
fn in_order(mut gaps: Vec<Gap>) -> Vec<Gap> {
    gaps.sort_by(|a, b| (&a.interface, &a.why, a.start, a.end).cmp(&(&b.interface, &b.why, b.start, b.end)));
    gaps.dedup_by(|next, gap| {
        let goes_on = (&next.interface, &next.why) == (&gap.interface, &gap.why) && next.start <= gap.end;
        if goes_on {
            gap.end = gap.end.max(next.end);
        }
        goes_on
    });
    gaps.sort_by(|a, b| (a.start, a.end, &a.interface, &a.why).cmp(&(b.start, b.end, &b.interface, &b.why)));
    let omitted = gaps.len().saturating_sub(MOST_GAPS);
    gaps.truncate(MOST_GAPS);
    if let (1.., Some(last)) = (omitted, gaps.last_mut()) {
        last.why = format!("{} (and {omitted} more gaps on this day)", last.why);
    }
    gaps
}

#[cfg(test)]
mod tests;
