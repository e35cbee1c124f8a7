//! The documents with which a running agent answers `/v1/now` and `/v1/health` (a contract: other tools read them).
//!
//! What is not known is left out, and never zero.

use chrono::{DateTime, FixedOffset, NaiveDate};
use serde::{Deserialize, Serialize};

use super::counters::{Counters, Device, Flow, Others};
use super::month::Month;
use super::record::{BackendKind, CountMode, Gap, Quality, optional_stamp, stamp};

/// The version of both documents. A new optional field does not change it.
pub const VERSION: u32 = 1;

/// What `GET /v1/now` answers: a reading that was taken after the question came, and what the log says before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    pub v: u32,
    pub node: String,
    /// When the counters were read.
    #[serde(with = "stamp")]
    pub at: DateTime<FixedOffset>,
    /// The IANA name of the time zone in which days and months are cut.
    pub zone: String,
    /// Of the agent.
    pub version: String,
    pub backend: BackendKind,
    /// Which bytes are counted.
    pub count: CountMode,
    /// One life of the counters; `total` counts since it began.
    pub epoch: String,
    /// When this agent started. Counting may have gone on for longer.
    #[serde(with = "stamp")]
    pub since: DateTime<FixedOffset>,
    /// Those that are counted now, sorted.
    pub interfaces: Vec<String>,
    /// Whether everything that should be attached was, when it was looked at last: every five seconds, and whenever an
    /// interface changes.
    pub attached: bool,
    /// The date of `today`.
    pub day: NaiveDate,
    /// The billing month of `month`.
    pub billing_month: Month,
    /// The bucket that is not sealed yet.
    pub open: OpenBucket,
    /// The end of the newest bucket that is on disk; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_stamp")]
    pub last_seal: Option<DateTime<FixedOffset>>,
    /// Sealed buckets that are not on disk yet; `today` and `month` have them.
    pub waiting: u32,
    /// Parts of this month's log that could not be used: `month`, and perhaps `today`, say too little.
    pub damages: u32,
    pub ports: Vec<PortNow>,
    /// Users of the configuration and of the port files, and those whose ports moved something this month.
    pub users: Vec<UserNow>,
    /// What belongs to no watched port, in the open bucket.
    pub other: Others,
    /// The same since the epoch began.
    pub other_total: Others,
    /// What the interfaces' own counters say of the open bucket.
    pub devices: Vec<Device>,
}

/// The bucket that is not sealed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenBucket {
    /// The number that its seal will have: every sealed bucket before it has a smaller one.
    pub seq: u64,
    #[serde(with = "stamp")]
    pub start: DateTime<FixedOffset>,
    #[serde(with = "stamp")]
    pub end_planned: DateTime<FixedOffset>,
    /// What its seal would say if it were closed now.
    pub quality: Quality,
    /// Times of it that were not measured, up to now.
    pub gaps: Vec<Gap>,
}

/// A port that is counted, or was in the open bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortNow {
    pub port: u16,
    /// Who owns it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// In the open bucket.
    pub open: Counters,
    /// Since the epoch began; absent where the counters are gone.
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
    /// What was refused in the open bucket; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Flow>,
}

/// A user, with what the user's ports on this node moved while they were the user's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserNow {
    pub user: String,
    /// Those that the user owns now.
    pub ports: Vec<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub today: Option<Counters>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<Counters>,
    /// Of the ports that the user owns now.
    #[serde(default)]
    pub rate: Rates,
    /// Bytes that this month will have at its end; absent where too little is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forecast: Option<u64>,
    /// Bytes that the user may move on this node in this billing month, with what was granted for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<u64>,
    /// Bytes of the quota that are used, as they are billed; also those from before flow-agent counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// Of the users of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<QuotaStanding>,
    /// What was refused today, the open bucket included; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<Flow>,
}

/// How a user stands with the quota and the date of expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuotaStanding {
    Open,
    /// A share of the quota is used that the configuration warns of.
    Warned,
    /// The quota is used up, or too little is left for a packet that came: traffic is refused.
    Cut,
    /// The date of expiry has passed, and traffic is refused.
    Expired,
}

/// Bytes a second, averaged over about the last 1, 10 and 60 seconds. Readings are only taken while somebody asks: a rate is
/// absent where there is no reading of about that age.
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
    /// Both together; unknown where one of them is.
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
    /// The answer's status is 200 where it is true, else 503.
    pub healthy: bool,
    pub node: String,
    pub version: String,
    /// When the counting thread answered; absent where it did not.
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
    /// What is wrong, in words; empty where nothing is.
    pub problems: Vec<String>,
}
