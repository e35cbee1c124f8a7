//! Starts an agent: takes the locks, reads the journal, finds what is still in the kernel, and continues from there.

use std::time::Duration;

use chrono::{DateTime, FixedOffset};

use super::agent::Agent;
use super::recorder::{Beginning, Recorder, users};
use super::watched::Watched;
use crate::backend::{self, AttachPlace, Backend, BackendError, BackendOptions, Retired, Started};
use crate::clock;
use crate::commands::renamed::renamed;
use crate::config::Config;
use crate::errors::chain;
use crate::exit::{Code, Failure};
use crate::ledger::reading::Unseen;
use crate::ledger::unsealed::{Baseline, Closing, Settings};
use crate::ledger::usage::{Counted, Meter};
use crate::ports::PortOwners;
use crate::store::journal::{Journal, Recovery};
use crate::store::{RunLock, StateDir, instance, ports};

/// How long to wait for a clock that is behind the end of the journal.
const CLOCK_PATIENCE: Duration = Duration::from_secs(300);

/// Starts to count, and writes the buckets that former counters still owe.
///
/// # Errors
/// With the documented exit code. Nothing that was counted is lost.
pub async fn start(config: Config, place: AttachPlace, accept_overlap: bool) -> Result<Agent, Failure> {
    let choice = config.count.backend;
    start_with(config, place, accept_overlap, |options| backend::start(choice, options, &clock::now)).await
}

/// [`start`], with the backend that `begin` starts.
pub(super) async fn start_with(
    config: Config,
    place: AttachPlace,
    accept_overlap: bool,
    begin: impl FnOnce(&BackendOptions) -> Result<Started, BackendError>,
) -> Result<Agent, Failure> {
    let state = StateDir::new(&config.state_dir);
    let lock = state.lock_run()?;
    let instance = instance::ensure(&lock)?;
    let (journal, recovery) = Journal::open(&lock)?;
    refuse_overlap(&recovery, accept_overlap)?;
    if let Some(former) = recovery.last().map(|bucket| bucket.seal.node.as_str()).filter(|name| *name != config.node) {
        tracing::warn!("{}", renamed(&[former.to_owned()], &config.node));
    }
    let baseline = baseline(&recovery);
    wait_for_clock(&baseline).await;
    let (watched, former_owners) = watch(&config, &state)?;
    let started = begin(&options(&config, instance.clone(), place, &watched, &baseline))?;
    let counters = Counters::read(started, &baseline)?;
    let must_close = counters.is_draining();
    let last_seal = recovery.last().map(|bucket| bucket.seal.end);
    let store = Store { lock, instance, journal, last_seal };
    let recorder = counters.record(&config, &baseline, former_owners, store)?;
    Ok(Agent::begin(config, recorder, watched, must_close))
}

/// The ports to watch now, and the owners of the ports when the last agent stopped: what was counted while no agent ran
/// belongs to them.
fn watch(config: &Config, state: &StateDir) -> Result<(Watched, PortOwners), Failure> {
    let remembered = ports::read(state).unwrap_or_else(|error| {
        tracing::warn!(error = %chain(&error), "the last good port list cannot be used");
        None
    });
    let former_owners = remembered.as_ref().map(|list| list.ports.clone());
    let watched = Watched::start(config.clone(), remembered, clock::now())?;
    let former_owners = former_owners.unwrap_or_else(|| watched.owners().clone());
    Ok((watched, former_owners))
}

fn options(
    config: &Config,
    instance: String,
    place: AttachPlace,
    watched: &Watched,
    baseline: &Baseline,
) -> BackendOptions {
    BackendOptions {
        instance,
        bpffs: config.bpffs.clone(),
        interfaces: config.count.interfaces.clone(),
        allow_stacked: config.count.allow_stacked,
        count: config.count.count,
        max_ports: config.count.max_ports,
        ports: watched.owners().keys().copied().collect(),
        known_epochs: baseline.epochs(),
        newest_epoch: baseline.newest_epoch().map(str::to_owned),
        counted_before: baseline.devices(),
        last_known: baseline.last_known(),
        place,
        log: tracing::enabled!(tracing::Level::DEBUG),
    }
}

