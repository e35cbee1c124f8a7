//! The lines of the files. Their format is a contract, because other tools and the main node read them.
//!
//! Each line is one JSON object. A reader requires only the fields that are neither `Option` nor defaulted here, and
//! skips unknown ones. Instants are in whole seconds, with the UTC offset that applied on the node at that time.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::blocked::Blocked;
use super::by_node::ByNode;
use super::calendar;
use super::counters::{Counters, Device, Others};
use super::date;
use super::month::Month;

/// The version of the line format. Adding an optional field does not change it.
pub const VERSION: u32 = 1;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Hour,
    Day,
    Month,
    /// The last line of a block of those above.
    Seal,
    /// A step of a letter, in `sent.jsonl`.
    Mail,
    /// A step of a notice, in `notices.jsonl`.
    Notice,
    /// Bytes beyond a quota, in `grants.jsonl`.
    Grant,
    /// What moved since the reading before, in `checkpoint.json`.
    Step,
}

impl Kind {
    /// The name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Seal => "seal",
            Self::Mail => "mail",
            Self::Notice => "notice",
            Self::Grant => "grant",
            Self::Step => "step",
        }
    }
}

/// How well a bucket is known. If several values apply, the first one in this order is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Quality {
    /// Some time was not measured; the seal lists it.
    Gap,
    /// A counter was lower than before because something zeroed or restored it. Nothing of its new value is counted, so
    /// bytes may be missing.
    Reset,
    /// The counters were lost in a reboot; usage is known up to the last checkpoint.
    Restart,
    /// The bytes are right, but the times may not be: the wall clock and the boot-time clock differ by more than two
    /// seconds over the bucket, or reading the counters took so long that the second in which it began or ended is not
    /// certain.
    Clock,
    /// Every byte is known, but one reading covers more than one bucket.
    Late,
    /// Imported from the logs of the older scripts.
    Import,
    Exact,
}

impl Quality {
    /// The name in the files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Reset => "reset",
            Self::Restart => "restart",
            Self::Clock => "clock",
            Self::Late => "late",
            Self::Import => "import",
            Self::Exact => "exact",
        }
    }
}

/// The mechanism that counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    Ebpf,
    Nftables,
    Iptables,
}

/// Which bytes are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CountMode {
    /// Bytes of IP packets as the kernel's buffers hold them.
    #[default]
    Ip,
    /// Bytes of IP packets as they cross the wire: the repeated headers of segmented packets are added.
    Wire,
}

