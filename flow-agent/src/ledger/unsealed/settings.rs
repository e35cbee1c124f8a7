//! What the writer of a bucket needs to know besides the readings.

use std::collections::BTreeMap;

use chrono_tz::Tz;

use crate::ledger::calendar::BucketLength;
use crate::ledger::reading::{Moment, Unseen};

/// What does not change while an agent runs.
#[derive(Clone, Debug)]
pub struct Settings {
    pub node: String,
    pub zone: Tz,
    pub bucket: BucketLength,
}

/// What is known besides the readings when a bucket is closed.
#[derive(Clone, Copy, Debug)]
pub struct Closing<'a> {
    /// The owners of the ports since the last bucket. Before they change, close the bucket.
    pub users: &'a BTreeMap<u16, String>,
    /// The times since the last bucket that are known not to have been measured; what lies outside the bucket is cut
    /// off.
    pub unseen: &'a [Unseen],
    /// When the reading that closes the bucket was complete. The counters were read at some time between the reading's
    /// own moment and this one. If the two lie in different seconds, the exact second of the bucket's end is not known.
    /// `None` for counters that have stopped.
    pub read_until: Option<Moment>,
}
