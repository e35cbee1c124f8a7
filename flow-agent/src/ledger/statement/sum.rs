//! Adds up one node's days line by line; memory grows with the number of users and days, not with the number of lines.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;

use super::file_sums::{FileSums, MonthDays, PairSum};
use super::owner::{Directory, StatementOwner};
use super::plausible::{MOST_PAIRS, SumError, check_day};
use crate::ledger::block::DayBlock;
use crate::ledger::counters::Counters;
use crate::ledger::month::Month;
use crate::ledger::record::{DayLine, DaySeal};

/// One node's part of a billing month.
#[derive(Clone, Debug)]
pub struct NodeMonth<'d> {
    pub(super) node: String,
    directory: &'d Directory,
    month: MonthDays,
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
            month: MonthDays::of(month, month_start_day),
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
        if block.seal.has_counted() {
            let newest = self.newest_counted.entry(Month::of(day)).or_insert(day);
            *newest = day.max(*newest);
        }
        let Some(index) = self.month.index(day) else { return Ok(()) };
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

    /// Adds all days of a file that was added up while it was read, with their seals.
    ///
    /// # Errors
    /// Like [`NodeMonth::add`]; nothing of the file is added.
    pub fn add_file(&mut self, mut file: FileSums, seals: impl IntoIterator<Item = DaySeal>) -> Result<(), SumError> {
        debug_assert_eq!(file.month, self.month, "the file was added up for another month");
        let seals: Vec<DaySeal> = seals.into_iter().filter(|seal| self.month.index(seal.day).is_some()).collect();
        if let Some(seal) = seals.iter().find(|seal| self.seals.contains_key(&seal.day)) {
            return Err(SumError::Twice { day: seal.day });
        }
        let is_new = |pair: &&PairSum| self.cached(pair.port, pair.user.as_deref()).is_none();
        let new = file.pairs.iter().filter(|pair| pair.is_in_month).filter(is_new).count();
        if let Some(seal) = seals.last().filter(|_| self.pairs + new > MOST_PAIRS) {
            return Err(SumError::TooManyPairs { day: seal.day });
        }
        // Each name is freed once it is added: a node may have tens of thousands.
        for (index, pair) in
            std::mem::take(&mut file.pairs).into_iter().enumerate().filter(|(_, pair)| pair.is_in_month)
        {
            let sum = self.sum_of(pair.port, pair.user.as_deref());
            sum.total = sum.total.checked_add(pair.total).expect("31 days of at most 2^57 are less than 2^62");
            for (sum, more) in sum.days.iter_mut().zip(file.days_of(index)) {
                sum.0 += more.0;
                sum.1 += more.1;
            }
        }
        self.seals.extend(seals.into_iter().map(|seal| (seal.day, seal)));
        for (month, newest) in &file.newest_counted {
            let before = self.newest_counted.entry(*month).or_insert(*newest);
            *before = (*newest).max(*before);
        }
        Ok(())
    }

    /// All bytes of the month.
    pub fn bytes(&self) -> u128 {
        self.sums.iter().map(|sum| u128::from(sum.total.bytes())).sum()
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
                let days = vec![(0, 0); self.month.count];
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
