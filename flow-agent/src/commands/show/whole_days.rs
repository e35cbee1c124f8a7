//! Days of which the daily log has the sums of the ports, and the hourly log the seals. The lines of their hours, which
//! are nearly all of the log, need not be read.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use super::days::MonthIndex;
use super::period::{Period, ShowContext};
use super::read::{Log, ShownBlock};
use crate::exit::Failure;
use crate::ledger::block::{Daily, DayBlock, Hourly};
use crate::ledger::calendar::Month;
use crate::ledger::distinct_buckets::DistinctBuckets;
use crate::ledger::record::{HourSeal, Quality};
use crate::store::hours;
use crate::store::seals::{self, FoundSeal};

/// A day that is over.
#[derive(Clone, Debug)]
pub struct WholeDay {
    pub block: DayBlock,
    /// The seals of exactly those buckets that the day was made from.
    pub seals: Vec<HourSeal>,
}

/// A part of the log: a whole day if that is certain to be the same, otherwise a bucket.
#[derive(Debug)]
pub enum LogPart {
    Day(Box<WholeDay>),
    Bucket(Box<ShownBlock<Hourly>>),
}

impl Log {
    /// Passes to `take` everything that [`Log::buckets`] passes, with days in the place of their buckets where possible.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn parts(
        &mut self,
        period: &Period,
        context: &ShowContext,
        mut take: impl FnMut(LogPart),
    ) -> Result<(), Failure> {
        let dates = period.dates();
        let dates: Vec<NaiveDate> = hours::dates(self.state())?.into_iter().filter(|day| dates.contains(day)).collect();
        let mut distinct = DistinctBuckets::default();
        let mut months = MonthIndexes::default();
        for date in dates {
            let whole =
                if date < context.today() { self.whole_day(date, period, &distinct, &mut months)? } else { None };
            match whole {
                Some(day) => {
                    // None of them is known, so all of them are admitted.
                    day.seals.iter().for_each(|seal| drop(distinct.admit(seal)));
                    take(LogPart::Day(Box::new(day)));
                }
                None => {
                    let take = |bucket| {
                        take(LogPart::Bucket(Box::new(bucket)));
                        Ok(true)
                    };
                    distinct = self.sealed_buckets(date..=date, period, distinct, take)?.0;
                }
            }
        }
        if let Some(open) = self.open_bucket_in(period) {
            take(LogPart::Bucket(Box::new(open)));
        }
        if matches!(period, Period::Days(_)) {
            months.damaged.into_iter().try_for_each(|month| self.note_damage_of(month))?;
        }
        Ok(())
    }

    /// The day, if it certainly holds what the buckets of that date hold: it was made from as many buckets of each
    /// quality as there are now. `None` if the buckets have to be read.
    fn whole_day(
        &mut self,
        date: NaiveDate,
        period: &Period,
        distinct: &DistinctBuckets,
        months: &mut MonthIndexes,
    ) -> Result<Option<WholeDay>, Failure> {
        let Some(found) = months.day(self, date)? else { return Ok(None) };
        let Some(seals) = seals::of_date(self.state(), date)? else { return Ok(None) };
        let seals: Vec<HourSeal> = seals.into_iter().map(|found| found.seal).collect();
        let mut of_this_day = DistinctBuckets::default();
        let mut quality: BTreeMap<Quality, u32> = BTreeMap::new();
        for seal in &seals {
            *quality.entry(seal.quality).or_default() += 1;
            let is_new = of_this_day.admit(seal) == Ok(true) && !distinct.has_identity_of(seal);
            let is_of_day = seal.start.date_naive() == date && period.holds(seal.start);
            if !is_new || !is_of_day || self.is_in_open(seal) {
                return Ok(None);
            }
        }
        // The comparison with the devices needs the lines of exactly those buckets that list them.
        let with_devices = seals.iter().filter(|seal| !seal.devices.is_empty()).count();
        if with_devices > 0 && with_devices < seals.len() && !self.narrow().is_narrow() {
            return Ok(None);
        }
        if seals.is_empty() || quality != found.seal.quality || !self.narrow().is_known_of_days(&seals) {
            return Ok(None);
        }
        let Some(mut block) = seals::block(&self.state().daily(Month::of(date)), &found)? else {
            months.damaged.insert(Month::of(date));
            return Ok(None);
        };
        self.narrow().days(&mut block);
        Ok(Some(WholeDay { block, seals }))
    }
}

/// The places of the days in the daily log, of one month at a time.
#[derive(Debug, Default)]
pub(super) struct MonthIndexes {
    read: Option<(Month, Option<MonthIndex>)>,
    damaged: BTreeSet<Month>,
}

impl MonthIndexes {
    fn day(&mut self, log: &Log, date: NaiveDate) -> Result<Option<FoundSeal<Daily>>, Failure> {
        let month = Month::of(date);
        if self.read.as_ref().is_none_or(|(read, _)| *read != month) {
            self.read = Some((month, MonthIndex::read(log.state().daily(month))?));
        }
        let index = self.read.as_mut().and_then(|(_, index)| index.as_mut());
        Ok(index.and_then(|index| index.days.remove(&date)))
    }
}

#[cfg(test)]
mod tests;
