//! Where a node's days come from: its own files, or ClickHouse. Either way they become daily files in a private
//! directory.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::thread;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use tokio::runtime::Runtime;

use super::say::Progress;
use crate::errors::chain;
use crate::exit::Failure;
use crate::fleet::days::{self, NodeDays};
use crate::fleet::{Client, FleetError};
use crate::gather::{DailyFile, FetchError, GatherConfig, GatherError, NodeConfig, NodeFiles, gather};
use crate::ledger::calendar;
use crate::ledger::month::Month;
use crate::ledger::statement::check_day;

/// Where the days come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum From {
    // No doc comments here: each would become a paragraph of `report --help`.
    #[default]
    Scp,
    Clickhouse,
}

/// How many nodes are read from ClickHouse at a time.
const AT_A_TIME: usize = 4;

/// What arrived from one node.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) node: String,
    pub(super) files: Vec<DailyFile>,
    pub(super) missing: Option<Missing>,
}

/// Why some of it is missing.
#[derive(Debug)]
pub(super) struct Missing {
    pub(super) why: String,
    pub(super) help: Option<String>,
    /// There is nothing for this calendar month, which is normal before its first day is over.
    absent: Option<Month>,
}

impl Missing {
    /// Whether the only reason is that no day of the calendar month is over yet.
    pub(super) fn is_not_due(&self, zone: Tz, now: DateTime<Utc>) -> bool {
        self.absent.is_some_and(|month| calendar::day_end(zone, month.first_day(1)) > now)
    }
}

/// Fetches daily files over ssh.
pub(super) fn from_nodes(rules: &GatherConfig, nodes: &[NodeConfig], runtime: &Runtime) -> Vec<Arrival> {
    let progress = Progress::new(nodes.iter().map(|node| node.name.as_str()));
    let gathered = runtime.block_on(gather(rules, nodes, |files| progress.done(&files.node)));
    progress.finish();
    gathered.into_iter().map(arrival).collect()
}

fn arrival(files: NodeFiles) -> Arrival {
    let missing = files.error.map(|error| {
        let absent = match &error {
            GatherError::Fetch(FetchError::Absent { path }) => {
                path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok())
            }
            _ => None,
        };
        Missing { why: chain(&error), help: error.help(&files.node), absent }
    });
    Arrival { node: files.node, files: files.files, missing }
}

/// Makes daily files for `months` in `into` from what ClickHouse holds, in the order of the nodes.
///
/// # Errors
/// When a file cannot be written. What ClickHouse lacks is missing, as from a node that cannot be reached.
pub(super) fn from_clickhouse(
    client: &Client,
    nodes: &[NodeConfig],
    months: &[Month],
    into: &Path,
) -> Result<Vec<Arrival>, Failure> {
    let progress = Mutex::new(Progress::new(nodes.iter().map(|node| node.name.as_str())));
    let next = Mutex::new(nodes.iter().enumerate());
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(nodes.len()) {
            scope.spawn(|| {
                loop {
                    let taken = next.lock().expect("no worker panics while it takes its next node").next();
                    let Some((index, node)) = taken else { return };
                    let arrived = node_from_clickhouse(client, node, months, into);
                    progress.lock().expect("no worker panics while it says that it is done").done(&node.name);
                    results.lock().expect("no worker panics while it hands in its result").push((index, arrived));
                }
            });
        }
    });
    progress.into_inner().expect("no worker panics while it says that it is done").finish();
    let mut results = results.into_inner().expect("no worker panics while it hands in its result");
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, arrived)| arrived).collect()
}

fn node_from_clickhouse(client: &Client, node: &NodeConfig, months: &[Month], into: &Path) -> Result<Arrival, Failure> {
    let mut arrival = Arrival { node: node.name.clone(), files: Vec::new(), missing: None };
    for month in months {
        let (first, last) = (month.first_day(1), month.last_day(1));
        let wanted = NodeDays { node: &node.name, aliases: &node.aliases, first, last };
        let found = match days::read(client, &wanted) {
            Ok(found) => found,
            // The days that were gathered before are kept. Other months may be in order.
            Err(error @ FleetError::TwoMachines { .. }) => {
                arrival.missing = Some(failed(&error));
                continue;
            }
            Err(error) => {
                arrival.missing = Some(failed(&error));
                break;
            }
        };
        if found.days.is_empty() {
            let why = format!("ClickHouse has no data from it for {month}");
            let help = Some("on the node, check that flow-agent-ship.service is running, and `fleet.node`".to_owned());
            arrival.missing = arrival.missing.or(Some(Missing { why, help, absent: Some(*month) }));
            continue;
        }
        if !found.problems.is_empty() {
            let help = Some("`flow-agent fleet status` lists the alarms".to_owned());
            arrival.missing = Some(Missing { why: found.problems.join("; "), help, absent: None });
        }
        let mut text = String::new();
        for mut day in found.days {
            if let Err(error) = check_day(&day) {
                let why = format!("{}: {}", day.seal.day, chain(&error));
                arrival.missing = Some(Missing { why, help: None, absent: None });
                continue;
            }
            text += &day.encode();
        }
        let path = into.join(format!("{}-{month}.jsonl", node.name));
        fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
        arrival.files.push(DailyFile { month: *month, path, found: None, origin: None, is_kept: false });
    }
    Ok(arrival)
}

fn failed(error: &FleetError) -> Missing {
    Missing { why: chain(error), help: error.help(), absent: None }
}
