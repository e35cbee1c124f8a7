//! Puts the nodes' sums together into the report of a month.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use super::owner::{Directory, Owner};
use super::sum::{NodeMonth, OwnerSum};
use super::{Coverage, MOST_GAPS, MonthlyReport, NodeState, NodeStatement, State, Statement};
use crate::ledger::billing::{Billed, Price};
use crate::ledger::block::MonthBlock;
use crate::ledger::calendar;
use crate::ledger::counters::Counters;
use crate::ledger::month::Month;
use crate::ledger::record::VERSION;

/// What a report rests on beside the nodes' figures.
#[derive(Clone, Copy, Debug)]
pub struct Basis<'a> {
    pub month: Month,
    /// 1 to 28.
    pub month_start_day: u32,
    pub zone: Tz,
    pub now: DateTime<Utc>,
    pub billed: Billed,
    pub price: Option<&'a Price>,
    pub directory: &'a Directory,
    /// What is kept of the month before.
    pub before: Option<&'a MonthBlock>,
}

/// What became of one node.
#[derive(Clone, Debug)]
pub struct NodeOutcome<'d> {
    /// What was added up from its files, of this time or an earlier one.
    pub figures: NodeMonth<'d>,
    /// Why its files were not taken this time.
    pub why: Option<String>,
}

/// The report of a month, as if it were the first. `nodes` are in the order of the configuration.
pub fn assemble(basis: &Basis<'_>, nodes: Vec<NodeOutcome<'_>>) -> MonthlyReport {
    let mut merged: BTreeMap<Owner, Statement> = BTreeMap::new();
    for user in basis.directory.users() {
        merged.insert(Owner::User(user.name.clone()), empty(basis, Some(user.name.clone())));
    }
    let mut sum_of_all: u128 = 0;
    let mut node_statements = Vec::new();
    for NodeOutcome { mut figures, mut why } in nodes {
        let figure = figures.sums.iter().flat_map(|sum| sum.total.to_array()).map(u128::from).sum::<u128>();
        if sum_of_all + figure > u128::from(u64::MAX) {
            // Only lies come this far; what fits is billed, and this node is named.
            why = Some(format!("its figures ({figure}) are more than can be added up"));
            figures.sums.clear();
            figures.seals.clear();
        } else {
            sum_of_all += figure;
        }
        let total = figures.sums.iter().fold(Counters::default(), |total, sum| add(total, sum.total));
        for sum in &figures.sums {
            let statement = merged.entry(sum.owner.clone()).or_insert_with(|| {
                empty(
                    basis,
                    match &sum.owner {
                        Owner::User(name) => Some(name.clone()),
                        Owner::Port(_) => None,
                    },
                )
            });
            take_in(statement, &figures.node, sum);
        }
        node_statements.push(node_statement(basis, &figures, why, total));
    }
    let before = basis.before.map(billed_before);
    let statements = merged
        .into_iter()
        .map(|(owner, statement)| bill(basis, statement, before.as_ref().map(|all| all.get(&owner).copied())))
        .collect();
    let first_day = basis.month.first_day(basis.month_start_day);
    let last_day = basis.month.last_day(basis.month_start_day);
    let state = if basis.now < calendar::day_end(basis.zone, last_day) {
        State::InProgress
    } else if node_statements.iter().any(|node: &NodeStatement| !node.days_missing.is_empty()) {
        State::Provisional
    } else {
        State::Final
    };
    let made_at = calendar::local(basis.zone, basis.now);
    MonthlyReport {
        v: VERSION,
        month: basis.month,
        first_day,
        last_day,
        zone: basis.zone,
        made_at,
        first_made_at: (state != State::InProgress).then_some(made_at),
        state,
        rev: 0,
        billed: basis.billed,
        price: basis.price.cloned(),
        coverage: node_statements.iter().fold(Coverage::default(), |sum, node| Coverage {
            seconds_covered: sum.seconds_covered + node.coverage.seconds_covered,
            seconds: sum.seconds + node.coverage.seconds,
        }),
        nodes: node_statements,
        statements,
    }
}

