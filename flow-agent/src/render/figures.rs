//! PURE: the rows of `show` as JSON objects and as CSV, with exact integers.

use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, NaiveDate};
use serde::{Serialize, Serializer};

use super::summary::inert;
use crate::ledger::calendar::Month;
use crate::ledger::counters::{Counters, Flow, Others};
use crate::ledger::reconcile::{Compared, Reconciliation};
use crate::ledger::record::{Quality, VERSION, optional_stamp, stamp};

/// A row that can be written as JSON and as CSV.
pub trait FigureRow: Serialize {
    /// The columns of the CSV.
    const HEADER: &[&str];

    /// The fields of the CSV, in the order of the header.
    fn fields(&self) -> Vec<String>;
}

/// The kind of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FigureKind {
    Hour,
    Day,
    Month,
    Year,
    Top,
    Percentile,
    #[default]
    Total,
    Today,
    ThisMonth,
}

impl FigureKind {
    fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
            Self::Top => "top",
            Self::Percentile => "percentile",
            Self::Total => "total",
            Self::Today => "today",
            Self::ThisMonth => "this_month",
        }
    }
}

/// The eight counters and their sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sums {
    #[serde(flatten)]
    pub counters: Counters,
    pub in_bytes: u64,
    pub out_bytes: u64,
    /// Both directions and both protocols together.
    pub bytes: u64,
}

impl From<Counters> for Sums {
    fn from(counters: Counters) -> Self {
        let (in_bytes, out_bytes, bytes) = (counters.in_bytes(), counters.out_bytes(), counters.bytes());
        Self { counters, in_bytes, out_bytes, bytes }
    }
}

impl Sums {
    fn fields(&self) -> impl Iterator<Item = String> {
        let sums = [self.in_bytes, self.out_bytes, self.bytes];
        self.counters.to_array().into_iter().chain(sums).map(|number| number.to_string())
    }
}

/// The header of a row: the columns before the sums and those after.
macro_rules! header {
    ([$($before:literal),*], [$($after:literal),*]) => {
        &[
            $($before,)*
            "tcp_in_bytes", "tcp_in_packets", "tcp_out_bytes", "tcp_out_packets",
            "udp_in_bytes", "udp_in_packets", "udp_out_bytes", "udp_out_packets",
            "in_bytes", "out_bytes", "bytes",
            $($after,)*
        ]
    };
}

/// The usage of one port in one bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HourRow {
    pub kind: FigureKind,
    #[serde(with = "stamp")]
    pub start: DateTime<FixedOffset>,
    #[serde(with = "stamp")]
    pub end: DateTime<FixedOffset>,
    pub port: u16,
    pub user: Option<String>,
    #[serde(flatten)]
    pub sums: Sums,
    /// `None` while the bucket is open.
    pub quality: Option<Quality>,
    /// The bucket is not sealed; `end` is the time of its last reading.
    pub open: bool,
}

impl FigureRow for HourRow {
    const HEADER: &[&str] = header!(["start", "end", "port", "user"], ["quality", "open"]);

    fn fields(&self) -> Vec<String> {
        let (start, end) = (self.start.to_rfc3339(), self.end.to_rfc3339());
        let before = [start, end, self.port.to_string(), user(self.user.as_deref())];
        let quality = self.quality.map_or_else(String::new, |quality| quality.name().to_owned());
        before.into_iter().chain(self.sums.fields()).chain([quality, self.open.to_string()]).collect()
    }
}

/// The usage of one port by one user on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DayRow {
    pub kind: FigureKind,
    pub day: NaiveDate,
    pub port: u16,
    pub user: Option<String>,
    #[serde(flatten)]
    pub sums: Sums,
    /// The measured seconds of the whole day.
    pub seconds_covered: u32,
    pub seconds_in_day: u32,
    /// The day is not over and includes the open bucket.
    pub open: bool,
}

impl FigureRow for DayRow {
    const HEADER: &[&str] = header!(["day", "port", "user"], ["seconds_covered", "seconds_in_day", "open"]);

    fn fields(&self) -> Vec<String> {
        let before = [self.day.to_string(), self.port.to_string(), user(self.user.as_deref())];
        let after = [self.seconds_covered.to_string(), self.seconds_in_day.to_string(), self.open.to_string()];
        before.into_iter().chain(self.sums.fields()).chain(after).collect()
    }
}

