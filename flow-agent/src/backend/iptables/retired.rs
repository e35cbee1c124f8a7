//! EDGE clock: a set of counters that no longer counts: it is read one last time and then deleted.

use std::time::Instant;

use super::found::{self, Piece};
use super::host::tools::{Quiet, Tools};
use super::model::set_name::RuleSetName;
use super::saved::damage::CounterDoubt;
use super::saved::last::Last;
use super::set::{Numbers, RuleSet};
use crate::backend::error::iptables::IptablesError;
use crate::backend::{BackendError, Identity, Retired};
use crate::ledger::counters::Others;
use crate::ledger::reading::{Moment, Reading};
use crate::ledger::record::{BackendKind, CountMode};

/// A set that packets should no longer enter. Parts of it may be missing.
pub struct RetiredRules {
    pub name: RuleSetName,
    pub epoch: String,
    pub interfaces: Vec<String>,
    parts: Vec<Part>,
    are_others_sealed: bool,
    /// When packets were directed to its successor. `None` if that was before this agent started.
    left_at: Option<Instant>,
}

/// The part of a set that is or was in one table.
struct Part {
    tools: Tools,
    /// The last known values.
    last: Last,
    /// Whether nothing more can be learnt from the kernel. Packets may still find a way into a set that somebody else
    /// changed, but by then they are counted elsewhere.
    is_final: bool,
}

impl RetiredRules {
    /// A set of which nothing is known except what was found.
    pub fn found(name: RuleSetName, epoch: String, pieces: &[Piece]) -> Self {
        let whole = pieces.iter().find_map(|piece| piece.view.as_ref().ok());
        let interfaces = whole.map(|view| view.layout.interfaces.clone()).unwrap_or_default();
        let part = |piece: &Piece| Part {
            tools: piece.tools.clone(),
            last: piece.newest(&Last::default(), CounterDoubt::Nothing),
            is_final: piece.view.is_err(),
        };
        let parts = pieces.iter().map(part).collect();
        Self { name, epoch, interfaces, parts, are_others_sealed: false, left_at: None }
    }

    /// An intact set that was replaced at `left_at`. It is read once no packet enters it any more.
    pub fn replaced(set: RuleSet, epoch: String, left_at: Instant) -> Self {
        let part = |side: super::set::FamilySet| Part { tools: side.tools, last: side.last, is_final: false };
        let parts = set.sides.into_iter().map(part).collect();
        let left_at = Some(left_at);
        Self { name: set.name, epoch, interfaces: set.interfaces, parts, are_others_sealed: false, left_at }
    }

    /// A set that somebody else changed and that was replaced at `left_at`. `pieces` is what was found of it. It is not
    /// read again.
    pub fn damaged(set: RuleSet, epoch: String, pieces: &[Piece], left_at: Instant) -> Self {
        let part = |side: super::set::FamilySet| {
            let piece = pieces.iter().find(|piece| piece.tools.place() == side.tools.place());
            let doubt = side.doubted.as_ref().map_or(CounterDoubt::Nothing, |damage| damage.doubt);
            let last = piece.map_or_else(|| side.last.clone(), |piece| piece.newest(&side.last, doubt));
            Part { tools: side.tools, last, is_final: true }
        };
        let parts = set.sides.into_iter().map(part).collect();
        let left_at = Some(left_at);
        Self { name: set.name, epoch, interfaces: set.interfaces, parts, are_others_sealed: false, left_at }
    }

    /// Ignores the set's counts of other traffic: it has been counting again since somebody restored it, but that
    /// traffic was counted elsewhere, and its own was sealed. (Its last bucket closed its ports, so nothing is taken
    /// from them.)
    pub fn forget_others(&mut self) {
        self.are_others_sealed = true;
    }

    fn pieces(&self) -> Result<Vec<Option<Piece>>, IptablesError> {
        let quiet = Quiet::wait(&self.parts.iter().map(|part| &part.tools).collect::<Vec<_>>())?;
        let find = |part: &Part| {
            let pieces = found::pieces(&part.tools, &quiet, self.name.instance())?;
            Ok(pieces.into_iter().find(|piece| piece.name == self.name))
        };
        self.parts.iter().map(find).collect()
    }
}

impl Retired for RetiredRules {
    fn identity(&self) -> Identity {
        identity(self.epoch.clone())
    }

    fn interfaces(&self) -> Vec<String> {
        self.interfaces.clone()
    }

    fn read(&mut self, now: &dyn Fn() -> Moment) -> Result<Reading, BackendError> {
        // Later packets are in its successor's counters, so the bucket ends at that time however late the set is read.
        let at = self.left_at.map_or_else(now, |left_at| now().before(left_at.elapsed()));
        let mut numbers = Numbers::at(at);
        if self.parts.iter().any(|part| !part.is_final) {
            for (piece, part) in self.pieces()?.into_iter().zip(&mut self.parts) {
                if let (Some(piece), false) = (piece, part.is_final) {
                    part.last = piece.newest(&part.last, CounterDoubt::Nothing);
                }
            }
        }
        self.parts.iter().for_each(|part| numbers.add(&part.last));
        let draining = numbers.ports.keys().copied().collect();
        let Numbers { at, ports, mut others, blocked } = numbers;
        if self.are_others_sealed {
            others = Others::default();
        }
        Ok(Reading {
            epoch: self.epoch.clone(),
            at,
            ports: ports.into(),
            draining,
            others,
            blocked,
            devices: Vec::new(),
        })
    }

    fn delete(self: Box<Self>) -> Result<(), BackendError> {
        for piece in self.pieces()?.into_iter().flatten() {
            piece.delete()?;
        }
        Ok(())
    }
}

/// How seals identify counters in rules. They count as pinned, because the kernel keeps them whether an agent runs or
/// not.
pub fn identity(epoch: String) -> Identity {
    Identity { kind: BackendKind::Iptables, count: CountMode::Ip, epoch, pinned: true }
}

impl Piece {
    /// The newest reliable values, where `last` was known before. If somebody may have zeroed or restored counters in
    /// between, that is `last`.
    fn newest(&self, last: &Last, doubt: CounterDoubt) -> Last {
        let found =
            Last { ports: self.remains.clone(), others: self.others, blocked: self.blocked.clone(), ..Last::default() };
        let found_doubt = match &self.view {
            Ok(view) => {
                super::saved::last::judge(last, view).map_or_else(|damage| damage.doubt, |()| CounterDoubt::Nothing)
            }
            Err(damage) => damage.doubt,
        };
        last.or_newer(&found, doubt.max(found_doubt), self.has_ipsets())
    }

    /// Whether its port counters may be larger than what was really counted.
    pub fn is_doubtful(&self) -> bool {
        self.view.as_ref().is_err_and(|damage| damage.doubt.covers_ports(self.has_ipsets()))
    }
}
