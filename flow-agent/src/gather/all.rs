//! Gathers from all nodes, several at a time, each within a time limit.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout, timeout_at};

use super::error::{FetchError, GatherError};
use super::local::LocalFetcher;
use super::open_day::{self, OpenDay};
use super::scp::{CopyProgram, Remote, ScpFetcher, client};
use super::settings::{NodeConfig, NodeSource};
use super::{LogFetcher, OPEN_DAY, file_name};
use crate::ledger::month::Month;

/// How many nodes are fetched from at a time.
const AT_A_TIME: usize = 8;

/// The time limit for all nodes together, as a multiple of the limit for one.
const DEADLINE_OF_ALL: u32 = 6;

/// What to gather, and under which rules.
#[derive(Clone, Debug)]
pub struct GatherConfig {
    pub known_hosts: PathBuf,
    /// The time limit for one node.
    pub deadline: Duration,
    /// Calendar months, in order.
    pub months: Vec<Month>,
    /// A private directory for the fetched files.
    pub into: PathBuf,
}

/// A daily file that was fetched and is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyFile {
    pub month: Month,
    pub path: PathBuf,
}

/// What was fetched from one node.
#[derive(Debug)]
pub struct NodeFiles {
    /// Its name in our configuration.
    pub node: String,
    /// The files that are complete.
    pub files: Vec<DailyFile>,
    /// Why some are missing, if any are.
    pub error: Option<GatherError>,
}

/// Fetches the files of all `nodes`, and returns the results in the same order. `done` is called for every node that is
/// finished.
pub async fn gather(config: &GatherConfig, nodes: &[NodeConfig], done: impl Fn(&NodeFiles)) -> Vec<NodeFiles> {
    let is_remote = nodes.iter().any(|node| matches!(node.source, NodeSource::Ssh { .. }));
    let client = if is_remote { client().await.0 } else { CopyProgram::Scp };
    let shared = Arc::new(Shared {
        client,
        config: config.clone(),
        places: Semaphore::new(AT_A_TIME),
        verifying: Arc::new(Semaphore::new(1)),
        until: Instant::now() + config.deadline * DEADLINE_OF_ALL,
    });
    let mut tasks = JoinSet::new();
    for (index, node) in nodes.iter().cloned().enumerate() {
        let shared = Arc::clone(&shared);
        tasks.spawn(async move { (index, one(&shared, &node).await) });
    }
    let mut gathered: Vec<Option<NodeFiles>> = nodes.iter().map(|_| None).collect();
    while let Some(ended) = tasks.join_next().await {
        let (index, files) = ended.expect("gathering does not panic and is not cancelled");
        done(&files);
        gathered[index] = Some(files);
    }
    gathered.into_iter().flatten().collect()
}

struct Shared {
    client: CopyProgram,
    config: GatherConfig,
    places: Semaphore,
    /// One file is verified at a time, because that may take as much memory as a reader allows for a block.
    verifying: Arc<Semaphore>,
    until: Instant,
}

async fn one(shared: &Arc<Shared>, node: &NodeConfig) -> NodeFiles {
    let mut files = Vec::new();
    let deadline = shared.config.deadline;
    let work = async {
        let _place = shared.places.acquire().await.expect("the semaphore is never closed");
        fetch_all(shared, node, &mut files).await
    };
    let error = match timeout_at(shared.until, work).await {
        Ok(result) => result.err(),
        Err(_elapsed) => Some(GatherError::DeadlineOfAll { deadline: deadline * DEADLINE_OF_ALL }),
    };
    NodeFiles { node: node.name.clone(), files, error }
}