/// Defines a line with the eight counters. `serde(flatten)` would be shorter, but it buffers every line while reading,
/// which triples the cost of summing a month of a hundred nodes.
macro_rules! counted_line {
    ($(#[$doc:meta])* pub struct $name:ident: $kind:ident { $($(#[$m:meta])* pub $field:ident: $type:ty,)* ; $($(#[$m2:meta])* pub $after:ident: $type2:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct $name {
            pub v: u32,
            pub kind: Kind,
            $($(#[$m])* pub $field: $type,)*
            pub tcp_in_bytes: u64,
            pub tcp_in_packets: u64,
            pub tcp_out_bytes: u64,
            pub tcp_out_packets: u64,
            pub udp_in_bytes: u64,
            pub udp_in_packets: u64,
            pub udp_out_bytes: u64,
            pub udp_out_packets: u64,
            $($(#[$m2])* pub $after: $type2,)*
        }

        impl $name {
            /// A line of this version and kind.
            pub fn new($($field: $type,)* counters: Counters, $($after: $type2,)*) -> Self {
                Self {
                    v: VERSION,
                    kind: Kind::$kind,
                    $($field,)*
                    tcp_in_bytes: counters.tcp_in_bytes,
                    tcp_in_packets: counters.tcp_in_packets,
                    tcp_out_bytes: counters.tcp_out_bytes,
                    tcp_out_packets: counters.tcp_out_packets,
                    udp_in_bytes: counters.udp_in_bytes,
                    udp_in_packets: counters.udp_in_packets,
                    udp_out_bytes: counters.udp_out_bytes,
                    udp_out_packets: counters.udp_out_packets,
                    $($after,)*
                }
            }

            /// The eight numbers.
            pub fn counters(&self) -> Counters {
                Counters {
                    tcp_in_bytes: self.tcp_in_bytes,
                    tcp_in_packets: self.tcp_in_packets,
                    tcp_out_bytes: self.tcp_out_bytes,
                    tcp_out_packets: self.tcp_out_packets,
                    udp_in_bytes: self.udp_in_bytes,
                    udp_in_packets: self.udp_in_packets,
                    udp_out_bytes: self.udp_out_bytes,
                    udp_out_packets: self.udp_out_packets,
                }
            }

            /// Sets the eight numbers.
            pub fn set_counters(&mut self, counters: Counters) {
                self.tcp_in_bytes = counters.tcp_in_bytes;
                self.tcp_in_packets = counters.tcp_in_packets;
                self.tcp_out_bytes = counters.tcp_out_bytes;
                self.tcp_out_packets = counters.tcp_out_packets;
                self.udp_in_bytes = counters.udp_in_bytes;
                self.udp_in_packets = counters.udp_in_packets;
                self.udp_out_bytes = counters.udp_out_bytes;
                self.udp_out_packets = counters.udp_out_packets;
            }
        }
    };
}

counted_line! {
    /// `hourly/DATE.jsonl`: the usage of one port in one bucket. Lines with zero usage are written too.
    pub struct HourLine: Hour {
        #[serde(with = "stamp")]
        pub start: DateTime<FixedOffset>,
        #[serde(with = "stamp")]
        pub end: DateTime<FixedOffset>,
        pub port: u16,
        /// The user who owned the port at that time; absent if unknown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub user: Option<String>,
        ;
        /// The cumulative counters at `end`, in the order of the eight fields above; absent on imported lines.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub total: Option<[u64; 8]>,
        /// This is the port's last line in this epoch, so it is never used as a baseline.
        #[serde(default, skip_serializing_if = "is_false")]
        pub closed: bool,
    }
}

counted_line! {
    /// `daily/MONTH.jsonl`: the usage of one port by one user on one day.
    pub struct DayLine: Day {
        #[serde(with = "date")]
        pub day: NaiveDate,
        pub port: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub user: Option<String>,
        ;
    }
}

counted_line! {
    /// `monthly/YEAR.jsonl`: the usage of one user, or of one unassigned port, in one billing month.
    pub struct MonthLine: Month {
        pub month: Month,
        /// `null` for an unassigned port.
        pub user: Option<String>,
        pub ports: Vec<u16>,
        ;
        /// The same eight counters by node.
        #[serde(default)]
        pub by_node: ByNode,
        /// Seconds covered divided by seconds in the month, summed over the configured nodes; 0 to 1. Absent if
        /// unknown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub coverage: Option<f64>,
    }
}

/// A time within a bucket that was not measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    #[serde(with = "stamp")]
    pub start: DateTime<FixedOffset>,
    #[serde(with = "stamp")]
    pub end: DateTime<FixedOffset>,
    pub interface: String,
    pub why: String,
}

impl Gap {
    /// The `why` of a time in which no bucket lies.
    pub const NO_BUCKET: &'static str = "no bucket";

    /// The `interface` of a time that was not measured on any interface, for example because no bucket covers it.
    pub const EVERY_INTERFACE: &str = "*";
}

/// The last line of a bucket. Without a valid seal the bucket does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HourSeal {
    pub v: u32,
    pub kind: Kind,
    /// The position among all buckets; if absent, the order of the file applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    #[serde(with = "stamp")]
    pub start: DateTime<FixedOffset>,
    #[serde(with = "stamp")]
    pub end: DateTime<FixedOffset>,
    pub node: String,
    pub epoch: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<BackendKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<CountMode>,
    /// Whether the counters continue without the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    pub quality: Quality,
    #[serde(default)]
    pub gaps: Vec<Gap>,
    #[serde(default)]
    pub interfaces: Vec<String>,
    /// The number of hour lines directly before this seal.
    pub ports: u32,
    /// The traffic in this bucket that belonged to no watched port.
    #[serde(default)]
    pub other: Others,
    /// The cumulative counters behind `other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_total: Option<Others>,
    /// What was refused in this bucket because a quota was used up or a user had expired; absent if nothing was.
    #[serde(default, skip_serializing_if = "Blocked::is_empty")]
    pub blocked: Blocked,
    /// The cumulative counters behind `blocked`.
    #[serde(default, skip_serializing_if = "Blocked::is_empty")]
    pub blocked_total: Blocked,
    /// The difference of the devices' own counters over this bucket.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// The cumulative counters behind `devices`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_total: Option<Vec<Device>>,
    /// The boot-time clock at `end`, in milliseconds. It shows the next process whether the wall clock was set
    /// meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_ms: Option<u64>,
    /// The SHA-256 of exactly those hour lines, newlines included.
    pub sha256: String,
}

/// The last line of a day in `daily/MONTH.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaySeal {
    pub v: u32,
    pub kind: Kind,
    #[serde(with = "date")]
    pub day: NaiveDate,
    pub node: String,
    /// The IANA name of the time zone that defines the days.
    pub zone: String,
    /// The number of day lines directly before this seal.
    pub ports: u32,
    pub seconds_in_day: u32,
    /// Seconds of the day inside sealed buckets, minus gaps. Coverage depends on this field alone.
    pub seconds_covered: u32,
    #[serde(default)]
    pub buckets_expected: u32,
    #[serde(default)]
    pub buckets_sealed: u32,
    #[serde(default)]
    pub quality: BTreeMap<Quality, u32>,
    /// Times of the day that were not measured, and rejected buckets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// The bucket that crosses the end of this day, if there is one (quality `late`); all of its bytes are in this day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<LateBucket>,
    /// When the roll-up made this day, by the node's clock. It distinguishes a correction from an older copy of the
    /// same day, and shows whether the day was over when it was sealed. It changes whenever the content of the day
    /// changes, and once more after the day has ended. Absent in seals of versions that did not write it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_stamp")]
    pub at: Option<DateTime<FixedOffset>>,
    pub sha256: String,
}

impl DaySeal {
    /// Whether anything was counted on that day, be it nothing but zeros.
    pub fn has_counted(&self) -> bool {
        self.buckets_sealed > 0 || self.seconds_covered > 0
    }

    /// The end of the day in the node's own zone; `None` if that zone is unknown here.
    pub fn day_end(&self) -> Option<DateTime<Utc>> {
        self.zone.parse().ok().map(|zone| calendar::day_end(zone, self.day))
    }

    /// How many buckets of the day's own file were imported.
    pub fn buckets_imported(&self) -> u32 {
        self.quality.get(&Quality::Import).copied().unwrap_or(0)
    }

    /// How many buckets of the day's own file come from counters.
    pub fn buckets_counted(&self) -> u32 {
        self.buckets_sealed.saturating_sub(self.buckets_imported())
    }

    /// Whether the roll-up made this seal after the day had ended on the node; `false` if it does not say when.
    pub fn was_made_after_the_day(&self) -> bool {
        self.at.is_some_and(|at| self.is_over_at(at))
    }

    /// Whether the roll-up made this seal before the day had ended on the node; `false` if it does not say when.
    pub fn was_made_before_the_end(&self) -> bool {
        self.at.is_some_and(|at| !self.is_over_at(at))
    }

    /// Whether the day has ended at `at`, by the node's clock and in its zone.
    pub fn is_over_at(&self, at: DateTime<FixedOffset>) -> bool {
        match self.day_end() {
            Some(end) => at.to_utc() >= end,
            // The node wrote its local time.
            None => at.date_naive() > self.day,
        }
    }
}

/// A bucket that spans more than one day; its bytes are filed under the day on which it began. Several such buckets are
/// combined, from the first start to the last end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateBucket {
    #[serde(with = "stamp")]
    pub start: DateTime<FixedOffset>,
    #[serde(with = "stamp")]
    pub end: DateTime<FixedOffset>,
    /// Of all ports, in both directions and protocols.
    pub bytes: u64,
}

