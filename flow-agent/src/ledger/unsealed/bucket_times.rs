//! The time of a closed bucket, and the parts of it that were not measured.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::ledger::calendar;
use crate::ledger::reading::{Moment, Unseen};
use crate::ledger::record::Gap;

/// The wall-clock time at which the boot-time clock was zero. It changes only when somebody sets the wall clock.
pub(in crate::ledger) fn booted_at(at: Moment) -> DateTime<Utc> {
    at.wall - since_boot(at)
}

pub(in crate::ledger) fn since_boot(at: Moment) -> TimeDelta {
    // An i64 holds 292 years of nanoseconds.
    TimeDelta::nanoseconds(i64::try_from(at.boot_ns).unwrap_or(i64::MAX))
}

/// The time of a closed bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Closed {
    pub(in crate::ledger) start: DateTime<Utc>,
    pub(in crate::ledger) end: DateTime<Utc>,
    /// The boot-time clock at `end`, where it is known.
    pub(in crate::ledger) boot_ms: Option<u64>,
    /// The wall clock is not to be trusted for this bucket.
    pub(in crate::ledger) clock: bool,
    /// It spans more than one bucket.
    pub(in crate::ledger) late: bool,
    /// Added to the boot-time clock, this gives the wall-clock time by which the bucket is named.
    pub(in crate::ledger) booted_at: DateTime<Utc>,
    /// The boot-time clock at `start` and at `end`, where it is known.
    pub(in crate::ledger) lasted: Option<(TimeDelta, TimeDelta)>,
}

impl Closed {
    /// The span between two instants from files.
    pub(in crate::ledger) fn between(start: DateTime<Utc>, end: DateTime<Utc>, boot_ms: Option<u64>) -> Self {
        let (start, end) = (whole_second(start), whole_second(end).max(whole_second(start)));
        Self { start, end, boot_ms, clock: false, late: false, booted_at: end, lasted: None }
    }

    /// The parts of `unseen` that lie in the bucket, in whole seconds, sorted.
    pub(in crate::ledger) fn gaps(&self, zone: Tz, unseen: &[Unseen]) -> Vec<Gap> {
        let (from, until) = (calendar::local(zone, self.start), calendar::local(zone, self.end));
        let lies_within = |unseen: &&Unseen, gap: &Gap| match self.lasted {
            // Decided by the boot-time clock, which nobody sets: if the wall clock was set, even by a second, the gap's
            // wall-clock times may lie outside the bucket.
            Some((begun, ended)) => since_boot(unseen.end) > begun && since_boot(unseen.start) < ended,
            None => gap.start < until && gap.end > from,
        };
        let named = unseen.iter().map(|unseen| (unseen, named(zone, self.booted_at, unseen)));
        let gaps = named.filter(|(unseen, gap)| lies_within(unseen, gap)).map(|(_, gap)| gap);
        self.cut(zone, gaps)
    }

    /// Limits `gaps` to the bucket's time, and sorts them. A gap can become empty if the wall clock was set.
    pub(in crate::ledger) fn cut(&self, zone: Tz, gaps: impl IntoIterator<Item = Gap>) -> Vec<Gap> {
        let (from, until) = (calendar::local(zone, self.start), calendar::local(zone, self.end));
        let within = |gap: Gap| Gap { start: gap.start.clamp(from, until), end: gap.end.clamp(from, until), ..gap };
        let mut gaps: Vec<Gap> = gaps.into_iter().map(within).collect();
        gaps.sort_by(|a, b| (a.start, a.end, &a.interface, &a.why).cmp(&(b.start, b.end, &b.interface, &b.why)));
        gaps.dedup();
        that_fit(gaps)
    }
}

/// `unseen` in whole seconds, by the wall clock as it was set at `now`.
pub(in crate::ledger) fn gaps(zone: Tz, now: Moment, unseen: &[Unseen]) -> Vec<Gap> {
    unseen.iter().map(|unseen| named(zone, booted_at(now), unseen)).collect()
}

fn named(zone: Tz, booted_at: DateTime<Utc>, unseen: &Unseen) -> Gap {
    Gap {
        start: calendar::local(zone, whole_second(booted_at + since_boot(unseen.start))),
        end: calendar::local(zone, next_whole_second(booted_at + since_boot(unseen.end))),
        interface: unseen.interface.clone(),
        why: unseen.why.clone(),
    }
}

/// The most bytes that the gaps of a seal may take, so that the seal remains a line that can be read.
const MOST_GAP_BYTES: usize = 256 << 10;

/// The size of a gap in a seal without its name and reason.
const GAP_BYTES: usize =
    r#"{"start":"2026-10-05T13:00:00+08:00","end":"2026-10-05T13:00:00+08:00","interface":"","why":""},"#.len();

/// The gaps that fit into a seal, and one that spans all the others: it may cover more than was unseen, but never less.
fn that_fit(mut gaps: Vec<Gap>) -> Vec<Gap> {
    let mut bytes = 0;
    let fits = |gap: &&Gap| {
        bytes += GAP_BYTES + gap.interface.len() + gap.why.len();
        bytes <= MOST_GAP_BYTES
    };
    let others = gaps.split_off(gaps.iter().take_while(fits).count());
    if let (Some(first), Some(end)) = (others.first(), others.iter().map(|gap| gap.end).max()) {
        let why = format!("{} more gaps", others.len());
        gaps.push(Gap { start: first.start, end, interface: Gap::EVERY_INTERFACE.into(), why });
    }
    gaps
}

/// The last whole second that is not after `at`.
pub(in crate::ledger) fn whole_second(at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(0)
}

fn next_whole_second(at: DateTime<Utc>) -> DateTime<Utc> {
    let second = whole_second(at);
    if second < at { second + TimeDelta::seconds(1) } else { second }
}
