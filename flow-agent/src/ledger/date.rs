//! Dates from outside: in file names, in lines of files and on the command line.
//!
//! File names have four-digit years, and every month needs a previous and a next one. Dates outside these years are
//! rejected on input, so that the arithmetic of [`super::calendar`] and [`super::month`], which panics at the ends of
//! chrono's range, never meets one.

use std::ops::RangeInclusive;

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// The years that a date from outside may have.
pub const YEARS: RangeInclusive<i32> = 1..=9_998;

/// Whether its year is one of [`YEARS`].
pub fn is_usable(date: &impl Datelike) -> bool {
    YEARS.contains(&date.year())
}

/// Parses exactly the form `2026-10-05`; anything similar is rejected.
pub fn parse(text: &str) -> Option<NaiveDate> {
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(is_usable)?;
    (date.to_string() == text).then_some(date)
}

/// Writes `2026-10-05`.
pub fn serialize<S: Serializer>(date: &NaiveDate, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}

/// Reads what [`parse`] takes.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveDate, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| D::Error::custom("expected a date such as 2026-10-05"))
}

#[cfg(test)]
mod tests;
