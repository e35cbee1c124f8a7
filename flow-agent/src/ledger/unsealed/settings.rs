//! What the writer of a bucket is told beside the readings.

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

/// What is known beside the readings when a bucket is closed.
#[derive(Clone, Copy, Debug)]
pub struct Closing<'a> {
    /// Who owned which port since the last bucket. When that changes, close before.
    pub users: &'a BTreeMap<u16, String>,
    /// What was not seen since the last bucket, as far as it is known; what lies outside the bucket is cut off.
    pub unseen: &'a [Unseen],
    /// When the reading that closes the bucket was complete. Its counters were read at some time from its own moment to this
    /// one: where these lie in two seconds, it is not known which of them the bucket ends with. `None` for counters that
    /// stood still.
    pub read_until: Option<Moment>,
}
