//! From hours to days: which lines a day has, and how much of it was seen.

mod coverage;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use self::coverage::Coverage;
use super::block::{DayBlock, HourBlock, Span};
use super::calendar::{self, BucketLength};
use super::counters::Counters;
use super::record::{DayLine, DaySeal, Gap, HourSeal, Kind, LateBucket, Quality, VERSION};

/// More gaps than these are counted in the last one's words, not listed: a seal must stay a line that can be read.
pub const MOST_GAPS: usize = 1_000;

/// How days are cut.
#[derive(Clone, Debug)]
pub struct DayRules {
    pub node: String,
    pub zone: Tz,
    pub bucket: BucketLength,
}

/// Adds buckets up to one day, in any order, each once.
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
    /// The buckets that were added, and the sum of their lines.
    seen: HashMap<BucketName, String>,
}

/// By what a bucket is told from others: never by its start, which a clock may give twice.
#[derive(Debug, PartialEq, Eq, Hash)]
enum BucketName {
    Numbered {
        epoch: String,
        seq: u64,
    },
    /// An imported one is what it says.
    Unnumbered {
        epoch: String,
        span: Span,
        sha256: String,
    },
}

/// Two different buckets of one name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bucket {seq} of epoch {epoch:?} is there twice, with different figures")]
pub struct ConflictingBucket {
    pub epoch: String,
    pub seq: u64,
}

impl DayRollup {
    /// Nothing of `day` yet.
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
            seen: HashMap::new(),
        }
    }

    /// Adds a bucket. One that begins on another date has no bytes here, but may cover a part of the day: show it the
    /// buckets of the day's own file, and of the newest one before it.
    ///
    /// # Errors
    /// When it was added before with other figures; it is not added again then.
    pub fn take(&mut self, bucket: &HourBlock) -> Result<(), ConflictingBucket> {
        let seal = &bucket.seal;
        match self.seen.insert(name(seal), seal.sha256.clone()) {
            None => {}
            Some(before) if before == seal.sha256 => return Ok(()),
            Some(before) => {
                self.seen.insert(name(seal), before);
                return Err(ConflictingBucket { epoch: seal.epoch.clone(), seq: seal.seq.unwrap_or(0) });
            }
        }
        self.coverage.cover(seal.start.timestamp(), seal.end.timestamp());
        for gap in &seal.gaps {
            self.coverage.uncover(gap.start.timestamp(), gap.end.timestamp());
            self.gaps.extend(self.within_day(gap));
        }
        if seal.start.date_naive() == self.day {
            *self.quality.entry(seal.quality).or_default() += 1;
            self.add_lines(bucket);
        }
        Ok(())
    }

    /// Takes note of a bucket that was rejected; what no other covers of it is listed as a gap.
    pub fn reject(&mut self, span: Span, why: &str) {
        let (start, end) = span;
        let gap = Gap { start, end, interface: Gap::EVERY_INTERFACE.into(), why: why.to_owned() };
        self.rejected.extend(self.within_day(&gap));
    }

    /// The day's block. What no bucket covers is listed up to `now`; of a day that is not over, up to its newest bucket.
    pub fn finish(mut self, now: DateTime<Utc>) -> DayBlock {
        let (start, end) = self.coverage.day();
        let until = if now.timestamp() >= end { end } else { self.coverage.newest().unwrap_or(start) };
        let unsealed: Vec<Gap> = self.coverage.holes(until).into_iter().flat_map(|hole| self.unsealed(hole)).collect();
        self.gaps.extend(unsealed);
        let lines: Vec<DayLine> = std::mem::take(&mut self.sums)
            .into_iter()
            .map(|((port, user), sum)| DayLine::new(self.day, port, user, sum))
            .collect();
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
            quality: self.quality,
            gaps: in_order(self.gaps),
            late: self.late,
            at: Some(calendar::local(self.rules.zone, now)),
            sha256: String::new(),
        };
        DayBlock { lines, seal }
    }

    fn add_lines(&mut self, bucket: &HourBlock) {
        let mut bytes: u64 = 0;
        for line in &bucket.lines {
            let usage = line.counters();
            bytes = bytes.saturating_add(usage.bytes());
            let sum = self.sums.entry((line.port, line.user.clone())).or_default();
            // Far beyond what a host can move; a main node refuses a day that says so.
            *sum = sum.saturating_add(usage);
        }
        let seal = &bucket.seal;
        let crosses = (seal.start.timestamp() + 1..seal.end.timestamp()).contains(&self.coverage.day().1);
        if crosses {
            // Counters that took over from others may cross beside them.
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

    /// A time that no bucket covers: that of rejected ones with their reason, the rest without one.
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
        gaps.extend(rest.into_iter().map(|(from, to)| self.gap(from, to, Gap::EVERY_INTERFACE, "no bucket")));
        gaps
    }

    /// The part of `gap` that lies in the day.
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

fn name(seal: &HourSeal) -> BucketName {
    let epoch = seal.epoch.clone();
    match seal.seq {
        Some(seq) => BucketName::Numbered { epoch, seq },
        None => BucketName::Unnumbered { epoch, span: (seal.start, seal.end), sha256: seal.sha256.clone() },
    }
}

/// Sorted by time; those that go on from one bucket to the next are one.
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
