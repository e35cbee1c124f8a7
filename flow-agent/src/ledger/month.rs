//! Billing months: their days, and the last complete one.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike as _, Days, Months, NaiveDate};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::date;

/// A billing month, named after the calendar month in which it begins: with `month_start_day` = 15, 2026-10 is 15
/// October to 14 November.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    /// The first day of the calendar month it is named after.
    first: NaiveDate,
}

impl Month {
    /// `None` unless `year` is one of [`date::YEARS`] and `month` is 1 to 12.
    pub fn new(year: i32, month: u32) -> Option<Self> {
        if !date::YEARS.contains(&year) {
            return None;
        }
        NaiveDate::from_ymd_opt(year, month, 1).map(|first| Self { first })
    }

    /// The calendar month of `day`, whose daily file contains it.
    pub fn of(day: NaiveDate) -> Self {
        Self::containing(day, 1)
    }

    /// The billing month of `day`.
    ///
    /// # Panics
    /// At the ends of chrono's range, which no clock reaches and [`date::is_usable`] rejects.
    pub fn containing(day: NaiveDate, month_start_day: u32) -> Self {
        let first = day.with_day(1).expect("every month has a first");
        let month = Self { first };
        if day.day() < month_start_day { month.previous() } else { month }
    }

    /// The last month that is over on `today`.
    pub fn last_complete(today: NaiveDate, month_start_day: u32) -> Self {
        Self::containing(today, month_start_day).previous()
    }

    /// The year in its name, whose monthly file contains it.
    pub fn year(self) -> i32 {
        self.first.year()
    }

    /// Its first day.
    ///
    /// # Panics
    /// If `month_start_day` is not 1 to 28; the configuration rejects that.
    pub fn first_day(self, month_start_day: u32) -> NaiveDate {
        self.first.with_day(month_start_day).expect("month_start_day is 1 to 28, and every month has those")
    }

    /// Its last day.
    pub fn last_day(self, month_start_day: u32) -> NaiveDate {
        self.next().first_day(month_start_day) - Days::new(1)
    }

    /// Its days, in order.
    pub fn days(self, month_start_day: u32) -> impl Iterator<Item = NaiveDate> {
        let last = self.last_day(month_start_day);
        self.first_day(month_start_day).iter_days().take_while(move |day| *day <= last)
    }

    /// The one or two calendar months that its days lie in, whose daily files contain them.
    pub fn calendar_months(self, month_start_day: u32) -> impl Iterator<Item = Self> {
        let second = (month_start_day > 1).then(|| self.next());
        std::iter::once(self).chain(second)
    }

    /// The next month.
    #[must_use]
    pub fn next(self) -> Self {
        Self { first: self.first + Months::new(1) }
    }

    /// The previous month.
    #[must_use]
    pub fn previous(self) -> Self {
        Self { first: self.first - Months::new(1) }
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.first.year(), self.first.month())
    }
}

/// A text is not the name of a month.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a month such as 2026-10")]
pub struct MonthError {
    pub text: String,
}

impl FromStr for Month {
    type Err = MonthError;

    fn from_str(text: &str) -> Result<Self, MonthError> {
        let digits = |part: &str, count| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
        text.split_once('-')
            .filter(|(year, month)| digits(year, 4) && digits(month, 2))
            .and_then(|(year, month)| Self::new(year.parse().ok()?, month.parse().ok()?))
            .ok_or_else(|| MonthError { text: text.to_owned() })
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
