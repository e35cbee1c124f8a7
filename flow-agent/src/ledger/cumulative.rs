//! What was counted since the log began, as counters that never fall: the base of the metrics.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::block::{DayBlock, HourBlock};
use super::counters::{Counters, Others};
use super::record::{Gap, VERSION};

/// Sums of all buckets up to a number, and, from before the sums were first made, of all days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cumulative {
    pub v: u32,
    /// The number of the last bucket that is in them.
    pub seq: u64,
    /// The date of the file that this bucket is in.
    pub day: NaiveDate,
    /// In the order of the eight, whoever owned the port.
    ports: BTreeMap<u16, [u64; 8]>,
    /// What was the user's, in the order of the eight.
    users: BTreeMap<String, [u64; 8]>,
    /// What belonged to no port, since the sums were first made.
    pub other: Others,
    /// Seconds of buckets that were not measured on every interface, since the sums were first made.
    pub gap_seconds: u64,
}

impl Cumulative {
    /// Nothing yet, up to the bucket `seq`, which is in the file of `day`.
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

    /// Adds a day whose buckets are not read.
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

    /// The users, and what each of them moved.
    pub fn users(&self) -> impl Iterator<Item = (&str, Counters)> {
        self.users.iter().map(|(name, sum)| (name.as_str(), Counters::from_array(*sum)))
    }

    /// The ports that moved anything, or were ever counted.
    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.ports.keys().copied()
    }
}

/// The seconds in at least one of `gaps`.
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
