//! Reads the logs for `show`, and collects the damage in them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use chrono::NaiveDate;

use super::brief::{Brief, Briefs};
use super::narrow::Narrow;
use super::nodes::GatheredNodes;
use super::period::Period;
use crate::commands::output;
use crate::exit::{Code, Failure};
use crate::ledger::block::{Block, BlockKind, HourBlock, Hourly};
use crate::ledger::distinct_buckets::DistinctBuckets;
use crate::ledger::record::{Checkpoint, HourSeal, Quality};
use crate::ledger::unsealed::{Baseline, Settings, open_bucket};
use crate::store::damage::Damage;
use crate::store::hours::{self, HourItem, Hours};
use crate::store::seals::{self, FoundSeal};
use crate::store::{self, StateDir, StoreError};

/// A sealed block of the log, or the open one.
#[derive(Clone, Debug)]
pub struct ShownBlock<K: BlockKind> {
    pub block: Block<K>,
    /// The block is not sealed, or contains usage that is not sealed.
    pub open: bool,
}

/// The logs of a state directory.
pub struct Log {
    state: StateDir,
    settings: Settings,
    last: Option<HourBlock>,
    open: Option<HourBlock>,
    damages: Vec<String>,
    narrow: Narrow,
    briefs: Briefs,
    nodes: Option<GatheredNodes>,
    wants_yesterday: bool,
}

impl Log {
    /// Opens the logs of `state`. The open bucket is read first, so that a bucket that is sealed in the meantime is not
    /// counted twice.
    ///
    /// # Errors
    /// If there is no such directory, or it cannot be read.
    pub fn new(state: StateDir, settings: Settings) -> Result<Self, Failure> {
        let mut log = Self::empty(state, settings)?;
        let checkpoint = log.document(store::checkpoint::read)?;
        let users = log.document(store::ports::read)?.map(|list| list.ports).unwrap_or_default();
        let users = users.into_iter().filter_map(|(port, user)| Some((port, user?))).collect();
        let mut baseline = Baseline::default();
        log.read_newest(checkpoint.as_ref(), &mut baseline)?;
        baseline.set_checkpoint(checkpoint);
        log.open = open_bucket(&log.settings, &baseline, &users);
        Ok(log)
    }

    fn empty(state: StateDir, settings: Settings) -> Result<Self, Failure> {
        if !state.root().is_dir() {
            let root = state.root().display();
            let (error, help) = match state.root().try_exists() {
                Ok(true) => {
                    (anyhow::anyhow!("`{root}` is not a directory"), "choose another with --state-dir or `state_dir`")
                }
                Ok(false) | Err(_) => (
                    anyhow::anyhow!("`{root}` does not exist: nothing has been counted yet"),
                    "start `flow-agent run`, or choose another directory with --state-dir",
                ),
            };
            return Err(Failure::new(Code::Store, error).help(help));
        }
        Ok(Self {
            state,
            settings,
            last: None,
            open: None,
            damages: Vec::new(),
            narrow: Narrow::default(),
            briefs: Briefs::default(),
            nodes: None,
            wants_yesterday: false,
        })
    }

    /// Opens the logs of `state` together with an open bucket that the agent has just read.
    ///
    /// # Errors
    /// If there is no such directory.
    pub fn answered(state: StateDir, settings: Settings, open: HourBlock) -> Result<Self, Failure> {
        let mut log = Self::empty(state, settings)?;
        log.open = Some(open);
        Ok(log)
    }

    /// Restricts what [`Log::buckets`] and [`Log::days`] pass on.
    #[must_use]
    pub fn narrowed(mut self, narrow: Narrow) -> Self {
        self.narrow = narrow;
        self
    }

    /// Reads the days that were gathered from `nodes` instead of the logs of this machine.
    #[must_use]
    pub fn of_nodes(mut self, nodes: GatheredNodes) -> Self {
        self.nodes = Some(nodes);
        self.open = None;
        self.last = None;
        self
    }

    /// Lets [`Log::days`] also keep the sums of yesterday's buckets, which forecasts and charts need.
    pub fn want_yesterday(&mut self) {
        self.wants_yesterday = true;
    }

    pub(super) fn wants_yesterday(&self) -> bool {
        self.wants_yesterday
    }

    /// The part of the logs that was asked for.
    pub fn narrow(&self) -> &Narrow {
        &self.narrow
    }

    /// The nodes whose gathered days are read; `None` for the logs of this machine.
    pub(super) fn nodes(&self) -> Option<&GatheredNodes> {
        self.nodes.as_ref()
    }

    /// The sums of the buckets that were read so far.
    pub fn briefs(&self) -> &Briefs {
        &self.briefs
    }

    /// Keeps the sums of a bucket that is read for other figures.
    pub(super) fn remember(&mut self, block: &HourBlock) {
        if let Some(brief) = Brief::of(block, &self.narrow) {
            self.briefs.add(brief);
        }
    }

