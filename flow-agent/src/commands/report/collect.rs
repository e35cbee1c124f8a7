//! From the nodes' files to the figures of a month.

use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use anyhow::Context as _;
use tempfile::TempDir;

use super::Job;
use super::say::Progress;
use crate::config::Config;
use crate::errors::chain;
use crate::exit::Failure;
use crate::gather::{FetchError, GatherConfig, GatherError, NodeConfig, NodeFiles, NodeSource, gather};
use crate::ledger::block::{Daily, MonthBlock, Monthly};
use crate::ledger::calendar;
use crate::ledger::month::Month;
use crate::ledger::statement::{Basis, Directory, MonthlyReport, NodeMonth, NodeOutcome, assemble};
use crate::ledger::user::User;
use crate::store::blocks::{Blocks, Item};
use crate::store::damage::Damage;
use crate::store::table::put_gathered;
use crate::store::{ReportLock, StateDir, StoreError};

/// The figures of a month, and what a person should know about how they came together.
pub(super) struct Collected {
    pub(super) report: MonthlyReport,
    pub(super) problems: Vec<String>,
}

/// The node that this machine is, where the configuration names none.
pub(super) fn this_node(config: &Config) -> NodeConfig {
    NodeConfig {
        name: config.node.clone(),
        aliases: Vec::new(),
        source: NodeSource::Local,
        state_dir: config.state_dir.clone(),
    }
}

/// The users of the configuration; a node's alias in their limits is that node.
pub(super) fn directory(config: &Config) -> Directory {
    let name_of = |node: &String| {
        let found = config.nodes.iter().find(|candidate| candidate.aliases.contains(node));
        found.map_or_else(|| node.clone(), |found| found.name.clone())
    };
    let on_nodes = |user: &User| User { nodes: user.nodes.iter().map(name_of).collect(), ..user.clone() };
    Directory::new(config.users.iter().map(on_nodes).collect())
}

/// Gathers, keeps what is better than what was kept (with `lock`; without it nothing is written), and adds up.
pub(super) async fn collect(job: &Job, lock: Option<&ReportLock>, directory: &Directory) -> Result<Collected, Failure> {
    let config = &job.config;
    let months: Vec<Month> = job
        .month
        .calendar_months(config.month_start_day)
        .filter(|month| calendar::day_start(config.timezone, month.first_day(1)) <= job.now)
        .collect();
    let into = private_dir(job, lock)?;
    let rules = GatherConfig {
        known_hosts: config.report.known_hosts.clone(),
        deadline: config.report.deadline,
        months: months.clone(),
        into: into.path().to_owned(),
    };
    let progress = Progress::new(config.nodes.len());
    let gathered = gather(&rules, &config.nodes, |files| progress.done(&files.node)).await;
    progress.finish();

    let mut problems = Vec::new();
    let mut sources = Vec::new();
    for files in gathered {
        if let Some(lock) = lock {
            for file in &files.files {
                let (_, damages) = put_gathered(lock, &files.node, file.month, &file.path)?;
                problems.extend(damages.iter().map(ToString::to_string));
            }
        }
        let why = files.error.as_ref().filter(|error| !is_not_due(job, error)).map(|error| {
            let why = chain(error);
            let help = error.help(&files.node).map(|help| format!("; {help}")).unwrap_or_default();
            problems.push(format!("node {}: {why}{help}", files.node));
            why
        });
        let paths = months.iter().map(|month| path_of(&job.state, lock, &files, *month)).collect();
        sources.push(Source { node: files.node, why, paths });
    }
    let outcomes = sum_all(job, directory, &sources, &mut problems)?;
    let before = read_month(&job.state, job.month.previous())?;
    let basis = Basis {
        month: job.month,
        month_start_day: config.month_start_day,
        zone: config.timezone,
        now: job.now,
        billed: config.report.billed,
        price: config.report.price.as_ref(),
        directory,
        before: before.as_ref(),
    };
    Ok(Collected { report: assemble(&basis, outcomes), problems })
}

/// Where a node's figures are read from.
struct Source {
    node: String,
    why: Option<String>,
    paths: Vec<PathBuf>,
}

/// What is kept, or without a lock what was fetched, where it was.
fn path_of(state: &StateDir, lock: Option<&ReportLock>, files: &NodeFiles, month: Month) -> PathBuf {
    let fetched = files.files.iter().find(|file| file.month == month).filter(|_| lock.is_none());
    fetched.map_or_else(|| state.node_daily(&files.node, month), |file| file.path.clone())
}

/// A file of a calendar month of which no day is over yet need not be there.
fn is_not_due(job: &Job, error: &GatherError) -> bool {
    let GatherError::Fetch(FetchError::Absent { path }) = error else { return false };
    let month: Option<Month> = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
    month.is_some_and(|month| calendar::day_end(job.config.timezone, month.first_day(1)) > job.now)
}

/// On the disk of the state directory, where there is room for what comes; a run that writes nothing there: elsewhere.
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
    Ok(made.with_context(|| format!("failed to make a directory under `{}`", job.state.root().display()))?)
}

/// Removes what a run left that was killed; the lock says that it does not run any more.
#[expect(clippy::disallowed_methods, reason = "edge: files")]
fn clear_left_behind(nodes: &std::path::Path) {
    let entries = std::fs::read_dir(nodes).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(".gather-")) {
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(path = %entry.path().display(), %error, "failed to remove what an earlier run left");
        }
    }
}

/// Adds up all nodes, as many at a time as there are processors: one block of each is in memory.
fn sum_all<'d>(
    job: &Job,
    directory: &'d Directory,
    sources: &[Source],
    problems: &mut Vec<String>,
) -> Result<Vec<NodeOutcome<'d>>, Failure> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(sources.len());
    let next = Mutex::new(sources.iter().enumerate());
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
        let why = source.why.clone().or_else(|| named.first().cloned());
        problems.extend(named);
        outcomes.push(NodeOutcome { figures, why });
    }
    Ok(outcomes)
}

type Summed<'d> = Result<(NodeMonth<'d>, Vec<String>), StoreError>;

fn sum<'d>(job: &Job, directory: &'d Directory, source: &Source) -> Summed<'d> {
    let mut figures = NodeMonth::new(&source.node, directory, job.month, job.config.month_start_day);
    let mut damages = Vec::new();
    for path in &source.paths {
        for item in Blocks::<Daily>::open(path)?.into_iter().flatten() {
            match item? {
                Item::Block(found) => {
                    if let Err(error) = figures.add(&found.block) {
                        damages.push(format!("{}:{}: {error}", path.display(), found.line));
                    }
                }
                Item::Damage(damage) => damages.push(Damage::of_block(path, &damage).to_string()),
                Item::Tail(tail) => damages.push(Damage::of_block(path, &tail.damage).to_string()),
            }
        }
    }
    Ok((figures, damages))
}

/// What is kept of a month; nothing where its lines are damaged.
fn read_month(state: &StateDir, month: Month) -> Result<Option<MonthBlock>, StoreError> {
    let mut last = None;
    for item in Blocks::<Monthly>::open(&state.monthly(month.year()))?.into_iter().flatten() {
        if let Item::Block(found) = item?
            && found.block.seal.month == month
        {
            last = Some(found.block);
        }
    }
    Ok(last)
}
