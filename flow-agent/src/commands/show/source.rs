//! Where the newest figures come from: the running agent, or the files that it has left.

use super::read::Log;
use crate::commands::ask;
use crate::commands::check::state::agent_runs;
use crate::config::Config;
use crate::errors;
use crate::ledger::block::HourBlock;
use crate::ledger::blocked::Blocked;
use crate::ledger::now::{Now, UserNow};
use crate::ledger::record::{BackendKind, HourLine, HourSeal, Kind, VERSION};
use crate::render::screen::first::FiguresState;

/// Where the newest figures come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// An agent answered.
    Agent(Box<Now>),
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
    /// Asks the agent that counts for the state directory of `config`, if one runs.
    pub(super) fn of(config: &Config) -> Self {
        let runs = |otherwise: &str| match agent_runs(&config.state_dir) {
            Some(false) => "no agent is running".to_owned(),
            Some(true) | None => otherwise.to_owned(),
        };
        match ask::now(config) {
            Ok(Some(now)) => Self::Agent(Box::new(now)),
            Ok(None) => Self::Files { why: runs("the agent does not answer") },
            Err(error) => Self::Files { why: errors::chain(&error) },
        }
    }

    /// The open bucket as the agent has just read it.
    pub(super) fn open(&self) -> Option<HourBlock> {
        let Self::Agent(now) = self else { return None };
        let line = |port: &crate::ledger::now::PortNow| {
            HourLine::new(now.open.start, now.at, port.port, port.user.clone(), port.open, None, false)
        };
        let lines: Vec<HourLine> = now.ports.iter().map(line).collect();
        let seal = HourSeal {
            v: VERSION,
            kind: Kind::Seal,
            seq: Some(now.open.seq),
            start: now.open.start,
            end: now.at,
            node: now.node.clone(),
            epoch: now.epoch.clone(),
            backend: Some(now.backend),
            count: Some(now.count),
            pinned: None,
            quality: now.open.quality,
            gaps: now.open.gaps.clone(),
            interfaces: now.interfaces.clone(),
            ports: u32::try_from(lines.len()).unwrap_or(u32::MAX),
            other: now.other,
            other_total: None,
            blocked: now.ports.iter().filter_map(|port| Some((port.port, port.blocked?))).collect(),
            blocked_total: Blocked::default(),
            devices: now.devices.clone(),
            device_total: None,
            boot_ms: None,
            sha256: String::new(),
        };
        Some(HourBlock { lines, seal })
    }

    /// What the agent says of a user.
    pub(super) fn user(&self, name: &str) -> Option<&UserNow> {
        let Self::Agent(now) = self else { return None };
        now.users.binary_search_by(|user| user.user.as_str().cmp(name)).ok().map(|at| &now.users[at])
    }

    /// The state for the first screen.
    pub(super) fn state(&self, log: &Log) -> FiguresState {
        match self {
            Self::Agent(now) => FiguresState::Answered {
                at: now.at,
                attached: now.attached,
                waiting: now.waiting,
                gaps: now.open.gaps.len(),
            },
            Self::Files { why } => {
                let at = log.open().or(log.last()).map(|block| block.seal.end);
                FiguresState::Files { at, why: why.clone() }
            }
        }
    }

    /// What is counted.
    pub(super) fn counted(&self, log: &Log) -> Counted {
        match self {
            Self::Agent(now) => {
                Counted { backend: Some(now.backend), interfaces: now.interfaces.clone(), ports: now.ports.len() }
            }
            Self::Files { .. } => log.last().map_or_else(Counted::default, |last| Counted {
                backend: last.seal.backend,
                interfaces: last.seal.interfaces.clone(),
                ports: last.lines.len(),
            }),
        }
    }
}
