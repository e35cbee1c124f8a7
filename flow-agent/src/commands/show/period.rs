//! PURE: the times on the command line, and the period that they select.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Days, FixedOffset, Months, NaiveDate, NaiveDateTime, TimeZone as _, Utc};
use chrono_tz::Tz;

use crate::ledger::calendar::{Month, day_end, day_start, local};
use crate::ledger::date;

/// A time given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeArg {
    Today,
    Yesterday,
    /// `6h`: this long before now.
    Ago(Duration),
    /// The billing month such as `2026-10`.
    Month(Month),
    /// `2026-10-05`
    Day(NaiveDate),
    /// `2026-10-05T13:00`, in the configured zone.
    Local(NaiveDateTime),
    /// `2026-10-05T13:00:00+08:00`
    Instant(DateTime<FixedOffset>),
}

/// A text is not a time.
#[derive(Debug, thiserror::Error)]
#[error("expected today, yesterday, 6h (ago), 2026-10, 2026-10-05, 2026-10-05T13:00 or an RFC 3339 instant")]
pub struct TimeArgError;

impl FromStr for TimeArg {
    type Err = TimeArgError;

    fn from_str(text: &str) -> Result<Self, TimeArgError> {
        let local = || {
            let formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"];
            let parsed = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
            parsed.filter(date::is_usable).map(Self::Local)
        };
        let named = match text {
            "today" => Some(Self::Today),
            "yesterday" => Some(Self::Yesterday),
            "now" => Some(Self::Ago(Duration::ZERO)),
            _ => None,
        };
        named
            .or_else(|| text.parse().ok().map(Self::Month))
            .or_else(|| date::parse(text).map(Self::Day))
            .or_else(|| DateTime::parse_from_rfc3339(text).ok().filter(date::is_usable).map(Self::Instant))
            .or_else(local)
            .or_else(|| humantime::parse_duration(text).ok().map(Self::Ago))
            .ok_or(TimeArgError)
    }
}

/// The current time, and the settings that define days and months.
#[derive(Clone, Copy, Debug)]
pub struct ShowContext {
    pub now: DateTime<Utc>,
    pub zone: Tz,
    pub month_start_day: u32,
}

impl ShowContext {
    /// The current date.
    pub fn today(&self) -> NaiveDate {
        local(self.zone, self.now).date_naive()
    }

    /// The billing month in progress.
    pub fn month(&self) -> Month {
        self.month_of(self.today())
    }

    /// The billing month of `day`.
    pub fn month_of(&self, day: NaiveDate) -> Month {
        Month::containing(day, self.month_start_day)
    }
}

/// The period to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Period {
    /// Buckets by the local date of their start.
    Days(RangeInclusive<NaiveDate>),
    /// Buckets that begin at or after `from` and before `to`.
    Instants { from: DateTime<Utc>, to: DateTime<Utc> },
}

/// The period that a view shows by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultPeriod {
    /// The last 24 hours.
    Hours,
    /// The last 31 days, today included.
    Days,
    /// The last 12 billing months, this one included.
    Months,
    /// This billing month up to now.
    Month,
    /// The last 10 years, this one included.
    Years,
}

impl Period {
    /// The period from `from` to `to`, if given. A day or month given as the end is included.
    pub fn new(from: Option<&TimeArg>, to: Option<&TimeArg>, default: DefaultPeriod, context: &ShowContext) -> Self {
        let end = to.map_or(Boundary::Day(context.today()..=context.today()), |to| to.bound(context));
        let start = from.map_or_else(|| default.start(&end, context), |from| from.bound(context));
        match (start, end) {
            (Boundary::Day(start), Boundary::Day(end)) => Self::Days(*start.start()..=*end.end()),
            (start, end) => Self::Instants { from: start.first(context), to: end.last(context) },
        }
    }

    /// The dates whose files may contain such buckets; files are named by the local date of a bucket's start.
    pub fn dates(&self) -> RangeInclusive<NaiveDate> {
        match self {
            Self::Days(days) => days.clone(),
            // Two zones never differ by more than about a day.
            Self::Instants { from, to } => from.date_naive() - Days::new(1)..=to.date_naive() + Days::new(1),
        }
    }

