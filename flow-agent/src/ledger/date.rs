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
mod tests {
    use super::*;

    #[test]
    fn only_a_date_of_a_year_of_four_digits_is_one() {
        assert_eq!(parse("2026-10-05"), NaiveDate::from_ymd_opt(2026, 10, 5));
        assert_eq!(parse("0001-01-01"), NaiveDate::from_ymd_opt(1, 1, 1));
        assert_eq!(parse("9998-12-31"), NaiveDate::from_ymd_opt(9_998, 12, 31));
        for text in [
            "2026-10-5",
            "2026-02-30",
            "+2026-10-05",
            " 2026-10-05",
            "0000-12-31",
            "9999-01-01",
            "-0001-01-01",
            "+10000-01-01",
            "+262142-12-31",
            "-262143-01-01",
            "",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
