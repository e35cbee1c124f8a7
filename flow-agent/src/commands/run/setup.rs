//! The start: locks, what the journal says, what is still in the kernel, and from there on.

use std::collections::VecDeque;
use std::time::Duration;

use super::agent::{Agent, users};
use super::day_rollups::DayRollups;
use super::nat::NatWatch;
use super::outbox::{Outbox, Then};
use super::timers::Timers;
use super::unseen::UnseenList;
use super::watched::Watched;
use crate::backend::{self, BackendError, Options, Place, Retired, Started};
use crate::clock;
use crate::config::Config;
use crate::errors::chain;
use crate::exit::{Code, Failure};
use crate::ledger::usage::{Baseline, Closing, Counted, Meter, Settings};
use crate::store::journal::{Journal, Recovery};
use crate::store::{StateDir, instance, ports};

/// A clock that lies before the journal's end is waited for this long.
const CLOCK_PATIENCE: Duration = Duration::from_secs(300);

/// Starts to count, and writes what is owed of former counters.
///
/// # Errors
/// With the documented exit code; nothing that was counted is lost.
pub async fn start(config: Config, place: Place, accept_overlap: bool) -> Result<Agent, Failure> {
    let choice = config.count.backend;
    start_with(config, place, accept_overlap, |options| backend::start(choice, options, &clock::now)).await
}

/// [`start`], with the backend that `begin` starts.
pub(super) async fn start_with(
    config: Config,
    place: Place,
    accept_overlap: bool,
    begin: impl FnOnce(&Options) -> Result<Started, BackendError>,
) -> Result<Agent, Failure> {
    let state = StateDir::new(&config.state_dir);
    let lock = state.lock_run()?;
    let instance = instance::ensure(&lock)?;
    let (journal, recovery) = Journal::open(&lock)?;
    refuse_overlap(&recovery, accept_overlap)?;
    let baseline = baseline(&recovery);
    wait_for_clock(&baseline).await;

    let remembered = ports::read(&state).unwrap_or_else(|error| {
        tracing::warn!(error = %chain(&error), "the last good port list cannot be used");
        None
    });
    // What was counted while nobody was here belongs to those who had the ports when the last agent left.
    let former_owners = remembered.as_ref().map(|list| list.ports.clone());
    let watched = Watched::start(config.clone(), remembered, clock::now())?;
    let owners = watched.owners().clone();

    let options = Options {
        instance,
        bpffs: config.bpffs.clone(),
        interfaces: config.count.interfaces.clone(),
        count: config.count.count,
        max_ports: config.count.max_ports,
        ports: owners.keys().copied().collect(),
        known_epochs: baseline.epochs(),
        last_known: baseline.last_known(),
        place,
        log: tracing::enabled!(tracing::Level::DEBUG),
    };
    let Started { mut backend, retired, mut unseen, unadopted } = begin(&options)?;
    for path in unadopted {
        tracing::warn!(
            path = %path.display(),
            "counters of another history of this state directory: left alone; `flow-agent uninstall` removes them"
        );
    }

    let mut sets: Vec<Box<dyn Retired>> = Vec::new();
    let mut last_readings = Vec::new();
    for mut set in retired {
        let reading = set.read(&clock::now)?;
        unseen.extend(baseline.unseen(&reading.epoch));
        last_readings.push(Counted { identity: set.identity(), interfaces: set.interfaces(), reading });
        sets.push(set);
    }
    let reading = backend.read(&clock::now)?;
    unseen.extend(baseline.unseen(&reading.epoch));
    let must_close = !reading.draining.is_empty();
    let live = Counted { identity: backend.identity(), interfaces: backend.interfaces(), reading };
    let settings = Settings { node: config.node.clone(), zone: config.timezone, bucket: config.count.bucket };
    let mut in_force = former_owners.unwrap_or_else(|| owners.clone());
    let former_users = users(&in_force);
    // Others have nothing in the open bucket.
    in_force.retain(|port, _| live.reading.ports.contains_key(port));
    let closing = Closing { users: &former_users, unseen: &unseen };
    let (meter, buckets) = Meter::resume(settings, &baseline, last_readings, live, closing);

    let mut outbox = Outbox::new(journal);
    for bucket in buckets {
        let behind = sets.iter().position(|set| set.identity().epoch == bucket.seal.epoch);
        let then = behind.map_or(Then::Nothing, |index| Then::Delete(sets.remove(index)));
        outbox.push(bucket, then);
    }
    outbox.write_all(backend.as_mut())?;
    for set in sets {
        // Its last reading is sealed already, or there was nothing in it.
        set.delete()?;
    }
    let timers = Timers::start(clock::now(), &config);
    let mut list = UnseenList::default();
    list.add(unseen);
    let (owners, unseen, replaced, nat) = (in_force, list, VecDeque::new(), NatWatch::default());
    let rollups = DayRollups::default();
    let mut agent =
        Agent { config, lock, backend, meter, watched, owners, outbox, unseen, replaced, nat, rollups, timers };
    if must_close {
        // A predecessor stopped counting ports and left, or ports went while nobody was here.
        agent.close();
    }
    agent.apply_ports();
    agent.remember_ports();
    agent.checkpoint();
    Ok(agent)
}

fn refuse_overlap(recovery: &Recovery, accept: bool) -> Result<(), Failure> {
    for damage in &recovery.damages {
        tracing::warn!(%damage, "a part of the log does not count");
    }
    match &recovery.overlap {
        None => Ok(()),
        Some(overlap) if accept => {
            tracing::warn!(%overlap, "going on all the same");
            Ok(())
        }
        Some(overlap) => Err(Failure::new(Code::Store, anyhow::anyhow!("{overlap}"))
            .help("put the newer files back, or go on with --accept-overlap: what they held is then counted again")),
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
            tracing::error!("the clock lies before the last bucket still: going on, and marking the buckets");
            return;
        }
        if !said {
            tracing::warn!("the clock lies before the last bucket: waiting for it to be set, five minutes at most");
            said = true;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
