//! The questions of the answering thread to the counting thread, and the replies.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, Utc};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::config::Config;
use crate::exit::Failure;
use crate::ledger::block::HourBlock;
use crate::ledger::reading::Moment;
use crate::ledger::user::User;

/// How many questions may wait. Several clients share one answer, so few are asked at a time.
const MOST_WAITING: usize = 4;

/// How long to wait for a reply: a program that hangs or a slow disk may keep the counting thread busy.
const PATIENCE: Duration = Duration::from_millis(1_800);

/// A question, with the channel for the reply.
#[derive(Debug)]
pub enum Ask {
    /// The state of the agent, without a reading.
    State(oneshot::Sender<AgentState>),
    /// A fresh reading.
    Snapshot(oneshot::Sender<Result<AgentSnapshot, Failure>>),
}

/// The state of the agent.
#[derive(Clone, Debug)]
pub struct AgentState {
    pub at: Moment,
    /// Whether the newest inspection found everything attached.
    pub attached: bool,
    /// The end of the newest bucket on disk.
    pub last_seal: Option<DateTime<FixedOffset>>,
    /// Sealed buckets that are not on disk yet.
    pub waiting: u32,
    pub about: About,
}

/// What the agent knows besides its counters.
#[derive(Clone, Debug)]
pub struct About {
    /// The configuration that is in force.
    pub config: Arc<Config>,
    /// The users of the configuration and of the users' file.
    pub users: Arc<[User]>,
    /// The number of rows that cannot be counted, by port file.
    pub complaints: Vec<(PathBuf, usize)>,
    /// Why there may be ports that should be counted and are not.
    pub problems: Vec<String>,
    /// The users whose packets are refused.
    pub refused: BTreeSet<String>,
}

/// A reading, shown as the bucket that it would close, and the buckets that wait to be written.
#[derive(Debug)]
pub struct AgentSnapshot {
    pub state: AgentState,
    pub open: HourBlock,
    pub planned_end: DateTime<Utc>,
    /// In the order of their `seq`, which come right before that of `open`.
    pub waiting: Vec<HourBlock>,
}

/// The counting thread's end.
#[derive(Debug)]
pub struct Asks(mpsc::Receiver<Ask>);

/// The answering thread's end.
#[derive(Clone, Debug)]
pub struct Asking(mpsc::Sender<Ask>);

/// Why the counting thread did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("the counting thread is busy: try again")]
    Busy,
    #[error("the agent is stopping")]
    Leaving,
    #[error("{0}")]
    Failed(String),
}

pub fn channel() -> (Asking, Asks) {
    let (sender, receiver) = mpsc::channel(MOST_WAITING);
    (Asking(sender), Asks(receiver))
}

impl Asks {
    /// The next question; `None` once nobody can ask any more. Cancel-safe.
    pub async fn next(&mut self) -> Option<Ask> {
        self.0.recv().await
    }
}

impl Asking {
    /// The state of the agent.
    pub async fn state(&self) -> Result<AgentState, NoAnswer> {
        self.ask(Ask::State).await
    }

    /// A fresh reading.
    pub async fn snapshot(&self) -> Result<AgentSnapshot, NoAnswer> {
        self.ask(Ask::Snapshot).await?.map_err(|failure| NoAnswer::Failed(failure.render()))
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(ask(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NoAnswer::Busy,
            mpsc::error::TrySendError::Closed(_) => NoAnswer::Leaving,
        })?;
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(NoAnswer::Leaving),
            Err(_) => Err(NoAnswer::Busy),
        }
    }
}
