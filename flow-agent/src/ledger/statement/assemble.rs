//! Combines the sums of all nodes into the report of a month.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::finality::{self, Completeness, Waiting};
use super::owner::{Directory, StatementOwner};
use super::sum::{NodeMonth, OwnerSum};
use super::{Coverage, Finality, MOST_GAPS, MonthlyReport, NodeState, NodeStatement, Statement};
use crate::ledger::billing::{Billed, Price};
use crate::ledger::block::MonthBlock;
use crate::ledger::by_node::ByNode;
use crate::ledger::calendar;
use crate::ledger::counters::Counters;
use crate::ledger::month::Month;
use crate::ledger::record::VERSION;

/// The inputs of a report other than the nodes' figures.
#[derive(Clone, Copy, Debug)]
pub struct ReportInputs<'a> {
    pub month: Month,
    /// 1 to 28.
    pub month_start_day: u32,
    pub zone: Tz,
    pub now: DateTime<Utc>,
    pub billed: Billed,
    pub price: Option<&'a Price>,
    pub directory: &'a Directory,
    /// The recorded block of the previous month.
    pub before: Option<&'a MonthBlock>,
    /// How long missing data is waited for.
    pub final_after: TimeDelta,
    /// The last report written for this month.
    pub former: Option<&'a MonthlyReport>,
}

impl ReportInputs<'_> {
    fn waiting(&self) -> Waiting {
        Waiting {
            patience: self.final_after,
            since: self.former.and_then(|former| former.first_made_at),
            promised: self.former.and_then(|former| former.final_at),
        }
    }

    /// Whether a node was whole in the former report of this month.
    fn was_whole(&self, node: &str) -> bool {
        let nodes = self.former.into_iter().flat_map(|former| &former.nodes);
        nodes.filter(|old| old.name == node).any(|old| old.completeness == Some(Completeness::Whole))
    }
}

/// The result of gathering one node.
#[derive(Clone, Debug)]
pub struct NodeOutcome<'d> {
    /// The sums from its files, gathered this time or earlier.
    pub figures: NodeMonth<'d>,
    /// Why its files were not used this time.
    pub why: Option<String>,
    /// Days that the node itself has corrected to cover less than the version gathered before.
    pub corrections: Vec<Correction>,
    /// Days that were rejected because the version gathered before is better.
    pub days_refused: Vec<NaiveDate>,
}

impl<'d> NodeOutcome<'d> {
    /// The seal of a day of the month.
    pub fn seal(&self, day: NaiveDate) -> Option<&crate::ledger::record::DaySeal> {
        self.figures.seal(day)
    }

    /// The outcome for a node whose files were used as they are.
    pub fn taken(figures: NodeMonth<'d>) -> Self {
        Self { figures, why: None, corrections: Vec::new(), days_refused: Vec::new() }
    }
}

/// A day that its node made again and that covers less now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    pub day: NaiveDate,
    pub seconds_covered_before: u32,
    pub seconds_covered: u32,
}

/// Makes the report of a month as if it were the first. `nodes` are in the order of the configuration.
pub fn assemble(inputs: &ReportInputs<'_>, nodes: Vec<NodeOutcome<'_>>) -> MonthlyReport {
    let last_day = inputs.month.last_day(inputs.month_start_day);
    let made_at = calendar::local(inputs.zone, inputs.now);
    let is_over = inputs.now >= calendar::day_end(inputs.zone, last_day);
    let waiting = inputs.waiting();
    let final_at = waiting.ends_at(inputs.zone, made_at);
    let progress = Progress { is_over, is_overdue: is_over && made_at >= final_at };
    let (mut merged, node_statements) = merge(inputs, progress, nodes);
    let open_nodes = node_statements.iter().filter(|node| node.is_open()).map(|node| node.name.as_str()).collect();
    let before = inputs.before.map(of_month_before);
    for (owner, statement) in &mut merged {
        let before = before.as_ref().map(|all| all.get(owner).cloned().unwrap_or_default());
        settle(statement, progress, &open_nodes, before.as_ref());
        bill(inputs, statement, before.as_ref());
    }
    let state = finality::state(is_over, !open_nodes.is_empty(), progress.is_overdue);
    MonthlyReport {
        v: VERSION,
        month: inputs.month,
        first_day: inputs.month.first_day(inputs.month_start_day),
        last_day,
        zone: inputs.zone,
        made_at,
        first_made_at: is_over.then(|| waiting.since.unwrap_or(made_at)),
        final_at: waiting.promised.or_else(|| (state == Finality::Provisional).then_some(final_at)),
        state,
        rev: 0,
        draft: !is_over,
        billed: inputs.billed,
        price: inputs.price.cloned(),
        coverage: node_statements.iter().fold(Coverage::default(), |sum, node| Coverage {
            seconds_covered: sum.seconds_covered + node.coverage.seconds_covered,
            seconds: sum.seconds + node.coverage.seconds,
        }),
        nodes: node_statements,
        statements: merged.into_values().collect(),
    }
}

