//! Gathers the nodes' files and makes the figures of a month from them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use anyhow::Context as _;
use chrono::{Days, NaiveDate};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::Job;
use super::arrivals::{self, Arrival, Missing};
use super::kept;
use crate::commands::gathered::{add_files, name_of};
use crate::commands::limits;
use crate::config::Config;
use crate::config::value::{NodeName, Value as _};
use crate::exit::Failure;
use crate::fleet::{Client, days};
use crate::gather::{GatherConfig, KnownFile, NodeConfig, NodeSource, VerifiedDays};
use crate::ledger::block::{MonthBlock, Monthly};
use crate::ledger::calendar;
use crate::ledger::month::Month;
use crate::ledger::record::stamp;
use crate::ledger::statement::{
    Correction, Directory, Finality, MonthDays, MonthlyReport, NodeMonth, NodeOutcome, ReportInputs, assemble,
    cut_to_limits, finality,
};
use crate::store::blocks::{Blocks, Item};
use crate::store::table::{DayOutcome, Fetched, KeepReason, Kept, KeptRecord, VerifiedFile, keep_gathered};
use crate::store::{ReportLock, StateDir, StoreError, reports};

/// The figures of a month, and the problems that a person should know about.
pub(super) struct Collected {
    pub(super) report: MonthlyReport,
    pub(super) problems: Vec<String>,
    /// Whether one of them is that bytes which were counted are in no report as it stands.
    pub(super) loses_bytes: bool,
}

/// This machine as a node, for a configuration without nodes.
pub(super) fn this_node(config: &Config) -> NodeConfig {
    NodeConfig {
        name: config.node.clone(),
        aliases: Vec::new(),
        source: NodeSource::Local,
        state_dir: config.state_dir.clone(),
    }
}

/// For a configuration without nodes: the nodes that sent anything to ClickHouse in the month or in the month before. A
/// node that has stopped sending is therefore missing for a month rather than forgotten.
///
/// # Errors
/// When ClickHouse cannot be asked, or when it has a node whose name is not valid.
pub(super) fn known_nodes(config: &Config, client: &Client, month: Month) -> Result<Vec<NodeConfig>, Failure> {
    let (first, last) = (month.previous().first_day(config.month_start_day), month.last_day(config.month_start_day));
    let node = |name: String| {
        // The name becomes that of a directory.
        let NodeName(name) = NodeName::parse(&name).with_context(|| format!("ClickHouse has a node {name:?}"))?;
        Ok(NodeConfig { name, aliases: Vec::new(), source: NodeSource::Local, state_dir: config.state_dir.clone() })
    };
    days::nodes(client, first, last)?.into_iter().map(node).collect()
}

/// Gathers the files, keeps the days that are better than those kept before, and adds them up. Without `lock` nothing
/// is written. `former` is the last report written for this month.
pub(super) fn collect(
    job: &Job,
    lock: Option<&ReportLock>,
    directory: &Directory,
    former: Option<&MonthlyReport>,
    runtime: &Runtime,
) -> Result<Collected, Failure> {
    let config = &job.config;
    let months: Vec<Month> = job
        .month
        .calendar_months(config.month_start_day)
        .filter(|month| calendar::day_start(config.timezone, month.first_day(1)) <= job.now)
        .collect();
    let into = private_dir(job, lock)?;
    let mut problems = Vec::new();
    let sources = fetch(job, lock, &config.nodes, &months, into.path(), &mut problems, runtime)?;
    let mut losses: Vec<String> = sources.iter().flat_map(|source| source.losses.clone()).collect();
    let mut outcomes = sum_all(job, directory, sources, &mut problems)?;
    let again =
        tempfile::tempdir_in(into.path()).context("failed to create a directory for files to be fetched again")?;
    losses.extend(follow_up(job, lock, directory, &months, again.path(), &mut outcomes, runtime)?);
    for name in kept::without_node(config, &job.state, job.month)? {
        let why = format!(
            "days were gathered under this name, but `[[nodes]]` does not name it: add it, also as one of another \
             node's `aliases`; or, if its days must not be billed, remove {}",
            job.state.root().join("nodes").join(&name).display()
        );
        problems.push(format!("node {name}: {why}"));
        let figures = NodeMonth::new(&name, directory, job.month, config.month_start_day);
        outcomes.push(NodeOutcome { why: Some(why), ..NodeOutcome::taken(figures) });
    }
    problems
        .extend(cut_to_limits(directory, &mut outcomes).iter().map(|cut| format!("node {}: {}", cut.node, cut.why)));
    let before = month_before(job)?;
    let published = former.filter(|former| job.keeps_terms && former.state != Finality::InProgress);
    let (billed, price) = match published {
        Some(former) => (former.billed, former.price.as_ref()),
        None => (config.report.billed, config.report.price.as_ref()),
    };
    let inputs = ReportInputs {
        month: job.month,
        month_start_day: config.month_start_day,
        zone: config.timezone,
        now: job.now,
        billed,
        price,
        directory,
        before: before.as_ref(),
        final_after: config.report.final_after,
        former,
    };
    let mut report = assemble(&inputs, outcomes);
    problems.extend(limits::add_allowances(config, &job.state, directory, &mut report)?);
    let changes = changes_before(job, into.path(), directory, &report, runtime)?;
    losses.extend(changes);
    losses.extend(
        former.filter(|former| former.state == Finality::Final).map_or_else(Vec::new, |former| fewer(former, &report)),
    );
    let loses_bytes = !losses.is_empty();
    problems.extend(losses);
    Ok(Collected { report, problems, loses_bytes })
}

