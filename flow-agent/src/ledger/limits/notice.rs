//! Notices: what users and administrators are told, apart from the monthly letters.

use chrono::{DateTime, FixedOffset, NaiveDate};
use serde::{Deserialize, Serialize};

use crate::ledger::month::Month;
use crate::ledger::record::{Kind, MailState, stamp};

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoticeEvent {
    /// A user has used a certain part of the quota.
    Warn,
    /// At the present rate, a user will have used up the quota before the month ends.
    Forecast,
    /// The quota of a user is used up, and the user's traffic is dropped.
    Cut,
    /// A user's last day is near, or has passed.
    Expire,
    /// A node did not count for some time.
    Gap,
    /// A node can no longer be gathered, or its agent does not count.
    Node,
    /// The file system of the logs is almost full.
    Disk,
    /// ClickHouse has not acknowledged sealed hours for a long time.
    Ship,
}

impl NoticeEvent {
    pub const ALL: [Self; 8] =
        [Self::Warn, Self::Forecast, Self::Cut, Self::Expire, Self::Gap, Self::Node, Self::Disk, Self::Ship];

    /// The name in the files and in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Forecast => "forecast",
            Self::Cut => "cut",
            Self::Expire => "expire",
            Self::Gap => "gap",
            Self::Node => "node",
            Self::Disk => "disk",
            Self::Ship => "ship",
        }
    }
}

/// The identity of a notice: notices with the same one are sent once over each channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The billing month that it is about.
    pub month: Month,
    /// `null` if it is about a node.
    pub user: Option<String>,
    pub event: NoticeEvent,
    /// For `warn`: percent of the quota. For `expire`: how many days before the last one, 0 when that has passed. For
    /// `gap`: 10, 60 or 360 if the gaps of the day have reached so many minutes together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// For `expire`: the last day. For notices about a node: the day on which it happened.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_day")]
    pub day: Option<NaiveDate>,
    /// For `warn`, `forecast` and `cut`: the quota, because one that was raised can be used up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
}

/// `notices.jsonl`: one step of one notice over one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeLine {
    pub v: u32,
    pub kind: Kind,
    #[serde(with = "stamp")]
    pub at: DateTime<FixedOffset>,
    #[serde(flatten)]
    pub subject: Subject,
    /// The name in `[[notify]]`; `mail` for the letter to the user, `admins` for the one to `mail.admins`.
    pub channel: String,
    /// As for letters, except that a webhook is tried again after `failed` and `unknown`.
    pub state: MailState,
    /// What the receiver replied, or the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
}

/// Something that somebody is to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub subject: Subject,
    pub facts: NoticeFacts,
}

/// The figures of a notice at the time when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeFacts {
    /// For `warn`, `forecast` and `cut`.
    Usage {
        used_bytes: u64,
        quota_bytes: u64,
        left_bytes: u64,
        forecast_bytes: Option<u64>,
        is_incomplete: bool,
        /// Nothing of the user passes.
        is_dropped: bool,
    },
    /// For `expire`: the last day.
    Expiry { last_day: NaiveDate },
    /// For `gap`: how many seconds of that day were not counted, and why.
    Gap { seconds: u64, why: String },
    /// For `node`: up to when its figures are known, and why there is nothing newer, if that is known.
    Node { newest: Option<DateTime<FixedOffset>>, why: Option<String> },
    /// For `disk`.
    Disk { free_bytes: u64, size_bytes: u64 },
    /// For `ship`: the end of the newest bucket that was acknowledged, if any was.
    Ship { newest: Option<DateTime<FixedOffset>> },
}

/// An optional date such as `2026-10-05`.
mod optional_day {
    use chrono::NaiveDate;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::ledger::date;

    #[derive(Deserialize)]
    struct Day(#[serde(with = "date")] NaiveDate);

    pub fn serialize<S: Serializer>(day: &Option<NaiveDate>, serializer: S) -> Result<S::Ok, S::Error> {
        match day {
            Some(day) => date::serialize(day, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
        Ok(Option::<Day>::deserialize(deserializer)?.map(|day| day.0))
    }
}

#[cfg(test)]
mod tests;