/// The last line of a month in `monthly/YEAR.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MonthSeal {
    pub v: u32,
    pub kind: Kind,
    pub month: Month,
    /// How many month lines lie right before this seal.
    pub lines: u32,
    pub sha256: String,
}

/// `checkpoint.json`: the newest reading, for the case that the counters are lost with a power cut or a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub v: u32,
    /// The `seq` of the last seal before this reading; 0 before the first.
    pub seq: u64,
    /// The boot-time clock at `at`, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_ms: Option<u64>,
    /// The start of the open bucket. It is needed if this file is all that is left of an epoch that was never sealed.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_stamp")]
    pub start: Option<DateTime<FixedOffset>>,
    /// The boot-time clock at `start`, in milliseconds, because the wall clock may have been set since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_boot_ms: Option<u64>,
    #[serde(with = "stamp")]
    pub at: DateTime<FixedOffset>,
    pub epoch: String,
    /// Cumulative, in the order of [`Counters::to_array`]; only ports whose counters differ from those in that seal's
    /// lines.
    pub totals: BTreeMap<u16, [u64; 8]>,
    /// Cumulative.
    #[serde(default)]
    pub other_total: Others,
    /// Times before `at` that were not measured and that no seal lists yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailState {
    /// About to be sent; written before the server is contacted. If it is the last state of a letter, it means the same
    /// as `unknown`.
    Sending,
    /// The server accepted it.
    Sent,
    /// The server refused it or could not be reached: it has not accepted it.
    Failed,
    /// The connection was lost after the letter was handed over: whether it was accepted is not known.
    Unknown,
}