    /// The days, in the configured zone, of which at least a part is in the period.
    pub fn whole_days(&self, context: &ShowContext) -> RangeInclusive<NaiveDate> {
        match self {
            Self::Days(days) => days.clone(),
            Self::Instants { from, to } => {
                let date = |at: DateTime<Utc>| local(context.zone, at).date_naive();
                // The end is not in the period: midnight does not add the day that begins then.
                date(*from)..=date(*from).max(date(*to - chrono::TimeDelta::nanoseconds(1)))
            }
        }
    }

    /// Whether the period ends before it begins.
    pub fn runs_backwards(&self) -> bool {
        match self {
            Self::Days(days) => days.is_empty(),
            Self::Instants { from, to } => from > to,
        }
    }

    /// Whether a bucket that begins at `start` is in the period.
    pub fn holds(&self, start: DateTime<FixedOffset>) -> bool {
        match self {
            Self::Days(days) => days.contains(&start.date_naive()),
            Self::Instants { from, to } => (*from..*to).contains(&start.to_utc()),
        }
    }
}

/// One end of a period: days or an instant.
enum Boundary {
    Day(RangeInclusive<NaiveDate>),
    Instant(DateTime<Utc>),
}

impl Boundary {
    fn first(&self, context: &ShowContext) -> DateTime<Utc> {
        match self {
            Self::Day(days) => day_start(context.zone, *days.start()),
            Self::Instant(at) => *at,
        }
    }

    fn last(&self, context: &ShowContext) -> DateTime<Utc> {
        match self {
            Self::Day(days) => day_end(context.zone, *days.end()),
            Self::Instant(at) => *at,
        }
    }
}

impl TimeArg {
    fn bound(&self, context: &ShowContext) -> Boundary {
        let day = |day: NaiveDate| Boundary::Day(day..=day);
        match self {
            Self::Today => day(context.today()),
            Self::Yesterday => day(context.today() - Days::new(1)),
            Self::Day(date) => day(*date),
            Self::Month(month) => {
                Boundary::Day(month.first_day(context.month_start_day)..=month.last_day(context.month_start_day))
            }
            // A duration that reaches before 1970 means from the beginning.
            Self::Ago(time) => Boundary::Instant(
                chrono::TimeDelta::from_std(*time)
                    .ok()
                    .and_then(|time| context.now.checked_sub_signed(time))
                    .map_or(DateTime::UNIX_EPOCH, |at| at.max(DateTime::UNIX_EPOCH)),
            ),
            Self::Instant(at) => Boundary::Instant(at.to_utc()),
            // If a local time occurs twice, the first is meant; if the clocks skipped it, the beginning of the day.
            Self::Local(at) => Boundary::Instant(
                context
                    .zone
                    .from_local_datetime(at)
                    .earliest()
                    .map_or_else(|| day_start(context.zone, at.date()), |at| at.to_utc()),
            ),
        }
    }
}

impl DefaultPeriod {
    fn start(self, end: &Boundary, context: &ShowContext) -> Boundary {
        let last_day = match end {
            Boundary::Day(days) => *days.end(),
            Boundary::Instant(at) => local(context.zone, *at).date_naive(),
        };
        let first_day = match self {
            Self::Hours => {
                let end = end.last(context).min(context.now);
                return Boundary::Instant(end - chrono::TimeDelta::days(1));
            }
            Self::Days => last_day - Days::new(30),
            Self::Months => {
                let month = Month::containing(last_day, context.month_start_day);
                month.first_day(context.month_start_day) - Months::new(11)
            }
            Self::Month => Month::containing(last_day, context.month_start_day).first_day(context.month_start_day),
            Self::Years => {
                let month = Month::containing(last_day, context.month_start_day);
                let january = Month::new(month.year() - 9, 1).unwrap_or(month);
                january.first_day(context.month_start_day)
            }
        };
        Boundary::Day(first_day..=first_day)
    }
}

#[cfg(test)]
mod tests;