fn empty(basis: &Basis<'_>, user: Option<String>) -> Statement {
    let entry = user.as_deref().and_then(|name| basis.directory.user(name));
    Statement {
        ports: Vec::new(),
        total: Counters::default(),
        by_node: BTreeMap::new(),
        days: vec![(0, 0); basis.month.days(basis.month_start_day).count()],
        billed_bytes: 0,
        quota_bytes: entry.and_then(|entry| entry.quota_bytes),
        money: None,
        billed_bytes_before: None,
        only_on: entry.map(|entry| entry.nodes.clone()).unwrap_or_default(),
        rev: 0,
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

fn bill(basis: &Basis<'_>, statement: Statement, before: Option<Option<Counters>>) -> Statement {
    let billed_bytes = basis.billed.bytes(statement.total);
    Statement {
        billed_bytes,
        money: basis.price.and_then(|price| price.of(billed_bytes)),
        // Whoever is not in the report of the month before moved nothing then.
        billed_bytes_before: before.map(|counters| basis.billed.bytes(counters.unwrap_or_default())),
        ..statement
    }
}

fn billed_before(block: &MonthBlock) -> BTreeMap<Owner, Counters> {
    let line = |line: &crate::ledger::record::MonthLine| {
        let owner = match &line.user {
            Some(name) => Owner::User(name.clone()),
            None => Owner::Port(*line.ports.first()?),
        };
        Some((owner, line.counters()))
    };
    block.lines.iter().filter_map(line).collect()
}

fn node_statement(basis: &Basis<'_>, figures: &NodeMonth<'_>, why: Option<String>, total: Counters) -> NodeStatement {
    let seals = figures.seals.values();
    let zone_name = seals.clone().map(|seal| seal.zone.as_str()).find(|name| *name != basis.zone.name());
    // A zone that is not known here: days are taken to be as long as ours.
    let zone = zone_name.and_then(|name| name.parse().ok()).unwrap_or(basis.zone);
    let mut quality = BTreeMap::new();
    for (kind, buckets) in seals.clone().flat_map(|seal| &seal.quality) {
        *quality.entry(*kind).or_insert(0) += u64::from(*buckets);
    }
    let mut gaps: Vec<_> = seals.clone().flat_map(|seal| seal.gaps.iter().cloned()).collect();
    let gaps_omitted = gaps.len().saturating_sub(MOST_GAPS) as u64;
    gaps.truncate(MOST_GAPS);
    let month_end = calendar::day_end(zone, basis.month.last_day(basis.month_start_day));
    NodeStatement {
        name: figures.node.clone(),
        state: match (&why, figures.seals.is_empty()) {
            (None, _) => NodeState::Gathered,
            (Some(_), false) => NodeState::Kept,
            (Some(_), true) => NodeState::Missing,
        },
        why,
        other_zone: zone_name.map(str::to_owned),
        coverage: coverage(basis, zone, figures),
        total,
        days_missing: days_missing(basis, zone, figures),
        quality,
        gaps,
        gaps_omitted,
        late: seals.filter_map(|seal| seal.late.clone()).find(|late| late.end > month_end),
    }
}

/// Of the month, up to now; by the node's own days, whose seconds its zone decides.
fn coverage(basis: &Basis<'_>, zone: Tz, figures: &NodeMonth<'_>) -> Coverage {
    let start = calendar::day_start(zone, basis.month.first_day(basis.month_start_day));
    let end = calendar::day_end(zone, basis.month.last_day(basis.month_start_day)).min(basis.now);
    let seconds = u64::try_from((end - start).num_seconds()).unwrap_or(0);
    let covered = |(day, seal): (&NaiveDate, &crate::ledger::record::DaySeal)| {
        u64::from(seal.seconds_covered.min(calendar::seconds_in_day(zone, *day)))
    };
    let seconds_covered = figures.seals.iter().map(covered).sum::<u64>().min(seconds);
    Coverage { seconds_covered, seconds }
}

fn days_missing(basis: &Basis<'_>, zone: Tz, figures: &NodeMonth<'_>) -> Vec<NaiveDate> {
    let is_over = |day: &NaiveDate| calendar::day_end(zone, *day) <= basis.now;
    // A date that the zone skipped has no second to be missed.
    let exists = |day: &NaiveDate| calendar::seconds_in_day(zone, *day) > 0;
    let days = basis.month.days(basis.month_start_day).take_while(is_over);
    days.filter(|day| exists(day) && !figures.has(*day)).collect()
}

fn add(left: Counters, right: Counters) -> Counters {
    left.checked_add(right).expect("the sum of all figures of all nodes was checked to be less than 2^64")
}