/// The nodes that have fewer bytes than the report of this month that was final.
fn fewer(former: &MonthlyReport, now: &MonthlyReport) -> Vec<String> {
    let bytes = |report: &MonthlyReport, name: &str| {
        report.nodes.iter().filter(|node| node.name == name).map(|node| u128::from(node.total.bytes())).sum::<u128>()
    };
    let is_fewer = |name: &str| {
        let (before, now) = (bytes(former, name), bytes(now, name));
        (now < before).then(|| {
            format!("node {name}: it has {} bytes fewer than in the closed report of this month", before - now)
        })
    };
    former.nodes.iter().filter_map(|node| is_fewer(&node.name)).collect()
}

/// What the nodes have changed in the month before since it was closed. A bucket that covers a time without an agent is
/// filed under the day on which it began, which may be in a month that nobody looks at any more. `report` is that of
/// this month, and says which nodes could be reached.
///
/// Nothing is kept, so that what the closed report was made from stays as it is. Files are fetched into `into`.
fn changes_before(
    job: &Job,
    into: &Path,
    directory: &Directory,
    report: &MonthlyReport,
    runtime: &Runtime,
) -> Result<Vec<String>, Failure> {
    let (config, before) = (&job.config, job.month.previous());
    let span = (before.first_day(config.month_start_day), before.last_day(config.month_start_day));
    // With another `month_start_day`, that report is about other days.
    let closed = reports::read_report(&job.state, before)?
        .filter(|closed| closed.state == Finality::Final && (closed.first_day, closed.last_day) == span);
    let Some(closed) = closed else { return Ok(Vec::new()) };
    let is_reached = |node: &&NodeConfig| {
        let was_billed = closed.nodes.iter().any(|closed| name_of(config, &closed.name) == node.name);
        was_billed && report.nodes.iter().any(|found| found.name == node.name && found.why.is_none())
    };
    let nodes: Vec<NodeConfig> = config.nodes.iter().filter(is_reached).cloned().collect();
    let months: Vec<Month> = before.calendar_months(config.month_start_day).collect();
    let into = tempfile::tempdir_in(into).context("failed to create a directory for files of the month before")?;
    // What is missing now was there when the month was closed, and is kept.
    let sources = fetch(job, None, &nodes, &months, into.path(), &mut Vec::new(), runtime)?;
    let mut outcomes = Vec::new();
    for source in sources {
        let mut figures = NodeMonth::new(&source.node, directory, before, config.month_start_day);
        add_files(&source.paths, &mut figures)?;
        outcomes.push(NodeOutcome::taken(figures));
    }
    cut_to_limits(directory, &mut outcomes);
    let mut changes = Vec::new();
    for NodeOutcome { figures, .. } in outcomes.iter().filter(|outcome| outcome.figures.newest_seal().is_some()) {
        let of_node = closed.nodes.iter().filter(|node| name_of(config, &node.name) == figures.node());
        let billed = of_node.fold(0, |sum, node| sum + u128::from(node.total.bytes()));
        let now = figures.bytes();
        if now != billed {
            let (difference, which, advice) = match now > billed {
                true => (now - billed, "more", format!("make it again with `flow-agent report --month {before}`")),
                false => (billed - now, "fewer", "the report stands; look at the node before you make it again".into()),
            };
            changes.push(format!(
                "node {}: its days of {before} have {difference} bytes {which} than the report of that month, which is \
                 closed: {advice}",
                figures.node()
            ));
        }
    }
    Ok(changes)
}

