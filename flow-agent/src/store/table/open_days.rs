//! The file of the day that is not over yet, so that the file of its month is not replaced every hour. If the clock ran
//! ahead, there are several such days.

use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Range;

use chrono::{DateTime, FixedOffset, NaiveDate};

use super::replace::{Written, encoded_after, is_enough, newer};
use super::{Piece, Source, Table};
use crate::ledger::block::{Daily, DayBlock};
use crate::ledger::month::Month;
use crate::ledger::record::DaySeal;
use crate::store::damage::keep_damaged;
use crate::store::error::StoreError;
use crate::store::layout::StateDir;
use crate::store::seals::{self, FoundSeal};

/// The days in the file, and what the files of their months have of the same days.
pub(super) struct OpenDays {
    table: Table<Daily>,
    in_months: BTreeMap<Month, BTreeMap<NaiveDate, DaySeal>>,
}

impl OpenDays {
    /// Reads the seals in the file, which need not exist.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn read(state: &StateDir) -> Result<Self, StoreError> {
        Ok(Self { table: Table::open_by_seals(state.open_day())?, in_months: BTreeMap::new() })
    }

    /// The seal of an open day.
    pub(super) fn seal(&self, day: NaiveDate) -> Option<&DaySeal> {
        self.table.seal(day)
    }

    /// Whether the file of the month has the day as one that is over.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn is_over(&mut self, state: &StateDir, day: NaiveDate) -> Result<bool, StoreError> {
        Ok(self.in_month(state, day)?.is_some_and(DaySeal::was_made_after_the_day))
    }

    fn in_month(&mut self, state: &StateDir, day: NaiveDate) -> Result<Option<&DaySeal>, StoreError> {
        let seals = match self.in_months.entry(Month::of(day)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let table = Table::<Daily>::open_by_seals(state.daily(Month::of(day)))?;
                new.insert(table.pieces.into_iter().map(|(day, piece)| (day, piece.seal)).collect())
            }
        };
        Ok(seals.get(&day))
    }

    /// Writes `days`, which are not over. Days of the file that are over by then are moved to their months, unless these
    /// have them already.
    ///
    /// # Errors
    /// When a file cannot be read or replaced.
    pub(super) fn put(
        mut self,
        state: &StateDir,
        days: Vec<DayBlock>,
        written: &mut Written,
    ) -> Result<(), StoreError> {
        let Some(now) = days.iter().filter_map(|day| day.seal.at).max() else { return Ok(()) };
        for mut day in days {
            let date = day.seal.day;
            let before = newer(self.in_month(state, date)?, None).cloned();
            let before = newer(before.as_ref(), self.table.seal(date)).cloned();
            if !written.may_replace(state, before.as_ref(), &day.seal) {
                continue;
            }
            let text = encoded_after(before.as_ref(), &mut day, |now| self.has(now))?;
            written.note(date, text.is_some());
            text.map(|text| self.table.set_new(text, day.seal)).transpose()?;
        }
        if self.table.changed {
            self.move_what_is_over(state, now, written)?;
        }
        written.damages.extend(self.table.commit(state.disk())?);
        Ok(())
    }

    /// Whether the file has this content already, and the lines are whole.
    fn has(&self, now: &DaySeal) -> Result<bool, StoreError> {
        let Some(Piece { seal, source: Source::Old(bytes) }) = self.table.pieces.get(&now.day) else {
            return Ok(false);
        };
        Ok(is_enough(seal, now) && self.is_intact(seal, bytes)?)
    }

    /// Whether the lines before a seal of the file are those that it was made for.
    fn is_intact(&self, seal: &DaySeal, bytes: &Range<u64>) -> Result<bool, StoreError> {
        let found = FoundSeal::<Daily> { seal: seal.clone(), bytes: bytes.clone(), seal_bytes: 0 };
        Ok(seals::block(&self.table.path, &found)?.is_some())
    }

    fn move_what_is_over(
        &mut self,
        state: &StateDir,
        now: DateTime<FixedOffset>,
        written: &mut Written,
    ) -> Result<(), StoreError> {
        let over: Vec<DaySeal> = self
            .table
            .pieces
            .values()
            .filter(|piece| piece.seal.is_over_at(now))
            .map(|piece| piece.seal.clone())
            .collect();
        for seal in over {
            // The month was possibly written a moment ago.
            let mut table = Table::<Daily>::open_by_seals(state.daily(Month::of(seal.day)))?;
            let is_there = table.seal(seal.day).is_some_and(|there| there.at >= seal.at);
            if !is_there && let Some(piece) = self.table.pieces.get(&seal.day) {
                // Its own roll-up has failed, or its hours are gone. It remains as what it is: a day that was not over.
                let Source::Old(bytes) = &piece.source else { continue };
                if !self.is_intact(&seal, bytes)? {
                    let path = self.table.path.clone();
                    tracing::warn!(
                        file = %path.display(), day = %seal.day,
                        "the last version of this day is damaged: it is copied aside and has to be rolled up again"
                    );
                    keep_damaged(state.disk(), &path, bytes.clone())?;
                    self.table.remove(seal.day);
                    continue;
                }
                tracing::warn!(day = %seal.day, "the day is kept as it was last rolled up before it was over");
                table.set(seal.clone(), Source::Elsewhere(self.table.path.clone(), bytes.clone()));
                written.damages.extend(table.commit(state.disk())?);
            }
            self.table.remove(seal.day);
        }
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
