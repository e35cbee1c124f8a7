//! Joins the inputs of quotas: the configuration, the grants, and what was counted in the billing month so far.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use chrono::{DateTime, Days, NaiveDate, Utc};

use super::ask;
use super::gathered::{add_files, directory};
use super::show::period::ShowContext;
use super::show::read::Log;
use crate::config::Config;
use crate::exit::{Code, Failure};
use crate::gather::NodeSource;
use crate::ledger::calendar;
use crate::ledger::forecast::{self, Measured};
use crate::ledger::limits::grant;
use crate::ledger::limits::state::{KnownOfUser, Rules, UserMonth};
use crate::ledger::limits::stated::with_stated;
use crate::ledger::month::Month;
use crate::ledger::now;
use crate::ledger::record::{DaySeal, Gap};
use crate::ledger::statement::{Directory, MonthlyReport, NodeMonth, NodeOutcome, ReportInputs, Statement, assemble};
use crate::ledger::unsealed::Settings;
use crate::store::{self, StateDir, StoreError, first_counted, grants};

/// The standing of all users in the current billing month.
pub struct UserStandings {
    pub first_day: NaiveDate,
    pub today: NaiveDate,
    /// In the order of the configuration.
    pub users: Vec<UserMonth>,
    /// The month so far, as a report would show it.
    pub report: MonthlyReport,
    /// For each node, the newest time for which its figures are known.
    pub newest: BTreeMap<String, DateTime<Utc>>,
    /// For each node, all gaps of yesterday and today. The report lists only the first ones of the month.
    pub recent_gaps: BTreeMap<String, Vec<Gap>>,
    /// What could not be read.
    pub damages: Vec<String>,
}

/// The configuration with the limits that this node's port files last stated, if the configuration uses them.
///
/// # Errors
/// When the list of ports cannot be read.
pub fn with_port_files(config: &Config, state: &StateDir) -> Result<Config, StoreError> {
    let mut config = config.clone();
    if config.limits.port_files {
        let stated = store::ports::read(state)?.map(|list| list.stated).unwrap_or_default();
        config.users = with_stated(&config.users, &stated);
    }
    Ok(config)
}

/// The standing of the users of `config` at `now`: on a node by its own log, on a main node by what was gathered from
/// all nodes.
///
/// # Errors
/// When a file cannot be read.
pub fn standing(config: &Config, now: DateTime<Utc>) -> Result<UserStandings, Failure> {
    let state = StateDir::new(&config.state_dir);
    let config = &with_port_files(config, &state)?;
    let today = calendar::local(config.timezone, now).date_naive();
    let month = Month::containing(today, config.month_start_day);
    let first_day = month.first_day(config.month_start_day);
    let directory = directory(config);
    let mut damages = Vec::new();
    let mut outcomes = Vec::new();
    let mut newest = BTreeMap::new();
    let mut recent_gaps = BTreeMap::new();
    for name in node_names(config) {
        let mut figures = NodeMonth::new(&name, &directory, month, config.month_start_day);
        damages.extend(add_days(config, &state, month, first_day..=today, now, &mut figures)?);
        let mut gaps = Vec::new();
        let mut newest_seal = figures.newest_seal().cloned();
        // The hour before midnight is sealed when its month is over, and a node may be silent since then.
        if today == first_day || newest_seal.is_none() {
            let yesterday = first_day - Days::new(1);
            let month = Month::containing(yesterday, config.month_start_day);
            let days = month.first_day(config.month_start_day)..=yesterday;
            let mut before = NodeMonth::new(&name, &directory, month, config.month_start_day);
            damages.extend(add_days(config, &state, month, days, now, &mut before)?);
            if today == first_day {
                gaps.extend(gaps_on(config, &state, &name, before.seal(yesterday))?);
            }
            newest_seal = newest_seal.or_else(|| before.newest_seal().cloned());
        }
        if let Some(at) = newest_seal.and_then(|seal| seal.at) {
            newest.insert(name.clone(), at.to_utc());
        }
        gaps.extend(gaps_on(config, &state, &name, figures.seal(today - Days::new(1)))?);
        gaps.extend(gaps_on(config, &state, &name, figures.seal(today))?);
        recent_gaps.insert(name, gaps);
        outcomes.push(NodeOutcome::taken(figures));
    }
    let measured = measured(&outcomes, first_day, today);
    let report = assemble(
        &ReportInputs {
            month,
            month_start_day: config.month_start_day,
            zone: config.timezone,
            now,
            billed: config.report.billed,
            price: None,
            directory: &directory,
            before: None,
            final_after: config.report.final_after,
            former: None,
        },
        outcomes,
    );
    let granted = granted(&state, month, &mut damages)?;
    let first_counted = first_counted(config, &state)?;
    let node = config.nodes.is_empty().then_some(config.node.as_str());
    let rules = Rules { month, first_day, today, billed: report.billed, warn: &config.limits.warn, node };
    let end = calendar::day_end(config.timezone, month.last_day(config.month_start_day));
    let seconds_left = u64::try_from((end - now).num_seconds()).unwrap_or(0);
    let refused = if config.nodes.is_empty() { refused(config) } else { BTreeSet::new() };
    let users = standing_of(config, &directory, &report, |user, statement| KnownOfUser {
        is_refused: refused.contains(user),
        statement,
        granted: granted.get(user).copied().unwrap_or(0),
        used_before: directory.user(user).map_or(0, |user| user.used_before(month, first_counted)),
        forecast: statement.and_then(|statement| forecast_of(statement, &report, &measured, seconds_left)),
        is_incomplete: statement.is_none_or(|statement| is_incomplete(config, &report, statement)),
    });
    let users = users.into_iter().map(|(user, known)| UserMonth::new(&rules, user, known)).collect();
    Ok(UserStandings { first_day, today, users, report, newest, recent_gaps, damages })
}

