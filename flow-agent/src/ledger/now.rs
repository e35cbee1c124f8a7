//! The documents with which a running agent answers `/v1/now` and `/v1/health`. They are a contract, because other
//! tools read them.
//!
//! What is not known is absent, and never zero.

use chrono::{DateTime, FixedOffset, NaiveDate};
use serde::{Deserialize, Serialize};

use super::counters::{Counters, Device, Flow, Others};
use super::month::Month;
use super::record::{BackendKind, CountMode, Gap, Quality, optional_stamp, stamp};

/// The version of both documents. A new optional field does not change it.
pub const VERSION: u32 = 1;

/// What `GET /v1/now` answers: a reading that was taken after the request arrived, together with what the log holds so
/// far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    pub v: u32,
    pub node: String,
    /// When the counters were read.
    #[serde(with = "stamp")]
    pub at: DateTime<FixedOffset>,
    /// The IANA name of the time zone in which days and months are cut.
    pub zone: String,
    /// The agent's version.
    pub version: String,
    pub backend: BackendKind,
    /// Which bytes are counted.
    pub count: CountMode,
    /// Identifies one lifetime of the counters; `total` counts from its beginning.
    pub epoch: String,
    /// When this agent started. Counting may have gone on for longer.
    #[serde(with = "stamp")]
    pub since: DateTime<FixedOffset>,
    /// The interfaces that are counted now, sorted.
    pub interfaces: Vec<String>,
    /// Whether everything that should be attached was attached at the last inspection. There is one every five seconds,
    /// and whenever an interface changes.
    pub attached: bool,
    /// The date that `today` refers to.
    pub day: NaiveDate,
    /// The billing month that `month` refers to.
    pub billing_month: Month,
    /// The bucket that is not sealed yet.
    pub open: OpenBucket,
    /// The end of the newest bucket that is on disk; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_stamp")]
    pub last_seal: Option<DateTime<FixedOffset>>,
    /// Sealed buckets that are not on disk yet; `today` and `month` include them.
    pub waiting: u32,
    /// Parts of this month's log that could not be used: `month`, and perhaps `today`, are too low.
    pub damages: u32,
    pub ports: Vec<PortNow>,
    /// The users of the configuration and of the port files, and everybody else whose ports moved something this month.
    pub users: Vec<UserNow>,
    /// Traffic of no watched port in the open bucket.
    pub other: Others,
    /// The same since the epoch began.
    pub other_total: Others,
    /// What the interfaces' own counters measured in the open bucket.
    pub devices: Vec<Device>,
}

/// The bucket that is not sealed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenBucket {
    /// The number that its seal will have, which is higher than that of every sealed bucket.
    pub seq: u64,
    #[serde(with = "stamp")]
    pub start: DateTime<FixedOffset>,
    #[serde(with = "stamp")]
    pub end_planned: DateTime<FixedOffset>,
    /// The quality that its seal would have if it were closed now.
    pub quality: Quality,
    /// The times within it that were not measured, up to now.
    pub gaps: Vec<Gap>,
}

/// A port that is counted, or was in the open bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortNow {
    pub port: u16,
    /// The present owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// In the open bucket.
    pub open: Counters,
    /// Since the epoch began; absent if the counters no longer exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Counters>,
    /// Today, the open bucket included, whoever owned the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub today: Option<Counters>,
    /// This billing month, the open bucket included, whoever owned the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<Counters>,
    #[serde(default)]
    pub rate: Rates,
    /// What was refused in the open bucket; absent if nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Flow>,
}

/// A user, with what the user's ports on this node moved while they were the user's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserNow {
    pub user: String,
    /// The ports that the user owns now.
    pub ports: Vec<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub today: Option<Counters>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<Counters>,
    /// The sum over the ports that the user owns now.
    #[serde(default)]
    pub rate: Rates,
    /// The expected bytes at the end of this month; absent if too little is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<u64>,
    /// Bytes that the user may transfer on this node in this billing month, including what was granted for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
    /// Billed bytes that count towards the quota, including those used before flow-agent began to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// Present for users of the configuration only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<QuotaStanding>,
    /// What was refused today, the open bucket included; absent if nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Flow>,
}

/// A user's standing with regard to quota and expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuotaStanding {
    Open,
    /// The usage has reached a level at which the configuration warns.
    Warned,
    /// Traffic is refused because the quota is used up, or too little of it is left for a packet that came.
    Cut,
    /// Traffic is refused because the date of expiry has passed.
    Expired,
}

/// Bytes a second, averaged over about the last 1, 10 and 60 seconds. Readings are only taken while somebody asks, so a
/// rate is absent if there is no reading of about that age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_1s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_1s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_10s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_10s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_60s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_60s: Option<u64>,
}

impl Rates {
    /// The sums of both; unknown where one of them is.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let plus = |one: Option<u64>, other: Option<u64>| Some(one?.saturating_add(other?));
        Self {
            in_1s: plus(self.in_1s, other.in_1s),
            out_1s: plus(self.out_1s, other.out_1s),
            in_10s: plus(self.in_10s, other.in_10s),
            out_10s: plus(self.out_10s, other.out_10s),
            in_60s: plus(self.in_60s, other.in_60s),
            out_60s: plus(self.out_60s, other.out_60s),
        }
    }
}

/// What `GET /v1/health` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub v: u32,
    /// The HTTP status of the answer is 200 if this is true, and 503 otherwise.
    pub healthy: bool,
    pub node: String,
    pub version: String,
    /// When the counting thread answered; absent if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_stamp")]
    pub at: Option<DateTime<FixedOffset>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<bool>,
    /// The end of the newest bucket that is on disk.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_stamp")]
    pub last_seal: Option<DateTime<FixedOffset>>,
    /// Sealed buckets that are not on disk yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u32>,
    /// What is wrong, in words; empty if nothing is.
    pub problems: Vec<String>,
}

#[cfg(test)]
mod tests;
