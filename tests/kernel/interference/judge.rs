//! Compares what an agent wrote with what the observer saw.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use crate::agent::Node;
use crate::common::device::ByFamily;

/// Traffic must be counted again within this time, on a machine that lets its processes run.
const HEALED_WITHIN: TimeDelta = TimeDelta::seconds(10);
/// The observer looks five times a second. If it is later than this, other processes had the CPU, and the agent did
/// not.
const ON_TIME: TimeDelta = TimeDelta::seconds(1);

/// The outcome of a case, in bytes.
pub struct Outcome {
    observed: u64,
    /// More than the observer saw, over all ports, protocols and directions.
    over: u64,
    /// Less than the observer saw.
    lost: u64,
    /// What the observer saw in the time that is marked.
    held: u64,
    marked: TimeDelta,
    /// From the end of the interference to the end of the last gap that it caused.
    blind_for: TimeDelta,
    qualities: BTreeSet<String>,
    pub problems: Vec<String>,
}

impl Outcome {
    pub const HEADING: &'static str =
        "bytes passed | counted twice | not counted | passed in marked time | marked s | counting after s | quality |";

    /// The outcome of a case that could not be played to its end.
    pub fn failed(why: String) -> Self {
        let (marked, blind_for) = (TimeDelta::zero(), TimeDelta::zero());
        let (observed, over, lost, held) = (0, 0, 0, 0);
        Self { observed, over, lost, held, marked, blind_for, qualities: BTreeSet::new(), problems: vec![why] }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: TimeDelta| time.num_milliseconds() as f64 / 1_000.0;
        let qualities: Vec<&str> = self.qualities.iter().map(String::as_str).collect();
        let Self { observed, over, lost, held, .. } = self;
        let (marked, after) = (seconds(self.marked), seconds(self.blind_for));
        write!(f, "{observed} | {over} | {lost} | {held} | {marked:.0} | {after:.1} | {} |", qualities.join(", "))
    }
}

type Span = (DateTime<Utc>, DateTime<Utc>);
/// Bytes by port, protocol and direction.
type Bytes = BTreeMap<(u16, String), u64>;

/// What an observer had seen at certain times.
struct Seen<'a>(&'a [(DateTime<Utc>, ByFamily)]);

impl Seen<'_> {
    fn bytes(families: &ByFamily) -> Bytes {
        let mut bytes = Bytes::new();
        for ((_, port, protocol, chain), (of_family, _)) in families {
            let direction = if chain == "INPUT" { "in" } else { "out" };
            *bytes.entry((*port, format!("{protocol}_{direction}_bytes"))).or_default() += of_family;
        }
        bytes
    }

    fn last(&self) -> Bytes {
        Self::bytes(&self.0.last().unwrap().1)
    }

    /// How long this machine kept the observer waiting in `span`.
    fn kept_waiting(&self, (start, end): Span) -> TimeDelta {
        let looks = self.0.windows(2).map(|looks| (looks[0].0.max(start), looks[1].0.min(end)));
        looks.map(|(from, to)| (to - from - ON_TIME).max(TimeDelta::zero())).sum()
    }

    /// The largest and the smallest number of bytes that can have passed in `span`.
    fn within(&self, (start, end): Span) -> (Bytes, Bytes) {
        let before = |at: DateTime<Utc>| self.0.iter().rev().find(|(time, _)| *time <= at).unwrap_or(&self.0[0]);
        let after = |at: DateTime<Utc>| self.0.iter().find(|(time, _)| *time >= at).unwrap_or(self.0.last().unwrap());
        let less = |from: &ByFamily, to: &ByFamily| {
            let from = Self::bytes(from);
            let mut bytes = Self::bytes(to);
            bytes
                .iter_mut()
                .for_each(|(key, bytes)| *bytes = bytes.saturating_sub(from.get(key).copied().unwrap_or(0)));
            bytes
        };
        (less(&before(start).1, &after(end).1), less(&after(start).1, &before(end).1))
    }
}

