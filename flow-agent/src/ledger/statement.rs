//! A billing month as it is billed: who moved what and where, and what is not known about it.
//!
//! [`NodeMonth`] adds up one node's day lines, [`assemble()`] puts the nodes together, [`MonthlyReport::revise`] holds the
//! result against what was said of this month before.

mod assemble;
pub mod finality;
mod limits;
mod owner;
mod revise;
mod sum;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, FixedOffset, NaiveDate};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

pub use assemble::{Correction, NodeOutcome, ReportInputs, assemble};
pub use finality::{Completeness, Waiting};
pub use limits::{NodeCut, cut_to_limits};
pub use owner::{Directory, Owner};
pub use sum::{DistinctPairs, NodeMonth, SumError, check_day};

use super::billing::{Billed, Money, Price};
use super::block::MonthBlock;
use super::by_node::ByNode;
use super::counters::Counters;
use super::date;
use super::month::Month;
use super::record::{Gap, Kind, LateBucket, MonthLine, MonthSeal, Quality, VERSION, stamp};

/// `reports/MONTH/report.json`: all that is known of one billing month. `monthly/YEAR.jsonl` has its sums.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthlyReport {
    pub v: u32,
    pub month: Month,
    #[serde(with = "date")]
    pub first_day: NaiveDate,
    #[serde(with = "date")]
    pub last_day: NaiveDate,
    /// In which days and the month are cut.
    pub zone: Tz,
    #[serde(with = "stamp")]
    pub made_at: DateTime<FixedOffset>,
    /// When this month was first reported as one that is over; absent while it is not.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "super::record::optional_stamp")]
    pub first_made_at: Option<DateTime<FixedOffset>>,
    /// Until when what is missing is waited for: then everything is final. Absent while the month is not over, and where
    /// nothing was ever waited for.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "super::record::optional_stamp")]
    pub final_at: Option<DateTime<FixedOffset>>,
    /// Final once no node is waited for any more; a statement may be so before ([`Statement::state`]).
    pub state: State,
    /// One more each time that anything below changed after it had been said.
    pub rev: u32,
    pub billed: Billed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    pub coverage: Coverage,
    /// In the order of the configuration.
    pub nodes: Vec<NodeStatement>,
    /// Users by name, then the ports that have none.
    pub statements: Vec<Statement>,
}

/// How final a month's figures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The month is not over.
    InProgress,
    /// It is over, but more may come, and is waited for.
    Provisional,
    /// Nothing more is waited for. What comes all the same makes a revision.
    Final,
}

/// How much of a time was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    pub seconds_covered: u64,
    /// Of the month, up to now while it is not over; of several nodes, added up.
    pub seconds: u64,
}

impl Coverage {
    /// 0 to 1; of no time at all everything was seen.
    pub fn ratio(self) -> f64 {
        if self.seconds == 0 { 1.0 } else { self.seconds_covered as f64 / self.seconds as f64 }
    }
}

/// What is known of one node's month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatement {
    pub name: String,
    pub state: NodeState,
    /// Why its files were not taken this time, or were rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// In which it cuts its days, where that is not the report's zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_zone: Option<String>,
    pub coverage: Coverage,
    pub total: Counters,
    /// Whether more may come from it; absent while the month is not over, and in reports of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completeness: Option<Completeness>,
    /// Days that are over and of which it has no block.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days_missing: Vec<NaiveDate>,
    /// Days of a month that is over of which it has something, or was not over itself, and of which more may come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days_growing: Vec<NaiveDate>,
    /// Days of which the node itself made a version that covers less than one that was gathered before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrections: Vec<Correction>,
    /// Days that were refused this time, because the ones that were gathered before are better.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days_refused: Vec<NaiveDate>,
    /// How many buckets of each quality.
    pub quality: BTreeMap<Quality, u64>,
    /// Times that nobody saw; the first [`MOST_GAPS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// How many more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gaps_omitted: u64,
    /// The bucket that runs over the end of this month: its bytes are all in this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<LateBucket>,
}

/// More gaps than these are counted, not listed.
pub const MOST_GAPS: usize = 100;

/// Where a node's figures come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// Gathered this time.
    Gathered,
    /// Not gathered this time; from what was gathered before.
    Kept,
    /// There is nothing from it.
    Missing,
}

/// What one user, or one port that has none, moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// `None` for an unassigned port.
    pub user: Option<String>,
    /// On which anything was counted, on any node.
    pub ports: Vec<u16>,
    pub total: Counters,
    pub by_node: ByNode,
    /// Bytes in and out of each day of the month, in order.
    pub days: Vec<(u64, u64)>,
    pub billed_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// `None` without a price, or where it does not fit a decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<Money>,
    /// Billed bytes of the month before; absent where there is no report of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billed_bytes_before: Option<u64>,
    /// The nodes that the configuration limits this user to; empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub only_on: BTreeSet<String>,
    /// How final it is; see [`MonthlyReport::state_of`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The nodes that concern it and are not whole, whether they are still waited for or not.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub open_nodes: BTreeSet<String>,
    /// One more each time that the figures changed after they had been said.
    pub rev: u32,
    /// What was said before, by rising `rev`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<PriorRevision>,
}

/// The figures of an earlier revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorRevision {
    pub rev: u32,
    #[serde(with = "stamp")]
    pub at: DateTime<FixedOffset>,
    pub state: State,
    pub total: Counters,
    pub billed_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<Money>,
}

impl MonthlyReport {
    /// Whether something is not known that should be: a node was not gathered, a day is missing or may still grow or was
    /// refused, or less than `min_coverage` was seen of any node.
    pub fn is_incomplete(&self, min_coverage: f64) -> bool {
        self.nodes.iter().any(|node| node.is_incomplete(min_coverage))
    }

    /// How final a statement is. Reports of older versions say it only of the whole month.
    pub fn state_of(&self, statement: &Statement) -> State {
        statement.state.unwrap_or(self.state)
    }

    /// The day on which provisional statements become final if nothing comes.
    pub fn final_on(&self) -> Option<NaiveDate> {
        self.final_at.filter(|_| self.state == State::Provisional).map(|at| at.date_naive())
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

    /// All bytes and packets of the month. It is checked when a report is put together that they fit.
    pub fn total(&self) -> Counters {
        self.nodes.iter().fold(Counters::default(), |sum, node| sum.checked_add(node.total).unwrap_or(sum))
    }
}

impl NodeStatement {
    /// Whether more may come from it, be it waited for or not.
    pub fn is_open(&self) -> bool {
        match self.completeness {
            Some(Completeness::CanGrow | Completeness::Overdue) => true,
            Some(Completeness::Whole) | None => false,
        }
    }

    /// Whether something is not known of this node that should be.
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
    /// Whose it is.
    pub fn owner(&self) -> Owner {
        match (&self.user, self.ports.first()) {
            (Some(name), _) => Owner::User(name.clone()),
            (None, Some(port)) => Owner::Port(*port),
            // A line of a foreign hand; no port is 0.
            (None, None) => Owner::Port(0),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
