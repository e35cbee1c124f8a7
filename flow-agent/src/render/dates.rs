//! Days and months as people write them.

use chrono::{Datelike as _, NaiveDate};

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

/// `October 2026`, `2026年10月`; a month that does not begin on the first: from when to when.
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

/// Days as runs: `3 – 5 Oct, 9 Oct`, each end written out.
pub(super) fn runs(language: Language, days: &[NaiveDate]) -> String {
    let mut runs: Vec<(NaiveDate, NaiveDate)> = Vec::new();
    for day in days {
        match runs.last_mut() {
            Some((_, last)) if last.succ_opt() == Some(*day) => *last = *day,
            Some(_) | None => runs.push((*day, *day)),
        }
    }
    let run = |(first, last): &(NaiveDate, NaiveDate)| {
        if first == last {
            short(language, *first)
        } else {
            format!("{} – {}", short(language, *first), short(language, *last))
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
    fn neighbouring_days_are_a_run() {
        let days = ["2026-10-03", "2026-10-04", "2026-10-05", "2026-10-09", "2026-10-31", "2026-11-01"].map(day);
        assert_eq!(runs(Language::English, &days), "3 Oct – 5 Oct, 9 Oct, 31 Oct – 1 Nov");
        assert_eq!(runs(Language::Chinese, &days[..4]), "10月3日 – 10月5日、10月9日");
    }
}