    pub(super) fn state(&self) -> &StateDir {
        &self.state
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether a bucket was sealed after the open bucket was read, which then contains its usage.
    pub(super) fn is_in_open(&self, seal: &HourSeal) -> bool {
        self.open.as_ref().is_some_and(|open| seal.seq >= open.seal.seq)
    }

    /// Notes damage.
    pub(super) fn note(&mut self, damage: &Damage) {
        // A file may be read for several figures, so its damage may be found again.
        let damage = damage.to_string();
        if !self.damages.contains(&damage) {
            self.damages.push(damage);
        }
    }

    /// The newest sealed bucket.
    pub fn last(&self) -> Option<&HourBlock> {
        self.last.as_ref()
    }

    /// The open bucket as of its last reading.
    pub fn open(&self) -> Option<&HourBlock> {
        self.open.as_ref()
    }

    /// Passes every bucket of `period` to `take`, the open one last, until `take` returns `false`.
    ///
    /// # Errors
    /// When a file cannot be read, or `take` fails.
    pub fn buckets(
        &mut self,
        period: &Period,
        mut take: impl FnMut(ShownBlock<Hourly>) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let (_, wanted) = self.sealed_buckets(period.dates(), period, DistinctBuckets::default(), &mut take)?;
        if wanted && let Some(open) = self.open_bucket_in(period) {
            take(open)?;
        }
        Ok(())
    }

    /// Passes the sealed buckets of `period` in the files of `dates` to `take`, until it returns `false`; not those that
    /// are in `distinct`. Returns all that were read by then, and whether more are wanted.
    ///
    /// # Errors
    /// When a file cannot be read, or `take` fails.
    pub(super) fn sealed_buckets(
        &mut self,
        dates: RangeInclusive<NaiveDate>,
        period: &Period,
        distinct: DistinctBuckets,
        mut take: impl FnMut(ShownBlock<Hourly>) -> Result<bool, Failure>,
    ) -> Result<(DistinctBuckets, bool), Failure> {
        let mut hours = Hours::read_after(&self.state, dates, distinct)?;
        while let Some(hour) = hours.next() {
            match hour? {
                // Sealed since the open bucket was read, which contains its usage.
                HourItem::Bucket(block) if self.is_in_open(&block.seal) => {}
                HourItem::Bucket(block) if period.holds(block.seal.start) => {
                    let mut block = *block;
                    self.remember(&block);
                    self.narrow.hours(&mut block);
                    if !take(ShownBlock { block, open: false })? {
                        return Ok((hours.into_distinct(), false));
                    }
                }
                HourItem::Bucket(_) | HourItem::Unfinished(_) => {}
                HourItem::Damage(damage) => self.note(&damage),
            }
        }
        Ok((hours.into_distinct(), true))
    }

    /// The open bucket, if it is in `period`.
    pub(super) fn open_bucket_in(&mut self, period: &Period) -> Option<ShownBlock<Hourly>> {
        let mut block = self.open.clone().filter(|open| period.holds(open.seal.start))?;
        self.remember(&block);
        self.narrow.hours(&mut block);
        Some(ShownBlock { block, open: true })
    }

    /// Takes the damage found so far, so that it is not printed.
    pub fn take_damages(&mut self) -> Vec<String> {
        std::mem::take(&mut self.damages)
    }

    /// The number of damaged parts.
    pub fn damages(&self) -> usize {
        self.damages.len()
    }

    /// Prints the damage on stderr, and returns the exit code.
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

    /// Reads a small file. If it is damaged, that is noted and `None` is returned.
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

    /// Reads the newest files until the seal is found that the checkpoint follows. That seal is not in the newest file
    /// if the clock was set back, and not in the newest two if another epoch has begun since.
    fn read_newest(&mut self, checkpoint: Option<&Checkpoint>, baseline: &mut Baseline) -> Result<(), StoreError> {
        for (read, date) in hours::dates(&self.state)?.into_iter().rev().enumerate() {
            let is_newer = checkpoint.is_none_or(|checkpoint| baseline.seq() >= checkpoint.seq);
            let has_epoch = checkpoint.is_none_or(|checkpoint| baseline.seal_of(&checkpoint.epoch).is_some());
            if is_newer && (read >= 2 || read >= 1 && has_epoch && self.last.is_some()) {
                break;
            }
            let mut take = |block: HourBlock| {
                baseline.take(&block);
                if self.last.as_ref().is_none_or(|last| block.seal.seq >= last.seal.seq) {
                    self.last = Some(block);
                }
            };
            if let Some(last) = last_of_each_epoch(&self.state, date)? {
                last.into_iter().for_each(take);
                continue;
            }
            for hour in Hours::read(&self.state, date..=date)? {
                // Damage is noted when the file is read for its figures.
                let HourItem::Bucket(block) = hour? else { continue };
                take(*block);
            }
        }
        Ok(())
    }
}

/// The last bucket of each epoch in the file of a date; nothing that was sealed before it matters to [`Baseline`]. `None`
/// if the file has to be read.
fn last_of_each_epoch(state: &StateDir, date: NaiveDate) -> Result<Option<Vec<HourBlock>>, StoreError> {
    let Some(found) = seals::of_date(state, date)? else { return Ok(None) };
    let mut distinct = DistinctBuckets::default();
    let mut last: BTreeMap<&str, &FoundSeal<Hourly>> = BTreeMap::new();
    for found in &found {
        // Buckets without a `seq` are in the order of the file, and imported ones have no counters behind them.
        let is_plain = found.seal.seq.is_some() && found.seal.quality != Quality::Import;
        if !is_plain || distinct.admit(&found.seal) != Ok(true) {
            return Ok(None);
        }
        let last = last.entry(&found.seal.epoch).or_insert(found);
        if found.seal.seq > last.seal.seq {
            *last = found;
        }
    }
    last.into_values().map(|found| seals::block(&state.hourly(date), found)).collect()
}