/// The progress of a month at the time of a report.
#[derive(Clone, Copy, Debug)]
struct Progress {
    is_over: bool,
    /// The wait for missing data is over.
    is_overdue: bool,
}

/// Adds up all nodes by owner, and makes the statement of each node.
fn merge(
    inputs: &ReportInputs<'_>,
    progress: Progress,
    nodes: Vec<NodeOutcome<'_>>,
) -> (BTreeMap<StatementOwner, Statement>, Vec<NodeStatement>) {
    let mut merged: BTreeMap<StatementOwner, Statement> = BTreeMap::new();
    for user in inputs.directory.users() {
        merged.insert(StatementOwner::User(user.name.clone()), empty(inputs, Some(user.name.clone())));
    }
    let mut sum_of_all: u128 = 0;
    let mut node_statements = Vec::new();
    for mut node in nodes {
        let figures = &mut node.figures;
        let figure = figures.sums.iter().flat_map(|sum| sum.total.to_array()).map(u128::from).sum::<u128>();
        if sum_of_all + figure > u128::from(u64::MAX) {
            // Genuine figures never get this large. The nodes before are billed, and this one is reported with a
            // reason.
            node.why = Some(format!("its figures ({figure}) are more than can be added up"));
            figures.sums.clear();
            figures.seals.clear();
        } else {
            sum_of_all += figure;
        }
        let total = figures.sums.iter().fold(Counters::default(), |total, sum| add(total, sum.total));
        // Each sum is freed once it is merged: a node may have tens of thousands.
        for sum in std::mem::take(&mut figures.sums) {
            let user = match &sum.owner {
                StatementOwner::User(name) => Some(name.clone()),
                StatementOwner::Port(_) => None,
            };
            let statement = merged.entry(sum.owner.clone()).or_insert_with(|| empty(inputs, user));
            take_in(statement, &figures.node, &sum);
        }
        node_statements.push(node_statement(inputs, progress, node, total));
    }
    (merged, node_statements)
}

fn empty(inputs: &ReportInputs<'_>, user: Option<String>) -> Statement {
    let entry = user.as_deref().and_then(|name| inputs.directory.user(name));
    Statement {
        ports: Vec::new(),
        total: Counters::default(),
        by_node: ByNode::default(),
        days: vec![(0, 0); inputs.month.days(inputs.month_start_day).count()],
        billed_bytes: 0,
        quota_bytes: entry.and_then(|entry| entry.quota_bytes),
        granted_bytes: 0,
        used_before_bytes: 0,
        money: None,
        billed_bytes_before: None,
        only_on: entry.map(|entry| entry.nodes.clone()).unwrap_or_default(),
        state: None,
        open_nodes: BTreeSet::new(),
        rev: 0,
        draft: false,
        history: Vec::new(),
        user,
    }
}

fn take_in(statement: &mut Statement, node: &str, sum: &OwnerSum) {
    let ports: BTreeSet<u16> = statement.ports.iter().chain(&sum.ports).copied().collect();
    statement.ports = ports.into_iter().collect();
    statement.total = add(statement.total, sum.total);
    statement.by_node.insert(node.to_owned(), sum.total);
    for (day, added) in statement.days.iter_mut().zip(&sum.days) {
        day.0 += added.0;
        day.1 += added.1;
    }
}

/// The usage of one owner in the previous month.
#[derive(Clone, Debug, Default)]
struct PreviousMonth {
    total: Counters,
    /// The nodes on which the owner had a line.
    nodes: BTreeSet<String>,
}

/// Sets how final a statement is. `before` is `None` if there is no record of the previous month.
fn settle(statement: &mut Statement, progress: Progress, open_nodes: &BTreeSet<&str>, before: Option<&PreviousMonth>) {
    let is_concerned = |node: &&&str| concerns(node, statement, before);
    statement.open_nodes = open_nodes.iter().filter(is_concerned).map(|node| (*node).to_owned()).collect();
    let waits = !statement.open_nodes.is_empty();
    statement.state = Some(finality::state(progress.is_over, waits, progress.is_overdue));
    statement.draft = !progress.is_over;
}

/// Whether data missing on `node` may affect this statement: its owner had a line there in this month or the previous
/// one, or is limited to it by `nodes` in the configuration. If nothing is known about an owner yet (no line anywhere,
/// or no record of the previous month), the missing data may be on any node that the owner is allowed on.
fn concerns(node: &str, statement: &Statement, before: Option<&PreviousMonth>) -> bool {
    let was_there = before.is_some_and(|before| before.nodes.contains(node));
    let is_unknown = match before {
        None => true,
        Some(before) => before.nodes.is_empty() && statement.by_node.is_empty(),
    };
    statement.by_node.contains(node)
        || was_there
        || statement.only_on.contains(node)
        || is_unknown && statement.only_on.is_empty()
}

