//! Gathers from all nodes, several at a time, each within a time limit.

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout, timeout_at};

use super::error::{FetchError, GatherError};
use super::found::VerifiedDays;
use super::known::KnownFile;
use super::local::LocalFetcher;
use super::open_day::{self, OpenDay};
use super::scp::{CopyProgram, Remote, ScpFetcher, client};
use super::settings::{NodeConfig, NodeSource};
use super::{LogFetcher, OPEN_DAY, file_name};
use crate::guarded::FileIdentity;
use crate::ledger::block::{BlockKind as _, Daily};
use crate::ledger::month::Month;
use crate::ledger::statement::MonthDays;

/// How many nodes are fetched from at a time.
const AT_A_TIME: usize = 8;

/// How much memory files may take while they are verified, in KiB: two blocks of the maximum size. A file never takes
/// more than its length, so that of usual files one is verified on each processor.
const VERIFYING_KIB: usize = (2 * Daily::MAX_BYTES) >> 10;

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
    /// The days that are added up.
    pub add_up: MonthDays,
    /// A private directory for the fetched files.
    pub into: PathBuf,
    /// The files that were kept before, by the node's name and the month.
    pub known: HashMap<(String, Month), KnownFile>,
}

/// A daily file that was fetched and is complete.
#[derive(Debug)]
pub struct DailyFile {
    pub month: Month,
    pub path: PathBuf,
    /// `None` if the file has to be read to know.
    pub found: Option<VerifiedDays>,
    /// What the file on the node was, where that can be known.
    pub origin: Option<FileIdentity>,
    /// This is the file that was kept before: it has not changed, nor has that on the node.
    pub is_kept: bool,
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
/// finished. A file is verified while others are fetched.
pub async fn gather(config: &GatherConfig, nodes: &[NodeConfig], done: impl Fn(&NodeFiles)) -> Vec<NodeFiles> {
    let is_remote = nodes.iter().any(|node| matches!(node.source, NodeSource::Ssh { .. }));
    let client = if is_remote { client().await.0 } else { CopyProgram::Scp };
    let shared = Arc::new(Shared {
        client,
        config: config.clone(),
        places: Semaphore::new(AT_A_TIME),
        processors: Arc::new(Semaphore::new(thread::available_parallelism().map_or(1, usize::from))),
        memory: Arc::new(Semaphore::new(VERIFYING_KIB)),
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
    /// One file is verified on each processor at a time,
    processors: Arc<Semaphore>,
    /// and all of them within [`VERIFYING_KIB`].
    memory: Arc<Semaphore>,
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
        other => _ = other?,
    }
    let (names, add_up, turn) = (names_of(node), shared.config.add_up, shared.turn(&path).await);
    time.spend(verifying(turn, move || OpenDay::open(path, &names, add_up))).await?.map(Some)
}

async fn fetch_one(
    shared: &Arc<Shared>,
    node: &NodeConfig,
    fetcher: &dyn LogFetcher,
    month: Month,
    open: Option<OpenDay>,
    time: &mut Allowance,
) -> Result<DailyFile, GatherError> {
    if open.as_ref().is_none_or(|open| !open.has_days_of(month))
        && let Some(file) = unchanged(shared, node, month, time).await?
    {
        return Ok(file);
    }
    let path = shared.config.into.join(format!("{}-{}", node.name, file_name(month)));
    let mut origin = None;
    let is_there = match time.spend(fetcher.fetch(&file_name(month), &path)).await? {
        // On the first day on which a node counts in a month, there is only the open day.
        Err(FetchError::Absent { .. }) if open.as_ref().is_some_and(|open| open.has_days_of(month)) => false,
        other => {
            origin = other?;
            true
        }
    };
    let (names, fetched, add_up) = (names_of(node), path.clone(), shared.config.add_up);
    let turn = shared.turn(&path).await;
    let complete = move || open_day::complete(&fetched, is_there, &names, month, open.as_ref(), add_up);
    let found = time.spend(verifying(turn, complete)).await??;
    Ok(DailyFile { month, path, found, origin, is_kept: false })
}

/// The file that was kept of a node on this machine, if nothing has changed since.
async fn unchanged(
    shared: &Arc<Shared>,
    node: &NodeConfig,
    month: Month,
    time: &mut Allowance,
) -> Result<Option<DailyFile>, GatherError> {
    let known = match node.source {
        NodeSource::Local => shared.config.known.get(&(node.name.clone(), month)),
        NodeSource::Ssh { .. } => None,
    };
    let Some(known) = known.cloned() else { return Ok(None) };
    let (source, kept) = (node.state_dir.join("daily").join(file_name(month)), known.clone());
    // The node's disk may hang, so nobody else's turn may wait for it.
    let is_copy = spawn_blocking(move || kept.is_copy_of(&source));
    if !time.spend(is_copy).await?.expect("comparing does not panic and is not cancelled") {
        return Ok(None);
    }
    let (names, add_up, path) = (names_of(node), shared.config.add_up, known.path.clone());
    let turn = shared.turn(&path).await;
    let found = time.spend(verifying(turn, move || known.found(&names, month, add_up))).await?;
    Ok(found.map(|found| DailyFile { month, path, found: Some(found), origin: None, is_kept: true }))
}

/// The names under which the node may have made its days.
fn names_of(node: &NodeConfig) -> Vec<String> {
    std::iter::once(&node.name).chain(&node.aliases).cloned().collect()
}

/// The right to verify a file.
struct Turn {
    _processor: OwnedSemaphorePermit,
    _memory: OwnedSemaphorePermit,
}

impl Shared {
    /// Waits until there is a processor and memory for verifying the file at `path`. That time does not count against the
    /// node.
    async fn turn(&self, path: &Path) -> Turn {
        let bytes = tokio::fs::metadata(path).await.map_or(0, |file| file.len());
        let kib = usize::try_from(bytes).unwrap_or(usize::MAX).min(Daily::MAX_BYTES).div_ceil(1 << 10);
        let kib = u32::try_from(kib).expect("a block is far smaller than 2^32 KiB");
        let never_closed = "the semaphore is never closed";
        Turn {
            _processor: Arc::clone(&self.processors).acquire_owned().await.expect(never_closed),
            _memory: Arc::clone(&self.memory).acquire_many_owned(kib).await.expect(never_closed),
        }
    }
}

/// Does `work` on another thread, and then ends its turn.
async fn verifying<T: Send + 'static>(turn: Turn, work: impl FnOnce() -> T + Send + 'static) -> T {
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