/// Fetches all months of one node. Complete files are kept even if another month fails; the error is that of the oldest
/// month.
///
/// The open day is fetched before them: when it ends meanwhile, it is in the file of its month, so that it is neither
/// missing nor counted twice. The newest month is fetched next: if its file shows that the node has gone on to a later month, the files that are
/// fetched after it contain everything that the node had counted until then.
async fn fetch_all(shared: &Arc<Shared>, node: &NodeConfig, files: &mut Vec<DailyFile>) -> Result<(), GatherError> {
    let fetcher = fetcher(shared, node);
    let mut result = Ok(());
    let mut time = Allowance { deadline: shared.config.deadline, left: shared.config.deadline };
    let open = match fetch_open_day(shared, node, fetcher.as_ref(), &mut time).await {
        Ok(open) => open,
        Err(error @ GatherError::Deadline { .. }) => return Err(error),
        Err(error) => {
            result = Err(error);
            None
        }
    };
    for month in shared.config.months.iter().rev() {
        match fetch_one(shared, node, fetcher.as_ref(), *month, open.clone(), &mut time).await {
            Ok(file) => files.push(file),
            Err(error @ GatherError::Deadline { .. }) => return Err(error),
            Err(error) => result = Err(error),
        }
    }
    result
}

/// The file of the open day; `None` if the node has none, as older versions do.
async fn fetch_open_day(
    shared: &Arc<Shared>,
    node: &NodeConfig,
    fetcher: &dyn LogFetcher,
    time: &mut Allowance,
) -> Result<Option<OpenDay>, GatherError> {
    let path = shared.config.into.join(format!("{}-{OPEN_DAY}", node.name));
    match time.spend(fetcher.fetch(OPEN_DAY, &path)).await? {
        Err(FetchError::Absent { .. }) => return Ok(None),
        other => other?,
    }
    let (names, turn) = (names_of(node), shared.turn().await);
    time.spend(verifying(turn, move || OpenDay::open(path, &names))).await?.map(Some)
}

async fn fetch_one(
    shared: &Arc<Shared>,
    node: &NodeConfig,
    fetcher: &dyn LogFetcher,
    month: Month,
    open: Option<OpenDay>,
    time: &mut Allowance,
) -> Result<DailyFile, GatherError> {
    let path = shared.config.into.join(format!("{}-{}", node.name, file_name(month)));
    let is_there = match time.spend(fetcher.fetch(&file_name(month), &path)).await? {
        // On the first day on which a node counts in a month, there is only the open day.
        Err(FetchError::Absent { .. }) if open.as_ref().is_some_and(|open| open.has_days_of(month)) => false,
        other => other.map(|()| true)?,
    };
    let (names, fetched, turn) = (names_of(node), path.clone(), shared.turn().await);
    let complete = move || open_day::complete(&fetched, is_there, &names, month, open.as_ref());
    time.spend(verifying(turn, complete)).await??;
    Ok(DailyFile { month, path })
}

/// The names under which the node may have made its days.
fn names_of(node: &NodeConfig) -> Vec<String> {
    std::iter::once(&node.name).chain(&node.aliases).cloned().collect()
}

impl Shared {
    /// Waits until no other file is verified. That time does not count against the node.
    async fn turn(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.verifying).acquire_owned().await.expect("the semaphore is never closed")
    }
}

/// Does `work` on another thread, and then ends its turn.
async fn verifying<T: Send + 'static>(turn: OwnedSemaphorePermit, work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = spawn_blocking(move || {
        let _turn = turn;
        work()
    });
    done.await.expect("verifying does not panic and is not cancelled")
}

/// The time that one node may still take, not counting what it waits for others.
struct Allowance {
    deadline: Duration,
    left: Duration,
}

impl Allowance {
    /// Waits for `work`, but no longer than the time that is left.
    async fn spend<T>(&mut self, work: impl Future<Output = T>) -> Result<T, GatherError> {
        let began = Instant::now();
        let done = timeout(self.left, work).await;
        self.left = self.left.saturating_sub(began.elapsed());
        done.map_err(|_elapsed| GatherError::Deadline { deadline: self.deadline })
    }
}

fn fetcher(shared: &Shared, node: &NodeConfig) -> Box<dyn LogFetcher> {
    let state_dir = node.state_dir.clone();
    match &node.source {
        NodeSource::Local => Box::new(LocalFetcher { state_dir }),
        NodeSource::Ssh { host, user, port, identity_file } => Box::new(ScpFetcher {
            client: shared.client,
            remote: Remote {
                host: host.clone(),
                user: user.clone(),
                port: *port,
                identity_file: identity_file.clone(),
                known_hosts: shared.config.known_hosts.clone(),
            },
            state_dir,
        }),
    }
}
