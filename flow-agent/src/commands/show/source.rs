//! Where the newest figures come from: the agent that runs, or the files that it left.

use super::read::Log;
use crate::commands::check::state::agent_runs;
use crate::ledger::record::BackendKind;
use crate::render::screen::first::State;

/// Where the newest figures come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// The files; the text says why no agent was asked.
    Files { why: String },
}

/// What is counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    pub(super) backend: Option<BackendKind>,
    pub(super) interfaces: Vec<String>,
    pub(super) ports: usize,
}

impl Source {
    /// Finds out whether an agent runs for the state directory of `log`.
    pub(super) fn of(log: &Log) -> Self {
        let why = match agent_runs(log.state().root()) {
            Some(true) => "the last reading of the agent",
            Some(false) => "no agent runs",
            None => "from the files",
        };
        Self::Files { why: why.to_owned() }
    }

    /// The state for the first screen.
    pub(super) fn state(&self, log: &Log) -> State {
        match self {
            Self::Files { why } => {
                let at = log.open().or(log.last()).map(|block| block.seal.end);
                State::Files { at, why: why.clone() }
            }
        }
    }

    /// What is counted.
    pub(super) fn counted(&self, log: &Log) -> Counted {
        match self {
            Self::Files { .. } => log.last().map_or_else(Counted::default, |last| Counted {
                backend: last.seal.backend,
                interfaces: last.seal.interfaces.clone(),
                ports: last.lines.len(),
            }),
        }
    }
}
