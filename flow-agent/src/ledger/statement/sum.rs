//! Adds up one node's days line by line; memory grows with the number of users and days, not with the number of lines.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use chrono::NaiveDate;

use super::owner::{Directory, StatementOwner};
use crate::ledger::block::DayBlock;
use crate::ledger::counters::Counters;
use crate::ledger::month::Month;
use crate::ledger::record::{DayLine, DaySeal};

/// More than any host can transfer in a day: 2^57 bytes are 13 Tbit/s around the clock. Below this limit the sums of a
/// month over all users and both directions stay far below 2^64.
const MOST_IN_A_DAY: u128 = 1 << 57;

/// A file with more different pairs of a port and a user than this is made up, because a node has only 65,535 ports.
/// This bounds how much memory a main node needs for one node.
const MOST_PAIRS: usize = 1 << 16;

/// Why a day cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumError {
    #[error("{day}: {figure} is more than any host can move in a day")]
    Implausible { day: NaiveDate, figure: u128 },
    #[error("{day} appears twice")]
    Twice { day: NaiveDate },
    #[error("{day}: with this day it has more than {MOST_PAIRS} different pairs of a port and a user in a month")]
    TooManyPairs { day: NaiveDate },
}

/// Checks that the figures of a day are plausible.
///
/// # Errors
/// [`SumError::Implausible`].
pub fn check_day(block: &DayBlock) -> Result<(), SumError> {
    let figure: u128 = block.lines.iter().flat_map(|line| line.counters().to_array()).map(u128::from).sum();
    if figure > MOST_IN_A_DAY { Err(SumError::Implausible { day: block.seal.day, figure }) } else { Ok(()) }
}

/// Counts the different pairs of a port and a user in the days of one file.
#[derive(Clone, Debug, Default)]
pub struct DistinctPairs {
    /// Hashes stand for the names, which may be long. They are seeded at random, so nobody can make names that collide.
    seen: HashSet<(u16, u64)>,
    hasher: RandomState,
}

impl DistinctPairs {
    /// Adds the pairs of a day.
    ///
    /// # Errors
    /// [`SumError::TooManyPairs`] when there are more than a node can have.
    pub fn add(&mut self, block: &DayBlock) -> Result<(), SumError> {
        self.seen.extend(block.lines.iter().map(|line| (line.port, self.hasher.hash_one(&line.user))));
        if self.seen.len() > MOST_PAIRS { Err(SumError::TooManyPairs { day: block.seal.day }) } else { Ok(()) }
    }
}

/// One node's part of a billing month.
#[derive(Clone, Debug)]
pub struct NodeMonth<'d> {
    pub(super) node: String,
    directory: &'d Directory,
    first_day: NaiveDate,
    days: usize,
    pub(super) sums: Vec<OwnerSum>,
    by_owner: HashMap<StatementOwner, usize>,
    /// The index into `sums` by port and by the name on the line.
    cache: HashMap<u16, Vec<(Option<String>, usize)>>,
    /// How many entries the cache has.
    pairs: usize,
    pub(super) seals: BTreeMap<NaiveDate, DaySeal>,
    /// By calendar month, because the days of a calendar month are in one file.
    newest_counted: BTreeMap<Month, NaiveDate>,
}

/// The sums of one owner on one node.
#[derive(Clone, Debug)]
pub(super) struct OwnerSum {
    pub(super) owner: StatementOwner,
    pub(super) ports: BTreeSet<u16>,
    pub(super) total: Counters,
    /// Bytes in and out for each day of the month.
    pub(super) days: Vec<(u64, u64)>,
}

impl<'d> NodeMonth<'d> {
    /// An empty sum of `month` for the node that the configuration calls `node`.
    pub fn new(node: &str, directory: &'d Directory, month: Month, month_start_day: u32) -> Self {
        Self {
            node: node.to_owned(),
            directory,
            first_day: month.first_day(month_start_day),
            days: month.days(month_start_day).count(),
            sums: Vec::new(),
            by_owner: HashMap::new(),
            cache: HashMap::new(),
            pairs: 0,
            seals: BTreeMap::new(),
            newest_counted: BTreeMap::new(),
        }
    }

