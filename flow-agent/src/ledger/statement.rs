//! The statements of a billing month: who used how much on which node, and what is missing in the figures.
//!
//! [`NodeMonth`] adds up the day lines of one node, [`assemble()`] combines the nodes, and [`MonthlyReport::revise`]
//! compares the result with the previous report of the month.

mod assemble;
mod file_sums;
pub mod finality;
mod limits;
mod owner;
mod plausible;
mod revise;
mod sum;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, FixedOffset, NaiveDate};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

pub use assemble::{Correction, NodeOutcome, ReportInputs, assemble};
pub use file_sums::{FileSums, MonthDays};
pub use finality::{Completeness, Waiting};
pub use limits::{NodeCut, cut_to_limits};
pub use owner::{Directory, StatementOwner};
pub use plausible::{SumError, check_day};
pub use sum::NodeMonth;

use super::billing::{Billed, Money, Price};
use super::block::MonthBlock;
use super::by_node::ByNode;
use super::counters::Counters;
use super::date;
use super::month::Month;
use super::record::{Gap, Kind, LateBucket, MonthLine, MonthSeal, Quality, VERSION, stamp};

/// `reports/MONTH/report.json`: everything that is known about one billing month. `monthly/YEAR.jsonl` has its sums.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthlyReport {
    pub v: u32,
    pub month: Month,
    #[serde(with = "date")]
    pub first_day: NaiveDate,
    #[serde(with = "date")]
    pub last_day: NaiveDate,
    /// The time zone that defines the days and the month.
    pub zone: Tz,
    #[serde(with = "stamp")]
    pub made_at: DateTime<FixedOffset>,
    /// When this month was first reported after its end; absent before that.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "super::record::optional_stamp")]
    pub first_made_at: Option<DateTime<FixedOffset>>,
    /// Until when the report waits for missing data; after that everything is final. Absent while the month is not
    /// over, and if no data was ever missing.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "super::record::optional_stamp")]
    pub final_at: Option<DateTime<FixedOffset>>,
    /// Final as soon as the report waits for no node; a single statement may be final earlier ([`Statement::state`]).
    pub state: Finality,
    /// Increased each time anything below changes after it was published.
    pub rev: u32,
    /// Whether this revision has not been published yet; see [`Statement::draft`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub draft: bool,
    pub billed: Billed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    pub coverage: Coverage,
    /// In the order of the configuration.
    pub nodes: Vec<NodeStatement>,
    /// Users by name, then unassigned ports.
    pub statements: Vec<Statement>,
}

/// How final a month's figures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finality {
    /// The month is not over.
    InProgress,
    /// The month is over, but the report waits for more data.
    Provisional,
    /// The report waits for no more data. If some arrives nevertheless, it makes a revision.
    Final,
}

/// How much of a span of time was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    pub seconds_covered: u64,
    /// The seconds of the month (until now while it is not over), summed over the nodes.
    pub seconds: u64,
}

impl Coverage {
    /// From 0 to 1; 1 if there is no time at all.
    pub fn ratio(self) -> f64 {
        if self.seconds == 0 { 1.0 } else { self.seconds_covered as f64 / self.seconds as f64 }
    }
}

/// What is known about one node in this month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatement {
    pub name: String,
    pub state: NodeState,
    /// Why its files were not used this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The zone that defines the node's days, if it differs from that of the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_zone: Option<String>,
    pub coverage: Coverage,
    pub total: Counters,
    /// Whether more data may arrive from it; absent while the month is not over, and in reports of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completeness: Option<Completeness>,
    /// Days that are over and have no block.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days_missing: Vec<NaiveDate>,
    /// Days that may still gain data: of a month that is over, those that have some data already, or that were not over
    /// on the node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days_growing: Vec<NaiveDate>,
    /// Days for which the node made a new version that covers less than the version gathered before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<Correction>,
    /// Days that were rejected this time because the version gathered before is better.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days_refused: Vec<NaiveDate>,
    /// Days without a bucket of their own that a bucket of an earlier day covers. Their bytes are in that day, which may
    /// be in an earlier month.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days_filed_earlier: Vec<NaiveDate>,
    /// The number of buckets of each quality.
    pub quality: BTreeMap<Quality, u64>,
    /// The first [`MOST_GAPS`] times that were not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// The number of further gaps.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gaps_omitted: u64,
    /// The bucket that crosses the end of this month; all of its bytes are in this month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<LateBucket>,
}

/// How many gaps are listed; the rest are only counted.
pub const MOST_GAPS: usize = 100;

/// Where a node's figures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// Gathered this time.
    Gathered,
    /// Not gathered this time; the figures are from data gathered before.
    Kept,
    /// There is no data from the node.
    Missing,
}

