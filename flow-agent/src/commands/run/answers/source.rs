//! The answers of a running agent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::books::Books;
use super::document;
use super::log_sums::Dates;
use super::measured;
use super::standing::Allowances;
use super::turn::Turn;
use crate::answer::{Answer, Question, Source};
use crate::commands::run::asks::{AgentSnapshot, Asking, NoAnswer};
use crate::config::Config;
use crate::errors::chain;
use crate::ledger::calendar::local;
use crate::ledger::counters::Counters;
use crate::ledger::now::{Health, Now, VERSION};
use crate::ledger::rate::RateSamples;
use crate::ledger::reading::Moment;
use crate::render::metrics::{self, Metrics};
use crate::store::{StateDir, StoreError, ship};

/// The shortest pause between two readings. The pause is four times as long as the last reading took (with iptables,
/// readings run programs), within this limit and [`LONGEST_PAUSE`], so that answers do not keep the counting thread
/// busy.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Makes answers by asking the counting thread and reading the log.
pub struct AgentSource(Arc<Known>);

type NextReading = Arc<tokio::sync::Mutex<Option<Instant>>>;

/// What every answer needs.
struct Known {
    /// The configuration with which the agent started. Only keys that a reload does not change are read from it.
    config: Config,
    state: StateDir,
    asking: Asking,
    since: Moment,
    /// The sums of the log when it was last read.
    books: Mutex<Option<Books>>,
    rates: Mutex<RateSamples>,
    now: Turn,
    metrics: Turn,
    metrics_as_text: Turn,
    /// When the next reading may be taken. The lock is held from a reading until its answer is made, because the sums
    /// only move forward: no answer may be made from an older reading than the one before.
    next_reading: NextReading,
}

impl AgentSource {
    /// Answers for an agent that started at `since`.
    pub fn new(config: &Config, asking: Asking, since: Moment) -> Self {
        let state = StateDir::new(&config.state_dir);
        Self(Arc::new(Known {
            config: config.clone(),
            state,
            asking,
            since,
            books: Mutex::default(),
            rates: Mutex::default(),
            now: Turn::default(),
            metrics: Turn::default(),
            metrics_as_text: Turn::default(),
            next_reading: NextReading::default(),
        }))
    }
}

impl Source for AgentSource {
    async fn answer(&self, question: Question) -> Answer {
        match question {
            Question::Now => {
                let make = |known: &Known, snapshot: &AgentSnapshot| known.now(snapshot).map(|now| json(200, &now));
                self.0.now.answer(async || made(&self.0, make).await).await
            }
            Question::Health => health(&self.0).await,
            Question::Metrics { open_metrics: true } => {
                let make = |known: &Known, snapshot: &AgentSnapshot| {
                    let body = metrics::open_metrics(known.metrics(snapshot)?);
                    Ok(Answer { status: 200, content_type: Answer::OPEN_METRICS, body: body.into() })
                };
                self.0.metrics.answer(async || made(&self.0, make).await).await
            }
            Question::Metrics { open_metrics: false } => {
                let make = |known: &Known, snapshot: &AgentSnapshot| {
                    let body = metrics::prometheus(known.metrics(snapshot)?);
                    Ok(Answer { status: 200, content_type: Answer::PROMETHEUS, body: body.into() })
                };
                self.0.metrics_as_text.answer(async || made(&self.0, make).await).await
            }
        }
    }
}

/// The answer that `make` makes from a fresh reading, on a thread that may wait for a disk.
async fn made(
    known: &Arc<Known>,
    make: impl FnOnce(&Known, &AgentSnapshot) -> Result<Answer, StoreError> + Send + 'static,
) -> Answer {
    let (snapshot, turn) = match known.read().await {
        Ok(read) => read,
        Err(error) => return unavailable(&error),
    };
    let known = Arc::clone(known);
    let making = move || {
        // The lock is released here, even if the client has gone in the meantime.
        let _turn = turn;
        make(&known, &snapshot)
    };
    match spawn_blocking(making).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => Answer::problem(500, &chain(&error)),
        Err(error) => Answer::problem(500, &error.to_string()),
    }
}

