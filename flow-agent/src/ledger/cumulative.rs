//! What was counted since the log began, as counters that never decrease: the base of the metrics.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::block::{DayBlock, HourBlock};
use super::counters::{Counters, Others};
use super::record::{Gap, VERSION};

/// Sums over all buckets up to `seq`. What was logged before these sums were first made is included by its days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cumulative {
    pub v: u32,
    /// The `seq` of the last bucket that is included.
    pub seq: u64,
    /// The date of the file that holds this bucket.
    pub day: NaiveDate,
    /// By port, whoever owned it, in the order of [`Counters::to_array`].
    ports: BTreeMap<u16, [u64; 8]>,
    /// By user, in the order of [`Counters::to_array`].
    users: BTreeMap<String, [u64; 8]>,
    /// Traffic of no watched port, since the sums were first made.
    pub other: Others,
    /// Seconds in which at least one interface was not measured, since the sums were first made.
    pub gap_seconds: u64,
}

impl Cumulative {
    /// Empty sums. The first bucket to be added is the one after `seq`, which is in the file of `day`.
    pub fn begin(seq: u64, day: NaiveDate) -> Self {
        let (ports, users) = (BTreeMap::new(), BTreeMap::new());
        Self { v: VERSION, seq, day, ports, users, other: Others::default(), gap_seconds: 0 }
    }

    /// Adds a sealed bucket.
    pub fn add_bucket(&mut self, bucket: &HourBlock) {
        for line in &bucket.lines {
            self.add(line.port, line.user.as_deref(), line.counters());
        }
        self.other = self.other.saturating_add(bucket.seal.other);
        self.gap_seconds = self.gap_seconds.saturating_add(seconds_of(&bucket.seal.gaps));
    }

    /// Adds a day in place of its buckets.
    pub fn add_day(&mut self, day: &DayBlock) {
        for line in &day.lines {
            self.add(line.port, line.user.as_deref(), line.counters());
        }
    }

    fn add(&mut self, port: u16, user: Option<&str>, counters: Counters) {
        let add = |sum: &mut [u64; 8]| *sum = Counters::from_array(*sum).saturating_add(counters).to_array();
        add(self.ports.entry(port).or_default());
        if let Some(user) = user {
            match self.users.get_mut(user) {
                Some(sum) => add(sum),
                None => add(self.users.entry(user.to_owned()).or_default()),
            }
        }
    }

    /// What `port` moved.
    pub fn port(&self, port: u16) -> Counters {
        self.ports.get(&port).copied().map(Counters::from_array).unwrap_or_default()
    }

    /// The users, with what each of them moved.
    pub fn users(&self) -> impl Iterator<Item = (&str, Counters)> {
        self.users.iter().map(|(name, sum)| (name.as_str(), Counters::from_array(*sum)))
    }

    /// The ports that were ever counted, even if they moved nothing.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.ports.keys().copied()
    }
}

/// The number of seconds that at least one of `gaps` covers.
fn seconds_of(gaps: &[Gap]) -> u64 {
    let mut spans: Vec<(i64, i64)> = gaps.iter().map(|gap| (gap.start.timestamp(), gap.end.timestamp())).collect();
    spans.sort_unstable();
    let (mut seconds, mut until) = (0, i64::MIN);
    for (start, end) in spans {
        let start = start.max(until);
        seconds += u64::try_from(end - start).unwrap_or(0);
        until = until.max(end);
    }
    seconds
}

#[cfg(test)]
mod tests;
