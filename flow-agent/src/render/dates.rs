//! Days, months and times as people write them.

use chrono::{DateTime, Datelike as _, NaiveDate, Offset as _, Timelike as _};
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
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_month_is_called_as_people_call_it() {
        let (first, last) = (day("2026-10-01"), day("2026-10-31"));
        assert_eq!(period(Language::English, first, last), "October 2026");
        assert_eq!(period(Language::Chinese, first, last), "2026年10月");
        let (first, last) = (day("2026-12-15"), day("2027-01-14"));
        assert_eq!(period(Language::English, first, last), "15 December 2026 – 14 January 2027");
        assert_eq!(period(Language::Chinese, first, last), "2026年12月15日 – 2027年1月14日");
    }

    #[test]
    fn an_interval_says_what_is_needed_to_find_it() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&chrono_tz::Europe::Paris);
        for (start, end, english, chinese) in [
            (
                "2026-10-05T13:21:00+02:00",
                "2026-10-05T13:33:00+02:00",
                ["5 Oct 13:21", "13:33"],
                ["10月5日 13:21", "13:33"],
            ),
            (
                "2026-10-05T23:00:30+02:00",
                "2026-10-06T01:00:00+02:00",
                ["5 Oct 23:00:30", "6 Oct 01:00:00"],
                ["10月5日 23:00:30", "10月6日 01:00:00"],
            ),
            // The clocks went back from 03:00 to 02:00.
            (
                "2026-10-25T02:30:00+02:00",
                "2026-10-25T02:30:00+01:00",
                ["25 Oct 02:30 +02:00", "02:30 +01:00"],
                ["10月25日 02:30 +02:00", "02:30 +01:00"],
            ),
        ] {
            let of = |language| <[String; 2]>::from(interval(language, at(start), at(end)));
            assert_eq!(
                (of(Language::English), of(Language::Chinese)),
                (english.map(Into::into), chinese.map(Into::into))
            );
        }
    }

    #[test]
    fn neighbouring_days_are_a_run() {
        let days = ["2026-10-03", "2026-10-04", "2026-10-05", "2026-10-09", "2026-10-31", "2026-11-01"].map(day);
        assert_eq!(runs(Language::English, &days), "3 to 5 Oct, 9 Oct, 31 Oct to 1 Nov");
        assert_eq!(runs(Language::Chinese, &days[..4]), "10月3日至5日、10月9日");
    }
}