    /// Adds a day. A day of another billing month adds no bytes, but shows how far the node has counted.
    ///
    /// # Errors
    /// If the day was added before or its figures are implausible; nothing of it is added.
    pub fn add(&mut self, block: &DayBlock) -> Result<(), SumError> {
        let day = block.seal.day;
        if block.seal.buckets_sealed > 0 || block.seal.seconds_covered > 0 {
            let newest = self.newest_counted.entry(Month::of(day)).or_insert(day);
            *newest = day.max(*newest);
        }
        let Ok(index) = usize::try_from((day - self.first_day).num_days()) else { return Ok(()) };
        if index >= self.days {
            return Ok(());
        }
        if self.seals.contains_key(&day) {
            return Err(SumError::Twice { day });
        }
        check_day(block)?;
        let is_new = |line: &&DayLine| self.cached(line.port, line.user.as_deref()).is_none();
        if self.pairs + block.lines.iter().filter(is_new).count() > MOST_PAIRS {
            return Err(SumError::TooManyPairs { day });
        }
        for line in &block.lines {
            let counters = line.counters();
            let sum = self.sum_of(line.port, line.user.as_deref());
            sum.total = sum.total.checked_add(counters).expect("31 days of at most 2^57 are less than 2^62");
            sum.days[index].0 += counters.in_bytes();
            sum.days[index].1 += counters.out_bytes();
        }
        self.seals.insert(day, block.seal.clone());
        Ok(())
    }

    /// The name of the node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The seal of `day`, if there is one.
    pub fn seal(&self, day: NaiveDate) -> Option<&DaySeal> {
        self.seals.get(&day)
    }

    /// The seal of the newest day of the month that was added.
    pub fn newest_seal(&self) -> Option<&DaySeal> {
        self.seals.last_key_value().map(|(_, seal)| seal)
    }

    /// The newest day added, of this or another month, on which something was counted.
    pub fn newest_counted_day(&self) -> Option<NaiveDate> {
        self.newest_counted.values().max().copied()
    }

    /// The same within the calendar month of `day`.
    pub fn newest_counted_beside(&self, day: NaiveDate) -> Option<NaiveDate> {
        self.newest_counted.get(&Month::of(day)).copied()
    }

    /// Forgets everything that was added.
    pub(super) fn clear(&mut self) {
        self.sums = Vec::new();
        self.by_owner = HashMap::new();
        self.cache = HashMap::new();
        self.pairs = 0;
        self.seals.clear();
    }

    /// Frees what only [`NodeMonth::add`] needs.
    pub(super) fn stop_adding(&mut self) {
        self.by_owner = HashMap::new();
        self.cache = HashMap::new();
    }

    fn cached(&self, port: u16, user: Option<&str>) -> Option<usize> {
        let pairs = self.cache.get(&port)?;
        pairs.iter().find(|(name, _)| name.as_deref() == user).map(|(_, index)| *index)
    }

    fn sum_of(&mut self, port: u16, user: Option<&str>) -> &mut OwnerSum {
        let index = self.cached(port, user).unwrap_or_else(|| {
            let owner = self.directory.owner(&self.node, port, user);
            let index = *self.by_owner.entry(owner.clone()).or_insert_with(|| {
                let days = vec![(0, 0); self.days];
                self.sums.push(OwnerSum { owner, ports: BTreeSet::new(), total: Counters::default(), days });
                self.sums.len() - 1
            });
            self.sums[index].ports.insert(port);
            self.cache.entry(port).or_default().push((user.map(str::to_owned), index));
            self.pairs += 1;
            index
        });
        &mut self.sums[index]
    }
}
