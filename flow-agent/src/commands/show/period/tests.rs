use super::*;

fn context() -> ShowContext {
    // In Kathmandu this is 20:30 on 23 November.
    let now = DateTime::parse_from_rfc3339("2026-11-23T14:45:00Z").unwrap().to_utc();
    ShowContext { now, zone: chrono_tz::Asia::Kathmandu, month_start_day: 15 }
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn period(from: Option<&str>, to: Option<&str>, default: DefaultPeriod) -> Period {
    let when = |text: Option<&str>| text.map(|text| text.parse::<TimeArg>().unwrap());
    Period::new(when(from).as_ref(), when(to).as_ref(), default, &context())
}

fn instants(from: &str, to: &str) -> Period {
    let utc = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
    Period::Instants { from: utc(from), to: utc(to) }
}

#[test]
fn named_days_and_months_are_in_it_as_a_whole() {
    let days = |from: &str, to: &str| Period::Days(day(from)..=day(to));
    let of = |from, to| period(Some(from), Some(to), DefaultPeriod::Days);
    assert_eq!(of("2026-10-05", "2026-10-07"), days("2026-10-05", "2026-10-07"));
    assert_eq!(of("yesterday", "today"), days("2026-11-22", "2026-11-23"));
    // The month begins on the 15th.
    assert_eq!(of("2026-10", "2026-10"), days("2026-10-15", "2026-11-14"));
}

#[test]
fn instants_are_meant_on_the_clocks_of_the_zone() {
    let expected = instants("2026-10-05T07:15:00Z", "2026-10-05T09:15:00Z");
    assert_eq!(period(Some("2026-10-05T13:00"), Some("2026-10-05 15:00:00"), DefaultPeriod::Hours), expected);
    let with_offset = period(Some("2026-10-05T15:15:00+08:00"), Some("2026-10-05T09:15:00Z"), DefaultPeriod::Hours);
    assert_eq!(with_offset, expected);
    assert_eq!(
        period(Some("6h"), Some("now"), DefaultPeriod::Hours),
        instants("2026-11-23T08:45:00Z", "2026-11-23T14:45:00Z")
    );
    // An instant and a day: up to the end of that day, which is 18:15 in UTC.
    assert_eq!(
        period(Some("6h"), Some("today"), DefaultPeriod::Hours),
        instants("2026-11-23T08:45:00Z", "2026-11-23T18:15:00Z")
    );
}

#[test]
fn the_days_of_instants_are_those_of_the_zone_of_which_a_part_is_in_it() {
    let days = |from: &str, to: &str| {
        let days = instants(from, to).whole_days(&context());
        (days.start().to_string(), days.end().to_string())
    };
    let both = |from: &str, to: &str| (from.to_owned(), to.to_owned());
    // Midnight in Kathmandu is 18:15 in UTC.
    assert_eq!(days("2026-10-05T18:14:59Z", "2026-10-05T18:15:01Z"), both("2026-10-05", "2026-10-06"));
    assert_eq!(days("2026-10-05T18:15:00Z", "2026-10-06T18:15:00Z"), both("2026-10-06", "2026-10-06"));
    assert_eq!(days("2026-10-05T18:15:00Z", "2026-10-05T18:15:00Z"), both("2026-10-06", "2026-10-06"));
}

#[test]
fn what_is_usual_ends_today_or_where_it_is_said() {
    assert_eq!(period(None, None, DefaultPeriod::Hours), instants("2026-11-22T14:45:00Z", "2026-11-23T18:15:00Z"));
    assert_eq!(period(None, None, DefaultPeriod::Days), Period::Days(day("2026-10-24")..=day("2026-11-23")));
    assert_eq!(period(None, None, DefaultPeriod::Month), Period::Days(day("2026-11-15")..=day("2026-11-23")));
    assert_eq!(period(None, None, DefaultPeriod::Months), Period::Days(day("2025-12-15")..=day("2026-11-23")));
    assert_eq!(
        period(None, Some("2026-10-20"), DefaultPeriod::Month),
        Period::Days(day("2026-10-15")..=day("2026-10-20"))
    );
}

#[test]
fn a_bucket_belongs_to_the_date_in_its_own_start() {
    let days = Period::Days(day("2026-10-05")..=day("2026-10-05"));
    let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap();
    assert!(days.holds(at("2026-10-05T23:00:00+08:00")));
    assert!(!days.holds(at("2026-10-06T00:00:00+08:00")));
    let hours = instants("2026-10-05T07:00:00Z", "2026-10-05T09:00:00Z");
    assert!(hours.holds(at("2026-10-05T15:00:00+08:00")) && !hours.holds(at("2026-10-05T17:00:00+08:00")));
    assert_eq!(hours.dates(), day("2026-10-04")..=day("2026-10-06"));
}

#[test]
fn what_is_no_time_is_refused() {
    for text in ["", "tomorrow", "2026-13", "2026-02-30", "13:00", "05/10/2026", "+262142-12-31", "-0001-01-01"] {
        assert!(text.parse::<TimeArg>().is_err(), "{text}");
    }
}
