//! Adds up the days of one daily file while it is read. Whom the ports and names belong to is looked up afterwards, once
//! for each of them ([`NodeMonth::add_file`](super::NodeMonth::add_file)), and only if the file was accepted.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use chrono::NaiveDate;

use super::plausible::{MOST_PAIRS, SumError, check_figures};
use crate::ledger::block::DayFigures;
use crate::ledger::counters::Counters;
use crate::ledger::month::Month;
use crate::ledger::record::DaySeal;

/// The days of a billing month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonthDays {
    pub(super) first: NaiveDate,
    pub(super) count: usize,
}

impl MonthDays {
    /// The days of `month`, which begins on this day of a calendar month.
    pub fn of(month: Month, month_start_day: u32) -> Self {
        Self { first: month.first_day(month_start_day), count: month.days(month_start_day).count() }
    }

    /// The position of `day`; `None` if it is in another month.
    pub(super) fn index(self, day: NaiveDate) -> Option<usize> {
        usize::try_from((day - self.first).num_days()).ok().filter(|index| *index < self.count)
    }
}

/// The sums of one file, by port and user. Memory grows with their number, not with that of the lines.
#[derive(Clone, Debug)]
pub struct FileSums {
    pub(super) month: MonthDays,
    pub(super) pairs: Vec<PairSum>,
    /// The bytes in and out of each pair on each day of the month, one pair after the other.
    days: Vec<(u64, u64)>,
    /// The pairs by their hash, which is seeded at random, so that nobody can make names that collide.
    by_hash: HashMap<u64, Vec<u32>>,
    hasher: RandomState,
    /// By calendar month, as in a [`NodeMonth`](super::NodeMonth).
    pub(super) newest_counted: BTreeMap<Month, NaiveDate>,
    /// For each line of a day its pair, to be used again.
    found: Vec<u32>,
}

/// The sums of a port and the user whose name was on its lines.
#[derive(Clone, Debug)]
pub(super) struct PairSum {
    pub(super) port: u16,
    pub(super) user: Option<Box<str>>,
    pub(super) total: Counters,
    /// Whether it has lines on days of the month.
    pub(super) is_in_month: bool,
}

impl FileSums {
    /// Nothing yet. Only days of `month` are added up.
    pub fn new(month: MonthDays) -> Self {
        Self {
            month,
            pairs: Vec::new(),
            days: Vec::new(),
            by_hash: HashMap::new(),
            hasher: RandomState::new(),
            newest_counted: BTreeMap::new(),
            found: Vec::new(),
        }
    }

    /// Adds a day, which must not be added twice.
    ///
    /// # Errors
    /// If its figures are implausible, or the file has more different pairs than a node can have. Then nothing that was
    /// added may be used.
    pub fn add(&mut self, seal: &DaySeal, figures: &DayFigures) -> Result<(), SumError> {
        let day = seal.day;
        check_figures(day, figures.iter().map(|line| line.counters))?;
        self.find(figures).ok_or(SumError::TooManyPairs { day })?;
        if seal.has_counted() {
            let newest = self.newest_counted.entry(Month::of(day)).or_insert(day);
            *newest = day.max(*newest);
        }
        let Some(index) = self.month.index(day) else { return Ok(()) };
        for (line, pair) in figures.iter().zip(&self.found) {
            let sum = &mut self.pairs[*pair as usize];
            sum.is_in_month = true;
            sum.total = sum.total.checked_add(line.counters).expect("31 days of at most 2^57 are less than 2^62");
            let of_day = &mut self.days[*pair as usize * self.month.count + index];
            of_day.0 += line.counters.in_bytes();
            of_day.1 += line.counters.out_bytes();
        }
        Ok(())
    }

    /// Frees what only [`FileSums::add`] needs.
    pub fn stop_adding(&mut self) {
        self.by_hash = HashMap::new();
        self.found = Vec::new();
        self.pairs.shrink_to_fit();
        self.days.shrink_to_fit();
    }

    /// The bytes in and out of a pair for each day of the month.
    pub(super) fn days_of(&self, pair: usize) -> &[(u64, u64)] {
        &self.days[pair * self.month.count..][..self.month.count]
    }

    /// Finds or adds the pair of each line. The lines of a day nearly always follow each other as on the day before, so
    /// that a line's pair is the one after that of the line before it. `None` if there are too many pairs.
    fn find(&mut self, figures: &DayFigures) -> Option<()> {
        self.found.clear();
        let mut next = 0;
        for line in figures.iter() {
            let is_of_line = |pair: &PairSum| pair.port == line.port && pair.user.as_deref() == line.user;
            let pair = if self.pairs.get(next).is_some_and(is_of_line) {
                next
            } else {
                let candidates = self.by_hash.entry(self.hasher.hash_one((line.port, line.user))).or_default();
                let known = candidates.iter().map(|pair| *pair as usize).find(|pair| is_of_line(&self.pairs[*pair]));
                match known {
                    Some(pair) => pair,
                    None if self.pairs.len() == MOST_PAIRS => return None,
                    None => {
                        let pair = self.pairs.len();
                        candidates.push(index(pair));
                        let (total, user) = (Counters::default(), line.user.map(Box::from));
                        self.pairs.push(PairSum { port: line.port, user, total, is_in_month: false });
                        self.days.resize(self.days.len() + self.month.count, (0, 0));
                        pair
                    }
                }
            };
            self.found.push(index(pair));
            next = pair + 1;
        }
        Some(())
    }
}

fn index(pair: usize) -> u32 {
    u32::try_from(pair).expect("there are at most 2^16 pairs")
}

#[cfg(test)]
mod tests;