/// The state directory, with the lock that allows writing to it.
struct Store {
    lock: RunLock,
    instance: String,
    journal: Journal,
    /// The end of the newest bucket in the log.
    last_seal: Option<DateTime<FixedOffset>>,
}

/// The counters that were found at the start, and their readings.
struct Counters {
    backend: Box<dyn Backend>,
    live: Counted,
    retired: Vec<Box<dyn Retired>>,
    /// The readings of `retired`, in the same order.
    last_readings: Vec<Counted>,
    unseen: Vec<Unseen>,
}

impl Counters {
    fn read(started: Started, baseline: &Baseline) -> Result<Self, BackendError> {
        let Started { mut backend, mut retired, mut unseen, unadopted } = started;
        for path in unadopted {
            tracing::warn!(
                path = %path.display(),
                "found counters from another history of this state directory; they were not touched; `flow-agent \
                 uninstall` removes them"
            );
        }
        let mut last_readings = Vec::new();
        for set in &mut retired {
            let reading = set.read(&clock::now)?;
            unseen.extend(baseline.unseen(&reading.epoch));
            last_readings.push(Counted { identity: set.identity(), interfaces: set.interfaces(), reading });
        }
        let reading = backend.read(&clock::now)?;
        unseen.extend(baseline.unseen(&reading.epoch));
        let live = Counted { identity: backend.identity(), interfaces: backend.interfaces(), reading };
        Ok(Self { backend, live, retired, last_readings, unseen })
    }

    /// Whether ports are draining, because a predecessor stopped counting them or because they were removed while no
    /// agent ran.
    fn is_draining(&self) -> bool {
        !self.live.reading.draining.is_empty()
    }

    /// Writes what the log does not yet contain of counters that are no longer used, and continues with the live ones.
    fn record(
        self,
        config: &Config,
        baseline: &Baseline,
        mut owners: PortOwners,
        store: Store,
    ) -> Result<Recorder, Failure> {
        let Self { backend, live, retired, last_readings, unseen } = self;
        let settings = Settings { node: config.node.clone(), zone: config.timezone, bucket: config.count.bucket };
        let former_users = users(&owners);
        // Other ports have nothing in the open bucket.
        owners.retain(|port, _| live.reading.ports.contains_key(port));
        let closing = Closing { users: &former_users, unseen: &unseen, read_until: None };
        let (meter, buckets) = Meter::resume(settings, baseline, last_readings, live, closing);
        let Store { lock, instance, journal, last_seal } = store;
        let beginning = Beginning { lock, instance, journal, backend, meter, owners, unseen, last_seal };
        Recorder::begin(beginning, buckets, retired)
    }
}

fn refuse_overlap(recovery: &Recovery, accept: bool) -> Result<(), Failure> {
    for damage in &recovery.damages {
        tracing::warn!(%damage, "a part of the log does not count");
    }
    match &recovery.overlap {
        None => Ok(()),
        Some(overlap) if accept => {
            tracing::warn!(%overlap, "continuing anyway");
            Ok(())
        }
        Some(overlap) => Err(Failure::new(Code::Store, anyhow::anyhow!("{overlap}"))
            .help("restore the newer files, or continue with --accept-overlap, which counts what they held again")),
    }
}

fn baseline(recovery: &Recovery) -> Baseline {
    let mut baseline = Baseline::default();
    for bucket in recovery.epochs.values() {
        baseline.take(bucket);
    }
    baseline.set_checkpoint(recovery.checkpoint.clone());
    baseline
}

async fn wait_for_clock(baseline: &Baseline) {
    let begun_at = clock::now().boot_ns;
    let mut said = false;
    while baseline.is_ahead_of(clock::now()) {
        let waited = Duration::from_nanos(clock::now().boot_ns.saturating_sub(begun_at));
        if waited >= CLOCK_PATIENCE {
            tracing::error!("the clock is still behind the last bucket: continuing, and marking the buckets");
            return;
        }
        if !said {
            tracing::warn!("the clock is behind the last bucket: waiting for it to be set, at most five minutes");
            said = true;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
