//! Notices: what somebody is told of, apart from the monthly letters.

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
    /// A user will have used the quota up before the month ends, if it goes on like this.
    Forecast,
    /// The quota of a user is used up, and the user's traffic is dropped.
    Cut,
    /// A user's last day is near, or over.
    Expire,
    /// There is time in which a node did not count.
    Gap,
    /// A node is not gathered any more, or its agent does not count.
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

/// What makes two notices the same: each is sent once over each channel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The billing month that it is about.
    pub month: Month,
    /// `null` where it is about a node.
    pub user: Option<String>,
    pub event: NoticeEvent,
    /// Of `warn`: percent of the quota. Of `expire`: the days before the last one, 0 when that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Of `expire`: the last day. Of what concerns a node: the day on which it happened.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_day")]
    pub day: Option<NaiveDate>,
    /// Of `warn`, `forecast` and `cut`: the quota. One that was raised can be used up again.
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
    /// As for letters. After `failed` and `unknown` a webhook is tried again.
    pub state: MailState,
    /// The receiver's words, or the error's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
}

/// Something that somebody is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub subject: Subject,
    pub facts: NoticeFacts,
}

/// The figures of a notice, as of the time when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoticeFacts {
    /// Of `warn`, `forecast` and `cut`.
    Usage { used_bytes: u64, quota_bytes: u64, left_bytes: u64, forecast_bytes: Option<u64>, is_incomplete: bool },
    /// Of `expire`: the last day.
    Expiry { last_day: NaiveDate },
    /// Of `gap`: how many seconds of that day were not counted, and why not.
    Gap { seconds: u64, why: String },
    /// Of `node`: the time up to which something is known of it, and why there is nothing newer, if that is known.
    Node { newest: Option<DateTime<FixedOffset>>, why: Option<String> },
    /// Of `disk`
    Disk { free_bytes: u64, size_bytes: u64 },
    /// Of `ship`: the end of the newest bucket that was acknowledged, if one was.
    Ship { newest: Option<DateTime<FixedOffset>> },
}

/// `2026-10-05`, where there may be none.
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