/// The usage of one user, or of one unassigned port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// `None` for an unassigned port.
    pub user: Option<String>,
    /// The ports with traffic on any node.
    pub ports: Vec<u16>,
    pub total: Counters,
    pub by_node: ByNode,
    /// Bytes in and out for each day of the month, in order.
    pub days: Vec<(u64, u64)>,
    pub billed_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// The part of the quota that was granted for this month alone.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub granted_bytes: u64,
    /// What was used in this month before flow-agent counted. It counts towards the quota, and is not billed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub used_before_bytes: u64,
    /// `None` without a price, or if the amount does not fit a decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<Money>,
    /// Billed bytes of the previous month; absent if it has no report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billed_bytes_before: Option<u64>,
    /// The nodes that the configuration limits this user to; empty for all nodes.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub only_on: BTreeSet<String>,
    /// How final the statement is; see [`MonthlyReport::state_of`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Finality>,
    /// The nodes that concern this statement and are incomplete, whether or not they are still waited for.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub open_nodes: BTreeSet<String>,
    /// Increased each time the figures change after they were published.
    pub rev: u32,
    /// Whether this revision is not published yet: its month is in progress, and no letter was about to be sent with
    /// its figures. A draft may change without a new revision. Reports of older versions have no drafts.
    #[serde(default, skip_serializing_if = "is_false")]
    pub draft: bool,
    /// The earlier revisions, by ascending `rev`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<PriorRevision>,
}

/// The figures of an earlier revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorRevision {
    pub rev: u32,
    #[serde(with = "stamp")]
    pub at: DateTime<FixedOffset>,
    pub state: Finality,
    pub total: Counters,
    pub billed_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<Money>,
}

impl MonthlyReport {
    /// Whether data is missing: a node was not gathered, a day is missing, may still grow or was rejected, or a node
    /// measured less than `min_coverage` of the time.
    pub fn is_incomplete(&self, min_coverage: f64) -> bool {
        self.nodes.iter().any(|node| node.is_incomplete(min_coverage))
    }

    /// How final a statement is. Reports of older versions have a state only for the whole month.
    pub fn state_of(&self, statement: &Statement) -> Finality {
        statement.state.unwrap_or(self.state)
    }

    /// The day on which provisional statements become final if no more data arrives.
    pub fn final_on(&self) -> Option<NaiveDate> {
        self.final_at.filter(|_| self.state == Finality::Provisional).map(|at| at.date_naive())
    }

    /// The month's block of `monthly/YEAR.jsonl`.
    pub fn month_block(&self) -> MonthBlock {
        MonthBlock { lines: self.month_lines().collect(), seal: self.month_seal() }
    }

    /// The seal of [`MonthlyReport::month_block`], to be completed when it is written.
    pub fn month_seal(&self) -> MonthSeal {
        MonthSeal { v: VERSION, kind: Kind::Seal, month: self.month, lines: 0, sha256: String::new() }
    }

    /// The lines of [`MonthlyReport::month_block`], one by one.
    pub fn month_lines(&self) -> impl Iterator<Item = MonthLine> {
        let coverage = self.coverage.ratio();
        let line = move |statement: &Statement| {
            MonthLine::new(
                self.month,
                statement.user.clone(),
                statement.ports.clone(),
                statement.total,
                statement.by_node.clone(),
                Some(coverage),
            )
        };
        self.statements.iter().map(line)
    }

    /// Adds what users were granted for this month to their quotas, and what they used before flow-agent counted.
    pub fn add_allowances(&mut self, granted: &BTreeMap<String, u64>, used_before: impl Fn(&str) -> u64) {
        for statement in &mut self.statements {
            let Some(user) = &statement.user else { continue };
            statement.used_before_bytes = used_before(user);
            if let (Some(quota), Some(bytes)) = (&mut statement.quota_bytes, granted.get(user)) {
                *quota = quota.saturating_add(*bytes);
                statement.granted_bytes = *bytes;
            }
        }
    }

    /// All bytes and packets of the month. [`assemble()`] has checked that the sums fit.
    pub fn total(&self) -> Counters {
        self.nodes.iter().fold(Counters::default(), |sum, node| sum.checked_add(node.total).unwrap_or(sum))
    }
}

impl NodeStatement {
    /// Whether more data may arrive from the node, whether or not it is waited for.
    pub fn is_open(&self) -> bool {
        match self.completeness {
            Some(Completeness::CanGrow | Completeness::Overdue) => true,
            Some(Completeness::Whole) | None => false,
        }
    }

    /// Whether data of this node is missing.
    pub fn is_incomplete(&self, min_coverage: f64) -> bool {
        self.state != NodeState::Gathered
            || self.why.is_some()
            || !self.days_missing.is_empty()
            || !self.days_growing.is_empty()
            || !self.days_refused.is_empty()
            || self.coverage.ratio() < min_coverage
    }
}

impl Statement {
    /// The bytes that count towards the quota.
    pub fn used_bytes(&self) -> u64 {
        self.billed_bytes.saturating_add(self.used_before_bytes)
    }

    /// The owner who is billed.
    pub fn owner(&self) -> StatementOwner {
        match (&self.user, self.ports.first()) {
            (Some(name), _) => StatementOwner::User(name.clone()),
            (None, Some(port)) => StatementOwner::Port(*port),
            // Only a file from another program has neither; no port is 0.
            (None, None) => StatementOwner::Port(0),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