/// The usage of one user, or of one unassigned port, in one billing month.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MonthRow {
    pub kind: FigureKind,
    pub month: Month,
    pub user: Option<String>,
    pub ports: Vec<u16>,
    #[serde(flatten)]
    pub sums: Sums,
    /// The measured part of the month (so far), 0 to 1. `None` for a line from another program that does not say.
    pub coverage: Option<f64>,
    /// From the report of all nodes; otherwise summed from this node's own days.
    pub reported: bool,
    /// The month is not over.
    pub open: bool,
}

impl FigureRow for MonthRow {
    const HEADER: &[&str] = header!(["month", "user", "ports"], ["coverage", "reported", "open"]);

    fn fields(&self) -> Vec<String> {
        let before = [self.month.to_string(), user(self.user.as_deref()), ports(&self.ports)];
        let coverage = self.coverage.map(|part| part.to_string()).unwrap_or_default();
        let after = [coverage, self.reported.to_string(), self.open.to_string()];
        before.into_iter().chain(self.sums.fields()).chain(after).collect()
    }
}

/// The usage in one hour, day, month or year of everything that was asked for, or of one port or user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsageRow {
    pub kind: FigureKind,
    /// `all`, `port` or `user`.
    pub by: &'static str,
    /// The start of a bucket, or the name of a day, a billing month or a year.
    pub period: String,
    /// The end of a bucket, or its last reading while it is open.
    #[serde(serialize_with = "optional_stamp::serialize", skip_serializing_if = "Option::is_none")]
    pub end: Option<DateTime<FixedOffset>>,
    pub user: Option<String>,
    /// Empty if `by` is `all`.
    pub ports: Vec<u16>,
    #[serde(flatten)]
    pub sums: Sums,
    /// The measured seconds; `None` if they are not known.
    pub seconds_covered: Option<u64>,
    /// The seconds of this period, up to now if it is not over; `None` if they are not known.
    pub seconds: Option<u64>,
    /// The period is not over.
    pub open: bool,
}

impl FigureRow for UsageRow {
    const HEADER: &[&str] =
        header!(["kind", "by", "period", "end", "user", "ports"], ["seconds_covered", "seconds", "open"]);

    fn fields(&self) -> Vec<String> {
        let optional = |seconds: Option<u64>| seconds.map(|seconds| seconds.to_string()).unwrap_or_default();
        let before = [
            self.kind.name().to_owned(),
            self.by.to_owned(),
            self.period.clone(),
            self.end.map_or_else(String::new, |end| end.to_rfc3339()),
            user(self.user.as_deref()),
            ports(&self.ports),
        ];
        let after = [optional(self.seconds_covered), optional(self.seconds), self.open.to_string()];
        before.into_iter().chain(self.sums.fields()).chain(after).collect()
    }
}

/// The 95th percentile of one direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PercentileRow {
    pub kind: FigureKind,
    /// `in`, `out` or `both`.
    pub direction: &'static str,
    #[serde(with = "stamp")]
    pub start: DateTime<FixedOffset>,
    #[serde(with = "stamp")]
    pub end: DateTime<FixedOffset>,
    pub sample_seconds: u32,
    pub samples_expected: u64,
    pub samples_seen: u64,
    pub bytes_per_second: u128,
    /// The next higher sample, if there is one.
    pub next_higher: Option<u128>,
    /// The next lower sample, if there is one.
    pub next_lower: Option<u128>,
}

impl FigureRow for PercentileRow {
    const HEADER: &[&str] = &[
        "direction",
        "start",
        "end",
        "sample_seconds",
        "samples_expected",
        "samples_seen",
        "bytes_per_second",
        "next_higher",
        "next_lower",
    ];

    fn fields(&self) -> Vec<String> {
        let optional = |rate: Option<u128>| rate.map(|rate| rate.to_string()).unwrap_or_default();
        vec![
            self.direction.to_owned(),
            self.start.to_rfc3339(),
            self.end.to_rfc3339(),
            self.sample_seconds.to_string(),
            self.samples_expected.to_string(),
            self.samples_seen.to_string(),
            self.bytes_per_second.to_string(),
            optional(self.next_higher),
            optional(self.next_lower),
        ]
    }
}

/// A user, or an unassigned port, in the ranking by usage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopRow {
    pub kind: FigureKind,
    /// Starts at 1.
    pub rank: usize,
    pub user: Option<String>,
    pub ports: Vec<u16>,
    #[serde(flatten)]
    pub sums: Sums,
}