/// The users whose packets this machine's agent refuses; empty if no agent runs, or if this user may not ask it.
fn refused(config: &Config) -> BTreeSet<String> {
    let Ok(Some(now)) = ask::now(config) else { return BTreeSet::new() };
    let refused = now.users.into_iter().filter(|user| user.state == Some(now::QuotaStanding::Cut));
    refused.map(|user| user.user).collect()
}

/// The nodes to be examined: those of the configuration, or this machine alone.
fn node_names(config: &Config) -> Vec<String> {
    match config.nodes.is_empty() {
        true => vec![config.node.clone()],
        false => config.nodes.iter().map(|node| node.name.clone()).collect(),
    }
}

/// Whether the node of that name is this machine, whose own log is newer than what was gathered from it.
pub(super) fn is_own_log(config: &Config, name: &str) -> bool {
    let is_local = |node: &crate::gather::NodeConfig| {
        node.name == name && node.source == NodeSource::Local && node.state_dir == config.state_dir
    };
    config.nodes.is_empty() || config.nodes.iter().any(is_local)
}

/// Adds what users were granted, and what they used before flow-agent began to count, to the statements of a report.
/// Returns what could not be read.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn add_allowances(
    config: &Config,
    state: &StateDir,
    directory: &Directory,
    report: &mut MonthlyReport,
) -> Result<Vec<String>, StoreError> {
    let mut damages = Vec::new();
    let granted = granted(state, report.month, &mut damages)?;
    let month = report.month;
    let is_asked = directory.users().iter().any(|user| user.used.is_some());
    let first_counted = if is_asked { first_counted(config, state)? } else { None };
    let used_before = |user: &str| directory.user(user).map_or(0, |user| user.used_before(month, first_counted));
    report.add_allowances(&granted, used_before);
    Ok(damages)
}

/// The billing month in which counting began on the first of the nodes; `None` if nothing was counted yet.
fn first_counted(config: &Config, state: &StateDir) -> Result<Option<Month>, StoreError> {
    let mut first: Option<NaiveDate> = None;
    for name in node_names(config) {
        first = first.into_iter().chain(first_counted_on(config, state, &name)?).min();
    }
    Ok(first.map(|day| Month::containing(day, config.month_start_day)))
}

/// The day on which counting began on a node; `None` if nothing was counted yet.
fn first_counted_on(config: &Config, state: &StateDir, node: &str) -> Result<Option<NaiveDate>, StoreError> {
    match is_own_log(config, node) {
        true => first_counted::day(state),
        false => first_counted::day_in(&state.node_daily_dir(node)),
    }
}

/// The gaps of a day of a node. The time before it counted for the first time is not one of them.
fn gaps_on(config: &Config, state: &StateDir, node: &str, seal: Option<&DaySeal>) -> Result<Vec<Gap>, StoreError> {
    let Some(seal) = seal else { return Ok(Vec::new()) };
    let midnight = calendar::day_start(config.timezone, seal.day);
    let precedes_all = |gap: &Gap| gap.why == Gap::NO_BUCKET && gap.start.to_utc() == midnight;
    let is_first_day = seal.gaps.iter().any(precedes_all) && first_counted_on(config, state, node)? == Some(seal.day);
    Ok(seal.gaps.iter().filter(|gap| !(is_first_day && precedes_all(gap))).cloned().collect())
}

/// Adds some days of `month` to a node's figures; returns what could not be read. On this machine, today counts up to
/// now.
///
/// # Errors
/// When a file cannot be read.
fn add_days(
    config: &Config,
    state: &StateDir,
    month: Month,
    days: RangeInclusive<NaiveDate>,
    now: DateTime<Utc>,
    figures: &mut NodeMonth<'_>,
) -> Result<Vec<String>, Failure> {
    let name = figures.node().to_owned();
    if is_own_log(config, &name) {
        return add_own_days(config, state, days, now, figures);
    }
    let months = month.calendar_months(config.month_start_day);
    let paths: Vec<_> = months.map(|month| state.node_daily(&name, month)).collect();
    Ok(add_files(&paths, figures)?.into_iter().map(|damage| format!("node {name}: {damage}")).collect())
}