/// Fetches `months` from `nodes`, and keeps the days that are better than those kept before.
fn fetch(
    job: &Job,
    lock: Option<&ReportLock>,
    nodes: &[NodeConfig],
    months: &[Month],
    into: &Path,
    problems: &mut Vec<String>,
    runtime: &Runtime,
) -> Result<Vec<Source>, Failure> {
    if let Some(lock) = lock {
        nodes.iter().try_for_each(|node| kept::take_over(lock, node, months))?;
    }
    let arrivals = match &job.clickhouse {
        Some(client) => arrivals::from_clickhouse(client, nodes, months, into)?,
        None => {
            let rules = GatherConfig {
                known_hosts: job.config.report.known_hosts.clone(),
                deadline: job.config.report.deadline,
                months: months.to_vec(),
                add_up: MonthDays::of(job.month, job.config.month_start_day),
                into: into.to_owned(),
                known: known(&job.state, nodes, months),
            };
            arrivals::from_nodes(&rules, nodes, runtime)
        }
    };
    let mut kept = keep(lock, &arrivals)?.into_iter();
    let mut sources = Vec::new();
    for (arrival, node) in arrivals.into_iter().zip(nodes) {
        let mut source = Source {
            paths: months.iter().map(|month| path_of(&job.state, lock, &arrival, node, *month)).collect(),
            node: arrival.node,
            why: None,
            corrections: Vec::new(),
            days_refused: Vec::new(),
            losses: Vec::new(),
            found: Vec::new(),
        };
        // Without a file of one of the months, there may be one that was kept before.
        let mut is_found = arrival.files.len() == months.len();
        for file in arrival.files {
            if lock.is_some() && !file.is_kept {
                let Kept { outcomes, damages, is_as_fetched } = kept.next().expect("there is a result for each file");
                problems.extend(damages.iter().map(ToString::to_string));
                for (day, outcome) in outcomes {
                    problems.extend(source.arrival(day, outcome));
                }
                is_found &= is_as_fetched;
            }
            is_found &= file.found.is_some();
            source.found.extend(file.found);
        }
        if !is_found {
            source.found.clear();
        }
        let missing = arrival.missing.filter(|missing| !missing.is_not_due(job.config.timezone, job.now));
        source.why = missing.map(|Missing { why, help, .. }| {
            let help = help.map(|help| format!("; {help}")).unwrap_or_default();
            problems.push(format!("node {}: {why}{help}", source.node));
            why
        });
        sources.push(source);
    }
    Ok(sources)
}

/// The files that were verified when they were kept, and have not changed since.
fn known(state: &StateDir, nodes: &[NodeConfig], months: &[Month]) -> HashMap<(String, Month), KnownFile> {
    let files = nodes.iter().flat_map(|node| months.iter().map(move |month| (&node.name, *month)));
    let known = files.filter_map(|(node, month)| {
        let KeptRecord { kept, crc32c, origin, .. } = KeptRecord::read(state, node, month)?;
        let known = KnownFile { path: state.node_daily(node, month), kept, origin: origin?, crc32c };
        Some(((node.clone(), month), known))
    });
    known.collect()
}

/// Keeps the files of all nodes, in their order. Without a lock nothing is kept.
fn keep(lock: Option<&ReportLock>, arrivals: &[Arrival]) -> Result<Vec<Kept>, StoreError> {
    let Some(lock) = lock else { return Ok(Vec::new()) };
    let files = arrivals.iter().flat_map(|arrival| arrival.files.iter().map(|file| (arrival.node.as_str(), file)));
    let fetched = files.filter(|(_, file)| !file.is_kept).map(|(node, file)| Fetched {
        node,
        month: file.month,
        path: &file.path,
        verified: file.found.as_ref().map(|found| VerifiedFile {
            days: &found.days,
            crc32c: found.crc32c,
            origin: file.origin,
        }),
    });
    keep_gathered(lock, &fetched.collect::<Vec<_>>())
}

