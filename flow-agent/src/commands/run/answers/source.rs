//! The answers of a running agent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::asks::{Asking, NoAnswer, Snapshot};
use super::document;
use super::log_sums::{Dates, LogSums};
use super::turn::Turn;
use crate::answer::{Answer, Question, Source};
use crate::config::Config;
use crate::errors::chain;
use crate::ledger::calendar::local;
use crate::ledger::counters::Counters;
use crate::ledger::now::{Health, Now, VERSION};
use crate::ledger::rate::RateSamples;
use crate::ledger::reading::Moment;
use crate::store::{StateDir, StoreError};

/// The counting thread is left alone between two readings for at least this long, and for four times as long as the last
/// one took (with iptables, programs are run), but no longer than [`LONGEST_PAUSE`].
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Asks the counting thread, and reads the log.
pub struct AgentSource(Arc<Known>);

/// What every answer needs.
struct Known {
    config: Config,
    state: StateDir,
    asking: Asking,
    since: Moment,
    /// What the log said last.
    sums: Mutex<Option<Arc<LogSums>>>,
    rates: Mutex<RateSamples>,
    now: Turn,
    /// When the next reading may be taken.
    next_reading: tokio::sync::Mutex<Option<Instant>>,
}

impl AgentSource {
    /// Answers for an agent that started at `since`.
    pub fn new(config: Config, asking: Asking, since: Moment) -> Self {
        let state = StateDir::new(&config.state_dir);
        Self(Arc::new(Known {
            config,
            state,
            asking,
            since,
            sums: Mutex::default(),
            rates: Mutex::default(),
            now: Turn::default(),
            next_reading: tokio::sync::Mutex::default(),
        }))
    }
}

impl Source for AgentSource {
    async fn answer(&self, question: Question) -> Answer {
        match question {
            Question::Now => self.0.now.answer(async || now(Arc::clone(&self.0)).await).await,
            Question::Health => health(&self.0).await,
            Question::Metrics => Answer::problem(404, "no metrics yet"),
        }
    }
}

async fn now(known: Arc<Known>) -> Answer {
    let snapshot = match known.read().await {
        Ok(snapshot) => snapshot,
        Err(error) => return unavailable(&error),
    };
    let made = spawn_blocking(move || known.now(&snapshot).map(|now| json(200, &now)));
    match made.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::problem(500, &chain(&error)),
        Err(error) => Answer::problem(500, &error.to_string()),
    }
}

impl Known {
    /// A fresh reading. Never so often that the counting thread is busy with it.
    async fn read(&self) -> Result<Snapshot, NoAnswer> {
        let mut next_reading = self.next_reading.lock().await;
        if let Some(at) = *next_reading {
            sleep_until(at).await;
        }
        let begun_at = Instant::now();
        let snapshot = self.asking.snapshot().await;
        let ended_at = Instant::now();
        *next_reading = Some(ended_at + (4 * (ended_at - begun_at)).clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
        snapshot
    }

    fn now(&self, snapshot: &Snapshot) -> Result<Now, StoreError> {
        let dates = Dates::of(self.config.timezone, self.config.month_start_day, snapshot.state.at.wall);
        // The numbers of those that wait come right before that of the open bucket.
        let before_open = snapshot.open.seal.seq.unwrap_or_default().saturating_sub(1);
        let through = before_open.saturating_sub(snapshot.waiting.len() as u64);
        let sums = self.sums(dates, through)?;
        let totals = snapshot.open.lines.iter().filter_map(|line| Some((line.port, Counters::from_array(line.total?))));
        let mut samples = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let rates = samples.add(&snapshot.open.seal.epoch, snapshot.state.at.boot_ns, &totals.collect());
        drop(samples);
        Ok(document::now(&self.config, self.since, snapshot, &sums, &rates))
    }

    /// What the log says up to the bucket `through`; it is read again only where that is another than the last time.
    fn sums(&self, dates: Dates, through: u64) -> Result<Arc<LogSums>, StoreError> {
        let mut kept = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sums) = kept.as_ref().filter(|sums| sums.dates == dates && sums.through == through) {
            return Ok(Arc::clone(sums));
        }
        let sums = Arc::new(LogSums::read(&self.state, dates, through)?);
        *kept = Some(Arc::clone(&sums));
        Ok(sums)
    }
}

async fn health(known: &Known) -> Answer {
    let mut health = Health {
        v: VERSION,
        healthy: false,
        node: known.config.node.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at: None,
        attached: None,
        last_seal: None,
        waiting: None,
        problems: Vec::new(),
    };
    match known.asking.state().await {
        Err(error) => health.problems.push(error.to_string()),
        Ok(state) => {
            health.at = Some(local(known.config.timezone, state.at.wall));
            health.attached = Some(state.attached);
            health.last_seal = state.last_seal;
            health.waiting = Some(state.waiting);
            if !state.attached {
                health.problems.push("an interface is not counted: see the log of the agent".to_owned());
            }
            if state.waiting > 0 {
                health.problems.push(format!("{} buckets wait to be written", state.waiting));
            }
            let bucket = i64::from(known.config.count.bucket.seconds());
            // An agent that has just started seals its first bucket at the next boundary.
            let newest = state.last_seal.map_or(known.since.wall, |end| end.to_utc().max(known.since.wall));
            if (state.at.wall - newest).num_seconds() > 2 * bucket {
                health.problems.push("the newest sealed bucket is older than two buckets".to_owned());
            }
        }
    }
    health.healthy = health.problems.is_empty();
    json(if health.healthy { 200 } else { 503 }, &health)
}

fn unavailable(error: &NoAnswer) -> Answer {
    Answer::problem(503, &error.to_string())
}

fn json(status: u16, document: &impl serde::Serialize) -> Answer {
    match serde_json::to_vec(document) {
        Ok(mut body) => {
            body.push(b'\n');
            Answer { status, content_type: Answer::JSON, body: body.into() }
        }
        Err(error) => Answer::problem(500, &error.to_string()),
    }
}