impl FigureRow for TopRow {
    const HEADER: &[&str] = header!(["rank", "user", "ports"], []);

    fn fields(&self) -> Vec<String> {
        let before = [self.rank.to_string(), user(self.user.as_deref()), ports(&self.ports)];
        before.into_iter().chain(self.sums.fields()).collect()
    }
}

/// The total.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TotalRow {
    pub kind: FigureKind,
    /// The start of the first bucket; `None` if there is none.
    #[serde(serialize_with = "optional_stamp::serialize")]
    pub start: Option<DateTime<FixedOffset>>,
    /// The end of the last bucket, or the last reading of the open one.
    #[serde(serialize_with = "optional_stamp::serialize")]
    pub end: Option<DateTime<FixedOffset>>,
    #[serde(flatten)]
    pub sums: Sums,
    /// The number of ports, including unassigned ones.
    pub ports: usize,
    /// The traffic of no watched port.
    pub other: Others,
    /// What quotas refused of these ports, which is not part of the sums; absent if nothing was refused or it is not
    /// known.
    #[serde(skip_serializing_if = "is_nothing")]
    pub blocked: Flow,
    /// The comparison of all counters with the devices over the sealed buckets; `None` if unknown.
    #[serde(serialize_with = "reconciliation", skip_serializing_if = "Option::is_none")]
    pub reconciliation: Option<Reconciliation>,
    /// The number of sealed buckets by quality.
    pub quality: BTreeMap<Quality, u32>,
    /// Whether the open bucket is included.
    pub open: bool,
    /// The number of damaged lines and blocks, whose usage is missing here.
    pub damages: usize,
}

impl FigureRow for TotalRow {
    const HEADER: &[&str] = header!(["kind", "start", "end", "ports"], ["buckets", "open", "damages"]);

    fn fields(&self) -> Vec<String> {
        let stamp = |at: Option<DateTime<FixedOffset>>| at.map_or_else(String::new, |at| at.to_rfc3339());
        let kind = self.kind.name().to_owned();
        let before = [kind, stamp(self.start), stamp(self.end), self.ports.to_string()];
        let buckets: u32 = self.quality.values().sum();
        let after = [buckets.to_string(), self.open.to_string(), self.damages.to_string()];
        before.into_iter().chain(self.sums.fields()).chain(after).collect()
    }
}

fn is_nothing(flow: &Flow) -> bool {
    *flow == Flow::default()
}

/// One row as a JSON object and a line feed.
pub fn json<R: FigureRow>(row: &R) -> String {
    /// The version of the rows. A new field does not change it, but a new meaning of a field does.
    #[derive(Serialize)]
    struct Versioned<'a, R> {
        v: u32,
        #[serde(flatten)]
        row: &'a R,
    }
    let row = Versioned { v: VERSION, row };
    serde_json::to_string(&row).expect("a row has only text, integers and finite fractions in it") + "\n"
}

/// The header of the CSV as a line.
pub fn csv_header<R: FigureRow>() -> String {
    csv_line(R::HEADER)
}

/// One row as a line of the CSV.
pub fn csv<R: FigureRow>(row: &R) -> String {
    csv_line(&row.fields())
}

fn csv_line<F: AsRef<[u8]>>(fields: &[F]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(fields).expect("writing to memory cannot fail");
    let bytes = writer.into_inner().expect("writing to memory cannot fail");
    String::from_utf8(bytes).expect("text goes in")
}

/// One direction of the comparison.
#[derive(Serialize)]
struct ComparedBytes {
    cells_bytes: u128,
    devices_bytes: u128,
    difference_bytes: i128,
}

/// Written as `{"in":{…},"out":{…}}`.
fn reconciliation<S: Serializer>(compared: &Option<Reconciliation>, serializer: S) -> Result<S::Ok, S::Error> {
    let of = |compared: Compared| ComparedBytes {
        cells_bytes: compared.cells_bytes,
        devices_bytes: compared.devices_bytes,
        difference_bytes: compared.difference_bytes(),
    };
    let both = compared.map(|compared| [("in", of(compared.incoming)), ("out", of(compared.outgoing))]);
    serializer.collect_map(both.into_iter().flatten())
}

/// The name of a user for the CSV, which a spreadsheet must not take for a formula.
fn user(user: Option<&str>) -> String {
    inert(user.unwrap_or_default())
}

fn ports(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