impl Known {
    /// A fresh reading, with the right to make an answer from it; waits so that the counting thread is not kept busy.
    async fn read(&self) -> Result<(AgentSnapshot, OwnedMutexGuard<Option<Instant>>), NoAnswer> {
        let mut next_reading = Arc::clone(&self.next_reading).lock_owned().await;
        if let Some(at) = *next_reading {
            sleep_until(at).await;
        }
        let begun_at = Instant::now();
        let snapshot = self.asking.snapshot().await;
        let ended_at = Instant::now();
        *next_reading = Some(ended_at + (4 * (ended_at - begun_at)).clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
        Ok((snapshot?, next_reading))
    }

    fn now(&self, snapshot: &AgentSnapshot) -> Result<Now, StoreError> {
        let totals = snapshot.open.lines.iter().filter_map(|line| Some((line.port, Counters::from_array(line.total?))));
        let mut samples = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        let rates = samples.add(&snapshot.open.seal.epoch, snapshot.state.at.boot_ns, &totals.collect());
        drop(samples);
        self.with_books(snapshot, |books| {
            books.recent.refresh(&self.state, books.sums.dates.today, books.sums.through)?;
            let allowances = self.allowances(snapshot, books)?;
            let known =
                document::KnownBesideReading { since: self.since, books, allowances: &allowances, rates: &rates };
            Ok(document::now(snapshot, &known))
        })
    }

    fn metrics(&self, snapshot: &AgentSnapshot) -> Result<Metrics, StoreError> {
        self.with_books(snapshot, |books| {
            let sealed_until = snapshot.state.last_seal.map_or(0, |at| at.timestamp());
            books.ever(&self.state, sealed_until)?;
            let allowances = self.allowances(snapshot, books)?;
            let metrics = measured::metrics(self.since, snapshot, books, &allowances);
            Ok(Metrics { shipped: self.shipped(), ..metrics })
        })
    }

    /// Up to when ClickHouse has acknowledged the log, in seconds since 1970; `None` if nothing was sent yet.
    fn shipped(&self) -> Option<i64> {
        self.config.fleet.as_ref()?;
        // If the file cannot be read, `check` reports that, and so does the program that writes it.
        ship::read(&self.state).ok()?.newest.map(|at| at.timestamp())
    }

    fn allowances(&self, snapshot: &AgentSnapshot, books: &mut Books) -> Result<Allowances, StoreError> {
        Allowances::read(&self.state, books.sums.dates, &snapshot.state.about.users, &mut books.first_counted)
    }

    /// Calls `work` with the sums of what was sealed before the buckets of `snapshot`.
    fn with_books<T>(
        &self,
        snapshot: &AgentSnapshot,
        work: impl FnOnce(&mut Books) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let dates = Dates::of(self.config.timezone, self.config.month_start_day, snapshot.state.at.wall);
        // The waiting buckets have the numbers right before that of the open bucket.
        let before_open = snapshot.open.seal.seq.unwrap_or_default().saturating_sub(1);
        let through = before_open.saturating_sub(snapshot.waiting.len() as u64);
        let mut kept = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        // The log may have been replaced by one that ends earlier.
        let books = match kept.take().filter(|books| books.sums.through <= through) {
            Some(mut books) => {
                books.go_on(&self.state, dates, through)?;
                kept.insert(books)
            }
            None => kept.insert(Books::open(&self.state, dates, through)?),
        };
        work(books)
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
                health.problems.push("an interface is not counted: see the agent's log".to_owned());
            }
            health.problems.extend(state.about.problems);
            if state.waiting > 0 {
                health.problems.push(format!("{} buckets are waiting to be written", state.waiting));
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