/// Judges a case. `begun_at` is when the interference ended or, if the case had to prepare it, when the preparation
/// did.
pub fn judge(
    node: &Node,
    seen: &[(DateTime<Utc>, ByFamily)],
    is_harmless: bool,
    begun_at: DateTime<Utc>,
    counted_after: Duration,
) -> Outcome {
    let seen = Seen(seen);
    let observed = seen.last();
    let lines = node.hourly();
    let seals: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "seal").collect();
    let mut problems = Vec::new();

    let logged = |key: &(u16, String), of: &dyn Fn(&Value) -> bool| -> u64 {
        let of_port = lines.iter().filter(|line| line["kind"] == "hour" && line["port"] == key.0 && of(line));
        of_port.map(|line| line[&key.1].as_u64().unwrap()).sum()
    };
    let marked = merged(marked(&seals));
    let mut held = Bytes::new();
    for span in &marked {
        seen.within(*span).0.into_iter().for_each(|(key, bytes)| *held.entry(key).or_default() += bytes);
    }
    let (mut over, mut lost) = (0, 0);
    for (key, observed) in &observed {
        let logged = logged(key, &|_| true);
        over += logged.saturating_sub(*observed);
        let missing = observed.saturating_sub(logged);
        lost += missing;
        let held = held.get(key).copied().unwrap_or(0);
        if missing > held {
            problems.push(format!("{key:?}: {missing} bytes are not counted, and {held} passed in marked time"));
        }
    }
    if over > 0 {
        problems.push(format!("{over} bytes are counted twice"));
    }
    if is_harmless && (lost > 0 || !marked.is_empty()) {
        problems.push(format!("it should cost nothing: {lost} bytes are not counted, {marked:?} is marked"));
    }
    for seal in seals.iter().filter(|seal| seal["quality"] == "exact") {
        let span = (time(&seal["start"]), time(&seal["end"]));
        // The ends of a bucket are whole seconds, and the readings behind it are up to a second later.
        let second = TimeDelta::seconds(1);
        let most = seen.within((span.0 - second, span.1 + second)).0;
        let least = seen.within((span.0 + second, (span.1 - second).max(span.0 + second))).1;
        for key in observed.keys() {
            let is_of = |line: &Value| line["start"] == seal["start"] && line["end"] == seal["end"];
            let logged = logged(key, &is_of);
            if logged > most[key] || logged < least[key] {
                problems.push(format!("{span:?} is exact: {key:?} {logged}, not {} to {}", least[key], most[key]));
            }
        }
    }
    let gaps = seals.iter().flat_map(|seal| seal["gaps"].as_array().unwrap());
    let last_gap = gaps.map(|gap| time(&gap["end"])).max().unwrap_or(begun_at);
    // The end of a gap is rounded up to the next whole second.
    let blind_for = (last_gap - TimeDelta::seconds(1) - begun_at).max(TimeDelta::zero());
    let waited = seen.kept_waiting((begun_at, last_gap.max(begun_at)));
    if blind_for > HEALED_WITHIN + waited {
        problems.push(format!("blind for {blind_for}, counted after {counted_after:?}, machine away for {waited}"));
    }
    if !problems.is_empty() {
        problems.push(format!("seals: {seals:?}\n{}", node.log()));
    }
    let total = |bytes: &Bytes| bytes.values().sum();
    Outcome {
        observed: total(&observed),
        over,
        lost,
        held: total(&held),
        marked: marked.iter().map(|(start, end)| *end - *start).sum(),
        blind_for,
        qualities: seals.iter().map(|seal| seal["quality"].as_str().unwrap().to_owned()).collect(),
        problems,
    }
}

/// Gaps, buckets whose counters somebody reset, and the time that is in no bucket.
fn marked(seals: &[&Value]) -> Vec<Span> {
    let span = |value: &Value| (time(&value["start"]), time(&value["end"]));
    let mut spans: Vec<Span> = Vec::new();
    let mut until: Option<DateTime<Utc>> = None;
    for seal in seals {
        let (start, end) = span(seal);
        spans.extend(seal["gaps"].as_array().unwrap().iter().map(span));
        spans.extend(Some((start, end)).filter(|_| seal["quality"] == "reset"));
        spans.extend(until.filter(|until| *until < start).map(|until| (until, start)));
        until = until.max(Some(end));
    }
    spans
}

fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort();
    let mut merged: Vec<Span> = Vec::new();
    for (start, end) in spans {
        match merged.last_mut().filter(|last| start <= last.1) {
            Some(last) => last.1 = last.1.max(end),
            None => merged.push((start, end)),
        }
    }
    merged
}

fn time(value: &Value) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap().to_utc()
}