/// Checks whether nodes that were down at the end of the month have counted since, because then the last day of the
/// month is complete. Only the file of the next calendar month shows that, so it is fetched from the nodes in doubt,
/// and the month's own file once more after it. If this fails, the node is waited for. Returns the days that have lost
/// bytes.
fn follow_up<'d>(
    job: &Job,
    lock: Option<&ReportLock>,
    directory: &'d Directory,
    months: &[Month],
    into: &Path,
    outcomes: &mut [NodeOutcome<'d>],
    runtime: &Runtime,
) -> Result<Vec<String>, Failure> {
    let config = &job.config;
    let next = Month::of(job.month.last_day(config.month_start_day) + Days::new(1));
    if months.contains(&next) || calendar::day_start(config.timezone, next.first_day(1)) > job.now {
        return Ok(Vec::new());
    }
    let is_in_doubt =
        |outcome: &NodeOutcome<'_>| outcome.why.is_none() && finality::depends_on_later_days(&outcome.figures);
    let nodes = config.nodes.iter().zip(outcomes.iter()).filter(|(_, outcome)| is_in_doubt(outcome));
    let in_doubt: Vec<NodeConfig> = nodes.map(|(node, _)| node.clone()).collect();
    if in_doubt.is_empty() {
        return Ok(Vec::new());
    }
    let months: Vec<Month> = months.iter().copied().chain([next]).collect();
    let (mut problems, mut losses) = (Vec::new(), Vec::new());
    for mut source in fetch(job, lock, &in_doubt, &months, into, &mut problems, runtime)? {
        let (figures, damages) = sum(job, directory, &mut source)?;
        losses.append(&mut source.losses);
        let outcome = outcomes.iter_mut().find(|outcome| outcome.figures.node() == source.node);
        if let Some(outcome) = outcome.filter(|_| source.why.is_none() && damages.is_empty()) {
            outcome.figures = figures;
            outcome.corrections.extend(source.corrections);
            outcome.days_refused.extend(source.days_refused);
        }
    }
    for problem in problems {
        tracing::debug!("while checking the data after the month: {problem}");
    }
    Ok(losses)
}

impl Source {
    /// Notes the outcome of a gathered day, and returns what a person should know about it.
    fn arrival(&mut self, day: NaiveDate, outcome: DayOutcome) -> Option<String> {
        let node = &self.node;
        match outcome {
            DayOutcome::Written | DayOutcome::Unchanged => None,
            DayOutcome::Corrected { before, now } => {
                let correction = Correction { day, seconds_covered_before: before, seconds_covered: now };
                self.corrections.push(correction);
                Some(format!("node {node}: {day} was corrected: it now covers {now} s; before, it covered {before} s"))
            }
            DayOutcome::Decreased { bytes_before, bytes, seconds_before, seconds } => {
                self.losses.push(format!(
                    "node {node}: {day} was replaced by a later version of it with {} bytes fewer: it has {bytes} now, \
                     and had {bytes_before}",
                    bytes_before - bytes
                ));
                if seconds != seconds_before {
                    let seconds = Correction { day, seconds_covered_before: seconds_before, seconds_covered: seconds };
                    self.corrections.push(seconds);
                }
                None
            }
            DayOutcome::Kept(KeepReason::CoversMore { before, now }) => {
                self.days_refused.push(day);
                Some(format!(
                    "node {node}: {day} was refused: it covers {now} s, but the version gathered before covers \
                     {before} s and is kept; if the node is right, run `flow-agent rollup` there and report again"
                ))
            }
            DayOutcome::Kept(KeepReason::MadeLater { before }) => {
                self.days_refused.push(day);
                Some(format!(
                    "node {node}: {day} was refused: the version gathered before was made later, at {}, and is kept",
                    stamp::show(before)
                ))
            }
            // These apply only to days made on this node; a gathered day has no hourly file here.
            DayOutcome::Kept(KeepReason::HourlyGone | KeepReason::HasMoreBuckets { .. }) => None,
        }
    }
}

/// The files of a node, and what was noticed while gathering them.
struct Source {
    node: String,
    why: Option<String>,
    paths: Vec<PathBuf>,
    corrections: Vec<Correction>,
    days_refused: Vec<NaiveDate>,
    /// Days that have fewer bytes than they had.
    losses: Vec<String>,
    /// What is in those files, if all of them were verified this time; otherwise they are read.
    found: Vec<VerifiedDays>,
}