/// Adds the days of this machine's own log, including today up to now; returns what could not be read.
fn add_own_days(
    config: &Config,
    state: &StateDir,
    days: RangeInclusive<NaiveDate>,
    now: DateTime<Utc>,
    figures: &mut NodeMonth<'_>,
) -> Result<Vec<String>, Failure> {
    if !state.root().is_dir() {
        // Nothing was counted here yet.
        return Ok(Vec::new());
    }
    let settings = Settings { node: config.node.clone(), zone: config.timezone, bucket: config.count.bucket };
    let context = ShowContext { now, zone: config.timezone, month_start_day: config.month_start_day };
    let mut log = Log::new(state.clone(), settings)?;
    let mut damages = Vec::new();
    log.days(days, &context, |shown| {
        if let Err(error) = figures.add(&shown.block) {
            damages.push(error.to_string());
        }
        Ok(true)
    })?;
    damages.extend(log.take_damages());
    Ok(damages)
}

fn granted(state: &StateDir, month: Month, damages: &mut Vec<String>) -> Result<BTreeMap<String, u64>, StoreError> {
    let content = grants::read(state)?;
    damages.extend(content.damages.iter().map(ToString::to_string));
    Ok(grant::granted(&content.lines, month))
}

/// The measured seconds of each complete day of the month; for several nodes, the average.
fn measured(outcomes: &[NodeOutcome<'_>], first_day: NaiveDate, today: NaiveDate) -> Vec<u64> {
    let nodes = u64::try_from(outcomes.len()).unwrap_or(1).max(1);
    let seconds = |day: NaiveDate| {
        let covered =
            outcomes.iter().filter_map(|outcome| outcome.seal(day)).map(|seal| u64::from(seal.seconds_covered));
        covered.sum::<u64>() / nodes
    };
    first_day.iter_days().take_while(|day| *day < today).map(seconds).collect()
}

/// What will have been counted for a user when the month ends.
fn forecast_of(statement: &Statement, report: &MonthlyReport, seconds: &[u64], seconds_left: u64) -> Option<u64> {
    let days = statement.days.iter().zip(seconds).map(|((inward, outward), seconds)| {
        let bytes = match report.billed {
            crate::ledger::billing::Billed::Both => inward.saturating_add(*outward),
            crate::ledger::billing::Billed::In => *inward,
            crate::ledger::billing::Billed::Out => *outward,
            crate::ledger::billing::Billed::Max => *inward.max(outward),
        };
        Measured { bytes: bytes.into(), seconds: *seconds }
    });
    let days: Vec<Measured> = days.collect();
    let bytes = forecast::month(statement.billed_bytes.into(), &days, seconds_left)?;
    Some(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// Whether part of what concerns this user was not measured or not gathered.
fn is_incomplete(config: &Config, report: &MonthlyReport, statement: &Statement) -> bool {
    let concerns = |name: &str| statement.only_on.is_empty() || statement.only_on.contains(name);
    let mut nodes = report.nodes.iter().filter(|node| concerns(&node.name));
    nodes.any(|node| !node.days_missing.is_empty() || node.coverage.ratio() < config.report.min_coverage)
}

/// Combines every user of the configuration who is on one of these nodes with what `known` returns.
fn standing_of<'a, 'r>(
    config: &Config,
    directory: &'a Directory,
    report: &'r MonthlyReport,
    known: impl Fn(&str, Option<&'r Statement>) -> KnownOfUser<'r>,
) -> Vec<(&'a crate::ledger::user::User, KnownOfUser<'r>)> {
    let statements: BTreeMap<&str, &Statement> =
        report.statements.iter().filter_map(|statement| Some((statement.user.as_deref()?, statement))).collect();
    let is_here = |user: &&crate::ledger::user::User| !config.nodes.is_empty() || user.is_on(&config.node);
    let users = directory.users().iter().filter(is_here);
    users.map(|user| (user, known(&user.name, statements.get(user.name.as_str()).copied()))).collect()
}

/// Rejects a user whom neither the configuration nor a limit of a port file names (see [`with_port_files`]).
///
/// # Errors
/// Exit code 2, with the name that was probably meant.
pub fn refuse_unknown(config: &Config, user: &str) -> Result<(), Failure> {
    if config.users.iter().any(|known| known.name == user) {
        return Ok(());
    }
    let names = config.users.iter().map(|user| user.name.as_str());
    let help = match crate::errors::nearest(user, names) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "quotas are set for the users in [[users]] and `users_file`".to_owned(),
    };
    let error = anyhow::anyhow!("there is no user `{user}` in the configuration");
    Err(Failure::new(Code::Usage, error).help(help))
}