fn bill(inputs: &ReportInputs<'_>, statement: &mut Statement, before: Option<&PreviousMonth>) {
    statement.billed_bytes = inputs.billed.bytes(statement.total);
    statement.money = inputs.price.and_then(|price| price.of(statement.billed_bytes));
    // An owner who is not in the report of the previous month had no usage then.
    statement.billed_bytes_before = before.map(|before| inputs.billed.bytes(before.total));
}

fn of_month_before(block: &MonthBlock) -> BTreeMap<StatementOwner, PreviousMonth> {
    let line = |line: &crate::ledger::record::MonthLine| {
        let owner = match &line.user {
            Some(name) => StatementOwner::User(name.clone()),
            None => StatementOwner::Port(*line.ports.first()?),
        };
        Some((
            owner,
            PreviousMonth { total: line.counters(), nodes: line.by_node.names().map(str::to_owned).collect() },
        ))
    };
    block.lines.iter().filter_map(line).collect()
}

fn node_statement(
    inputs: &ReportInputs<'_>,
    progress: Progress,
    node: NodeOutcome<'_>,
    total: Counters,
) -> NodeStatement {
    let NodeOutcome { figures, why, corrections, days_refused } = &node;
    let seals = figures.seals.values();
    let zone_name = seals.clone().map(|seal| seal.zone.as_str()).find(|name| *name != inputs.zone.name());
    // If the zone is unknown here, days are assumed to be as long as in the report's zone.
    let zone = zone_name.and_then(|name| name.parse().ok()).unwrap_or(inputs.zone);
    let mut quality = BTreeMap::new();
    for (kind, buckets) in seals.clone().flat_map(|seal| &seal.quality) {
        *quality.entry(*kind).or_insert(0) += u64::from(*buckets);
    }
    let mut gaps: Vec<_> = seals.clone().flat_map(|seal| seal.gaps.iter().cloned()).collect();
    let gaps_omitted = gaps.len().saturating_sub(MOST_GAPS) as u64;
    gaps.truncate(MOST_GAPS);
    let month_end = calendar::day_end(zone, inputs.month.last_day(inputs.month_start_day));
    let mut open = finality::open_days(figures, why.is_none(), zone, inputs.month, inputs.month_start_day, inputs.now);
    if why.is_some() && open.missing.is_empty() && inputs.was_whole(&figures.node) {
        // The file that showed that its days cannot grow is not available while the node cannot be reached.
        open.growing.clear();
    }
    NodeStatement {
        name: figures.node.clone(),
        state: match (why, figures.seals.is_empty()) {
            (None, _) => NodeState::Gathered,
            (Some(_), false) => NodeState::Kept,
            (Some(_), true) => NodeState::Missing,
        },
        why: why.clone(),
        other_zone: zone_name.map(str::to_owned),
        coverage: coverage(inputs, zone, figures),
        total,
        completeness: progress.is_over.then(|| open.completeness(progress.is_overdue)),
        days_missing: open.missing,
        days_growing: if progress.is_over { open.growing } else { Vec::new() },
        corrections: corrections.clone(),
        days_refused: days_refused.clone(),
        days_filed_earlier: seals.clone().filter(|seal| is_filed_earlier(seal)).map(|seal| seal.day).collect(),
        quality,
        gaps,
        gaps_omitted,
        late: seals.filter_map(|seal| seal.late.clone()).find(|late| late.end > month_end),
    }
}

/// Whether a bucket of an earlier day covers the day and has its bytes. Seals of old versions do not say how many buckets
/// there are.
fn is_filed_earlier(seal: &crate::ledger::record::DaySeal) -> bool {
    seal.buckets_expected > 0 && seal.buckets_sealed == 0 && seal.seconds_covered > 0
}

/// The coverage of the month until now, by the node's own days, whose length depends on its zone.
fn coverage(inputs: &ReportInputs<'_>, zone: Tz, figures: &NodeMonth<'_>) -> Coverage {
    let start = calendar::day_start(zone, inputs.month.first_day(inputs.month_start_day));
    let end = calendar::day_end(zone, inputs.month.last_day(inputs.month_start_day)).min(inputs.now);
    let seconds = u64::try_from((end - start).num_seconds()).unwrap_or(0);
    let covered = |(day, seal): (&NaiveDate, &crate::ledger::record::DaySeal)| {
        u64::from(seal.seconds_covered.min(calendar::seconds_in_day(zone, *day)))
    };
    let seconds_covered = figures.seals.iter().map(covered).sum::<u64>().min(seconds);
    Coverage { seconds_covered, seconds }
}

fn add(left: Counters, right: Counters) -> Counters {
    left.checked_add(right).expect("the sum of all figures of all nodes was checked to be less than 2^64")
}
