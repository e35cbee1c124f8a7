//! Formats days, months and times for people.

use chrono::{DateTime, Datelike as _, FixedOffset, NaiveDate, Offset as _, Timelike as _};
use chrono_tz::Tz;

use crate::ledger::language::Language;
use crate::ledger::month::Month;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// `October 2026`, `2026年10月`; the first and last day if the billing month does not begin on the first.
pub(super) fn period(language: Language, first: NaiveDate, last: NaiveDate) -> String {
    if first.day() == 1 {
        return month(language, Month::of(first));
    }
    match language {
        Language::English => format!("{} – {}", long(first), long(last)),
        Language::Chinese => {
            format!("{}年{} – {}年{}", first.year(), short(language, first), last.year(), short(language, last))
        }
    }
}

/// `October 2026`, `2026年10月`
pub(super) fn month(language: Language, month: Month) -> String {
    let first = month.first_day(1);
    match language {
        Language::English => format!("{} {}", MONTHS[first.month0() as usize], first.year()),
        Language::Chinese => format!("{}年{}月", first.year(), first.month()),
    }
}

/// `5 Oct`, `10月5日`
pub(super) fn short(language: Language, day: NaiveDate) -> String {
    match language {
        Language::English => format!("{} {}", day.day(), &MONTHS[day.month0() as usize][..3]),
        Language::Chinese => format!("{}月{}日", day.month(), day.day()),
    }
}

/// `4 December 2026`, `2026年12月4日`
pub(super) fn full(language: Language, day: NaiveDate) -> String {
    match language {
        Language::English => long(day),
        Language::Chinese => format!("{}年{}", day.year(), short(language, day)),
    }
}

/// `1 Nov 2026 00:11`, `2026年11月1日 00:11`
pub(super) fn instant(language: Language, at: DateTime<FixedOffset>) -> String {
    let (day, time) = (at.date_naive(), at.format("%H:%M"));
    match language {
        Language::English => format!("{} {} {time}", short(language, day), day.year()),
        Language::Chinese => format!("{} {time}", full(language, day)),
    }
}

fn long(day: NaiveDate) -> String {
    format!("{} {} {}", day.day(), MONTHS[day.month0() as usize], day.year())
}

/// Start and end of an interval: `5 Oct 13:00` and `13:10`, or `7 Oct 01:00` where it ends on another day. Seconds and
/// offsets are given only where the interval is ambiguous without them.
pub(super) fn interval(language: Language, start: DateTime<Tz>, end: DateTime<Tz>) -> (String, String) {
    let has_seconds = start.second() != 0 || end.second() != 0;
    let is_one_offset = start.offset().fix() == end.offset().fix();
    let time = |at: DateTime<Tz>| {
        let time = at.format(if has_seconds { "%H:%M:%S" } else { "%H:%M" });
        if is_one_offset { time.to_string() } else { format!("{time} {}", at.offset().fix()) }
    };
    let full = |at: DateTime<Tz>| format!("{} {}", short(language, at.date_naive()), time(at));
    let is_one_day = start.date_naive() == end.date_naive();
    (full(start), if is_one_day { time(end) } else { full(end) })
}

/// `6 – 31 Oct`, `30 Oct – 2 Nov`; `10月6日 – 31日`, `10月30日 – 11月2日`.
pub(super) fn span(language: Language, first: NaiveDate, last: NaiveDate) -> String {
    let is_one_month = (first.year(), first.month()) == (last.year(), last.month());
    match language {
        Language::English if is_one_month => format!("{} – {}", first.day(), short(language, last)),
        Language::Chinese if is_one_month => format!("{} – {}日", short(language, first), last.day()),
        Language::English | Language::Chinese => format!("{} – {}", short(language, first), short(language, last)),
    }
}

/// Consecutive days as runs: `3 to 5 Oct, 9 Oct`; `10月3日至5日、10月9日`.
pub(super) fn runs(language: Language, days: &[NaiveDate]) -> String {
    let mut runs: Vec<(NaiveDate, NaiveDate)> = Vec::new();
    for day in days {
        match runs.last_mut() {
            Some((_, last)) if last.succ_opt() == Some(*day) => *last = *day,
            Some(_) | None => runs.push((*day, *day)),
        }
    }
    let run = |(first, last): &(NaiveDate, NaiveDate)| {
        let is_one_month = (first.year(), first.month()) == (last.year(), last.month());
        match language {
            _ if first == last => short(language, *first),
            Language::English if is_one_month => format!("{} to {}", first.day(), short(language, *last)),
            Language::English => format!("{} to {}", short(language, *first), short(language, *last)),
            Language::Chinese if is_one_month => format!("{}至{}日", short(language, *first), last.day()),
            Language::Chinese => format!("{}至{}", short(language, *first), short(language, *last)),
        }
    };
    let separator = match language {
        Language::English => ", ",
        Language::Chinese => "、",
    };
    runs.iter().map(run).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests;