/// `sent.jsonl`: one step of one letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailLine {
    pub v: u32,
    pub kind: Kind,
    #[serde(with = "stamp")]
    pub at: DateTime<FixedOffset>,
    /// The billing month, as `2026-10`.
    pub month: String,
    /// Whose statement it is; `null` for the admins' summary.
    pub user: Option<String>,
    /// The revision of the statement: 0 at first, and one more each time that late data changed it.
    pub rev: u32,
    pub message_id: String,
    pub state: MailState,
    /// What the server replied, or the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// For a failed letter: the server will refuse it again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub permanent: bool,
}

/// RFC 3339 with whole seconds and a numeric offset, as in `2026-10-05T13:00:00+08:00`.
pub mod stamp {
    use chrono::{DateTime, FixedOffset};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::ledger::date;

    /// Writes whole seconds; UTC is `+00:00`.
    pub fn serialize<S: Serializer>(at: &DateTime<FixedOffset>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&show(*at))
    }

    /// The text that [`serialize`] writes. Fractions of a second are cut off.
    pub fn show(at: DateTime<FixedOffset>) -> impl std::fmt::Display {
        at.format("%Y-%m-%dT%H:%M:%S%:z")
    }

    /// Reads any RFC 3339 instant whose year is one of [`date::YEARS`].
    ///
    /// [`date::YEARS`]: crate::ledger::date::YEARS
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<FixedOffset>, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let at = DateTime::parse_from_rfc3339(&text).map_err(D::Error::custom)?;
        if date::is_usable(&at) { Ok(at) } else { Err(D::Error::custom("an impossible year")) }
    }
}

/// The same for optional instants.
pub mod optional_stamp {
    use chrono::{DateTime, FixedOffset};
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    struct Stamp(#[serde(with = "super::stamp")] DateTime<FixedOffset>);

    /// As [`super::stamp::serialize`].
    pub fn serialize<S: Serializer>(at: &Option<DateTime<FixedOffset>>, serializer: S) -> Result<S::Ok, S::Error> {
        match at {
            Some(at) => super::stamp::serialize(at, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// As [`super::stamp::deserialize`].
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<FixedOffset>>, D::Error> {
        Ok(Option::<Stamp>::deserialize(deserializer)?.map(|stamp| stamp.0))
    }
}

fn is_false(value: &bool) -> bool {
    !*value
}