/// The kept file or, without a lock, the fetched one if there is one.
fn path_of(state: &StateDir, lock: Option<&ReportLock>, files: &Arrival, node: &NodeConfig, month: Month) -> PathBuf {
    match lock {
        // Everything is kept under this name by now.
        Some(_) => state.node_daily(&node.name, month),
        None => {
            let fetched = files.files.iter().find(|file| file.month == month);
            fetched.map_or_else(|| kept::file(state, node, month), |file| file.path.clone())
        }
    }
}

/// A private directory for fetched files, in the state directory; in the system's temporary directory for a dry run.
fn private_dir(job: &Job, lock: Option<&ReportLock>) -> Result<TempDir, Failure> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".gather-");
    let made = match lock {
        Some(lock) => {
            let nodes = lock.state().root().join("nodes");
            lock.state().create_dir(&nodes)?;
            clear_left_behind(&nodes);
            builder.tempdir_in(nodes)
        }
        None => builder.tempdir(),
    };
    Ok(made.with_context(|| format!("failed to create a directory under `{}`", job.state.root().display()))?)
}

/// Removes the files of a killed run. It is certainly over, because this run holds its lock.
#[expect(clippy::disallowed_methods, reason = "edge: files")]
fn clear_left_behind(nodes: &Path) {
    let entries = std::fs::read_dir(nodes).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(".gather-")) {
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "failed to remove files of an earlier run");
        }
    }
}

/// Adds up all nodes, one thread per processor, with one block per thread in memory.
fn sum_all<'d>(
    job: &Job,
    directory: &'d Directory,
    mut sources: Vec<Source>,
    problems: &mut Vec<String>,
) -> Result<Vec<NodeOutcome<'d>>, Failure> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(sources.len());
    let next = Mutex::new(sources.iter_mut().enumerate());
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let taken = next.lock().expect("no worker panics while it takes its next node").next();
                    let Some((index, source)) = taken else { return };
                    let summed = sum(job, directory, source);
                    results.lock().expect("no worker panics while it hands in its result").push((index, summed));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("no worker panics while it hands in its result");
    results.sort_by_key(|(index, _)| *index);
    let mut outcomes = Vec::new();
    for ((_, summed), source) in results.into_iter().zip(sources) {
        let (figures, damages) = summed?;
        let named: Vec<String> = damages.into_iter().map(|damage| format!("node {}: {damage}", source.node)).collect();
        let Source { why, corrections, days_refused, .. } = source;
        let why = why.or_else(|| named.first().cloned());
        problems.extend(named);
        outcomes.push(NodeOutcome { figures, why, corrections, days_refused });
    }
    Ok(outcomes)
}

type Summed<'d> = Result<(NodeMonth<'d>, Vec<String>), StoreError>;

fn sum<'d>(job: &Job, directory: &'d Directory, source: &mut Source) -> Summed<'d> {
    let nothing = || NodeMonth::new(&source.node, directory, job.month, job.config.month_start_day);
    if !source.found.is_empty() {
        let mut figures = nothing();
        let mut add = |found: VerifiedDays| {
            let VerifiedDays { days, sums, .. } = found;
            figures.add_file(sums, days.into_iter().map(|day| day.seal))
        };
        match std::mem::take(&mut source.found).into_iter().try_for_each(&mut add) {
            Ok(()) => return Ok((figures, Vec::new())),
            // Reading the files says which line is at fault.
            Err(error) => tracing::debug!(node = source.node, %error, "the sums of its files do not go together"),
        }
    }
    let mut figures = nothing();
    let damages = add_files(&source.paths, &mut figures)?;
    Ok((figures, damages))
}

/// The recorded block of the previous month, with current node names; `None` if its lines are damaged.
fn month_before(job: &Job) -> Result<Option<MonthBlock>, StoreError> {
    let month = job.month.previous();
    let mut last = None;
    for item in Blocks::<Monthly>::open(&job.state.monthly(month.year()))?.into_iter().flatten() {
        if let Item::Block(found) = item?
            && found.block.seal.month == month
        {
            last = Some(found.block);
        }
    }
    for line in last.iter_mut().flat_map(|block: &mut MonthBlock| &mut block.lines) {
        let by_node = std::mem::take(&mut line.by_node).into_iter();
        line.by_node = by_node.map(|(node, figures)| (name_of(&job.config, &node).to_owned(), figures)).collect();
    }
    Ok(last)
}
