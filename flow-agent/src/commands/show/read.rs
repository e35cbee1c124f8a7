//! Reads the logs for `show`, and remembers what of them could not be used.

use chrono::{DateTime, FixedOffset};

use super::period::Period;
use crate::cli::output;
use crate::exit::{Code, Failure};
use crate::ledger::block::HourBlock;
use crate::ledger::counters::{Counters, Others};
use crate::ledger::record::{Gap, HourLine, Quality};
use crate::ledger::usage::{Baseline, Settings, open_bucket};
use crate::store::damage::Damage;
use crate::store::hours::{self, Hour, Hours};
use crate::store::{self, StateDir, StoreError};

/// A bucket, sealed or open.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub start: DateTime<FixedOffset>,
    pub end: DateTime<FixedOffset>,
    /// `None`: it is open.
    pub quality: Option<Quality>,
    pub lines: Vec<Line>,
    pub other: Others,
    /// Times of it that nobody saw.
    pub gaps: Vec<Gap>,
}

/// What one port moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub port: u16,
    pub user: Option<String>,
    pub counters: Counters,
}

impl From<HourBlock> for Bucket {
    fn from(block: HourBlock) -> Self {
        let seal = block.seal;
        let line = |line: HourLine| Line { port: line.port, counters: line.counters(), user: line.user };
        let lines = block.lines.into_iter().map(line).collect();
        Self {
            start: seal.start,
            end: seal.end,
            quality: Some(seal.quality),
            lines,
            other: seal.other,
            gaps: seal.gaps,
        }
    }
}

/// The logs of a state directory.
pub struct Log {
    state: StateDir,
    last: Option<HourBlock>,
    open: Option<Bucket>,
    damages: Vec<String>,
}

impl Log {
    /// Of `state`, whose open bucket is looked up right away: what is sealed meanwhile is not counted twice.
    ///
    /// # Errors
    /// When there is no such directory, or it cannot be read.
    pub fn new(state: StateDir, settings: &Settings) -> Result<Self, Failure> {
        if !state.root().is_dir() {
            let error = anyhow::anyhow!("`{}` is not there: nothing was counted yet", state.root().display());
            let help = "start `flow-agent run`, or name another directory with --state-dir";
            return Err(Failure::new(Code::Store, error).help(help));
        }
        let mut log = Self { state, last: None, open: None, damages: Vec::new() };
        let checkpoint = log.document(store::checkpoint::read)?;
        let users = log.document(store::ports::read)?.map(|list| list.ports).unwrap_or_default();
        let users = users.into_iter().filter_map(|(port, user)| Some((port, user?))).collect();
        let mut baseline = Baseline::default();
        log.read_newest(checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.seq), &mut baseline)?;
        baseline.set_checkpoint(checkpoint);
        let open = open_bucket(settings, &baseline, &users);
        log.open = open.map(|block| Bucket { quality: None, ..Bucket::from(block) });
        Ok(log)
    }

    pub(super) fn state(&self) -> &StateDir {
        &self.state
    }

    /// Remembers what could not be used.
    pub(super) fn note(&mut self, damage: &Damage) {
        self.damages.push(damage.to_string());
    }

    /// The newest bucket that is sealed.
    pub fn last(&self) -> Option<&HourBlock> {
        self.last.as_ref()
    }

    /// The bucket that is open, as far as it was read.
    pub fn open(&self) -> Option<&Bucket> {
        self.open.as_ref()
    }

    /// Hands every bucket of `period` to `take`, the open one last, until it has enough (`false`).
    ///
    /// # Errors
    /// When a file cannot be read, or `take` fails.
    pub fn buckets(
        &mut self,
        period: &Period,
        mut take: impl FnMut(Bucket) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let last = self.last.as_ref().and_then(|block| block.seal.seq);
        for hour in Hours::read(&self.state, period.dates())? {
            match hour? {
                // What was sealed since the open bucket was looked up is in it.
                Hour::Bucket(block) if self.open.is_some() && block.seal.seq > last => {}
                Hour::Bucket(block) if period.holds(block.seal.start) => {
                    if !take(Bucket::from(*block))? {
                        return Ok(());
                    }
                }
                Hour::Bucket(_) | Hour::Unfinished(_) => {}
                Hour::Damage(damage) => self.note(&damage),
            }
        }
        if let Some(open) = self.open.as_ref().filter(|open| period.holds(open.start)) {
            take(open.clone())?;
        }
        Ok(())
    }

    /// How much could not be used.
    pub fn damages(&self) -> usize {
        self.damages.len()
    }

    /// Names on stderr what could not be used; the code says that something is missing.
    pub fn finish(&self) -> Code {
        for damage in &self.damages {
            output::complain(&format!("warning: {damage}"));
        }
        match self.damages.len() {
            0 => Code::Done,
            1 => {
                output::complain("warning: the figures are incomplete: this could not be used");
                Code::Incomplete
            }
            count => {
                output::complain(&format!("warning: the figures are incomplete: these {count} could not be used"));
                Code::Incomplete
            }
        }
    }

    /// A small file; where it is damaged, that is noted, and it is gone on without.
    fn document<T>(
        &mut self,
        read: impl FnOnce(&StateDir) -> Result<Option<T>, StoreError>,
    ) -> Result<Option<T>, Failure> {
        match read(&self.state) {
            Err(error @ StoreError::Damaged { .. }) => {
                self.damages.push(error.to_string());
                Ok(None)
            }
            other => Ok(other?),
        }
    }

    /// Reads the newest files until there is the seal that the checkpoint follows: after a clock was set back it is not
    /// in the newest. Two at least, as an epoch may have ended in the one before.
    fn read_newest(&mut self, seq: u64, baseline: &mut Baseline) -> Result<(), StoreError> {
        for (read, date) in hours::dates(&self.state)?.into_iter().rev().enumerate() {
            if read >= 2 && baseline.seq() >= seq {
                break;
            }
            for hour in Hours::read(&self.state, date..=date)? {
                // Damage is noted where it is read for its figures.
                let Hour::Bucket(block) = hour? else { continue };
                baseline.take(&block);
                if self.last.as_ref().is_none_or(|last| block.seal.seq >= last.seal.seq) {
                    self.last = Some(*block);
                }
            }
        }
        Ok(())
    }
}
