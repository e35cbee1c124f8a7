use chrono::TimeDelta;

use super::*;
use crate::ledger::block::DayBlock;
use crate::ledger::record::{Kind, VERSION};
use crate::ledger::statement::Directory;

fn instant(text: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(text).unwrap()
}

/// A seal of 31 October in Los Angeles: the day ends at 07:00 UTC.
fn seal(covered: u32, at: Option<&str>, gaps: Vec<Gap>) -> DaySeal {
    DaySeal {
        v: VERSION,
        kind: Kind::Seal,
        day: "2026-10-31".parse().unwrap(),
        node: "la-1".into(),
        zone: "America/Los_Angeles".into(),
        ports: 0,
        seconds_in_day: 86_400,
        seconds_covered: covered,
        buckets_expected: 24,
        buckets_sealed: 24,
        quality: [].into(),
        gaps,
        late: None,
        at: at.map(instant),
        sha256: String::new(),
    }
}

fn gap(start: &str, end: &str, interface: &str) -> Gap {
    Gap { start: instant(start), end: instant(end), interface: interface.into(), why: "no bucket".into() }
}

#[test]
fn a_day_can_grow_until_the_node_has_sealed_it_after_its_end_and_gone_on() {
    let before_the_end = Some("2026-10-31T23:59:59-07:00");
    let after_the_end = Some("2026-11-01T00:00:00-07:00");
    let at_noon = || gap("2026-10-31T12:00:00-07:00", "2026-10-31T12:10:00-07:00", "*");
    let at_the_end = |interface| gap("2026-10-31T23:50:00-07:00", "2026-11-01T00:00:00-07:00", interface);
    let all_day = || gap("2026-10-31T00:00:00-07:00", "2026-11-01T00:00:00-07:00", "*");
    let (same_day, next_day) = (Some("2026-10-31".parse().unwrap()), Some("2026-11-01".parse().unwrap()));
    for (what, seal, newest, expected) in [
        ("all of it is covered", seal(86_400, None, vec![]), None, false),
        ("all of it, sealed on the day", seal(86_400, before_the_end, vec![]), same_day, true),
        ("an old version, a hole in it", seal(85_800, None, vec![at_noon()]), next_day, true),
        ("sealed on the day", seal(85_800, before_the_end, vec![at_noon()]), next_day, true),
        ("sealed after it, a hole at noon", seal(85_800, after_the_end, vec![at_noon()]), same_day, false),
        ("sealed after it, a hole at its end", seal(85_800, after_the_end, vec![at_the_end("*")]), same_day, true),
        ("the same, and the node went on", seal(85_800, after_the_end, vec![at_the_end("*")]), next_day, false),
        ("an interface was down at its end", seal(85_800, after_the_end, vec![at_the_end("eth0")]), same_day, false),
        ("nothing of it", seal(0, after_the_end, vec![]), None, true),
        ("nothing of it, and the node went on", seal(0, after_the_end, vec![all_day()]), next_day, false),
        ("too many holes to list", seal(9, after_the_end, vec![at_noon(); MOST_GAPS]), same_day, true),
    ] {
        assert_eq!(can_grow(&seal, newest), expected, "{what}");
    }
    // A main node with an older time zone database does not know the zone and must go by the offset.
    let of_mars = |at| DaySeal { zone: "Mars/Olympus".into(), ..seal(85_800, at, vec![at_noon()]) };
    assert!(can_grow(&of_mars(before_the_end), next_day) && !can_grow(&of_mars(after_the_end), next_day));
    // What the node says about the length of its day is not trusted.
    let short = DaySeal { seconds_in_day: 10, ..seal(10, None, vec![]) };
    assert!(can_grow(&short, None));
}

#[test]
fn a_month_waits_for_whole_days_and_no_longer_than_it_promised() {
    let zone = chrono_tz::Asia::Shanghai;
    let first = instant("2026-11-01T00:11:05+08:00");
    let waiting = |patience, since, promised| Waiting { patience, since, promised };
    let week = TimeDelta::days(7);
    for (waiting, expected) in [
        (waiting(week, None, None), "2026-11-08T00:00:00+08:00"),
        (waiting(week, Some(instant("2026-10-31T17:00:00Z")), None), "2026-11-08T00:00:00+08:00"),
        (waiting(TimeDelta::hours(36), None, None), "2026-11-02T00:00:00+08:00"),
        (waiting(TimeDelta::days(1), None, None), "2026-11-02T00:00:00+08:00"),
        (waiting(TimeDelta::hours(12), None, None), "2026-11-01T12:11:05+08:00"),
        // The configuration was changed after letters had named a day.
        (waiting(week, Some(first), Some(instant("2026-11-03T00:00:00+08:00"))), "2026-11-03T00:00:00+08:00"),
    ] {
        assert_eq!(waiting.ends_at(zone, first), instant(expected), "{waiting:?}");
    }
}

#[test]
fn a_statement_is_final_when_nothing_concerns_it_or_the_time_has_passed() {
    for (is_over, waits, is_overdue, expected) in [
        (false, false, false, Finality::InProgress),
        (false, true, false, Finality::InProgress),
        (true, false, false, Finality::Final),
        (true, false, true, Finality::Final),
        (true, true, false, Finality::Provisional),
        (true, true, true, Finality::Final),
    ] {
        assert_eq!(state(is_over, waits, is_overdue), expected, "{is_over} {waits} {is_overdue}");
    }
}

#[test]
fn a_day_that_was_sealed_by_a_clock_that_was_ahead_can_grow() {
    let next_day = Some("2026-11-01".parse().unwrap());
    // The clock was a day ahead at noon, and the roll-ups after it was set back must be later than that one.
    assert!(can_grow(&seal(43_200, Some("2026-11-01T12:00:01-07:00"), vec![]), next_day));
    // It was set to the end of the day during a bucket.
    assert!(can_grow(&seal(86_400, Some("2026-10-31T13:00:00-07:00"), vec![]), next_day));
    let afternoon = || gap("2026-10-31T12:00:00-07:00", "2026-10-31T18:00:00-07:00", "*");
    let evening = |interface| gap("2026-10-31T18:00:00-07:00", "2026-11-01T00:00:00-07:00", interface);
    let after_the_end = Some("2026-11-01T00:00:00-07:00");
    assert!(!can_grow(&seal(43_200, after_the_end, vec![afternoon(), evening("*")]), next_day));
    // Gaps at the same time on two interfaces count once.
    assert!(can_grow(&seal(43_200, after_the_end, vec![afternoon(), afternoon()]), next_day));
}

#[test]
fn a_later_day_is_needed_only_where_it_would_complete_one() {
    let directory = Directory::default();
    let depends = |seal: DaySeal| {
        let mut figures = NodeMonth::new("la-1", &directory, "2026-10".parse().unwrap(), 1);
        figures.add(&DayBlock { lines: Vec::new(), seal }).unwrap();
        depends_on_later_days(&figures)
    };
    let at_its_end = || vec![gap("2026-10-31T23:50:00-07:00", "2026-11-01T00:00:00-07:00", "*")];
    assert!(depends(seal(85_800, Some("2026-11-01T00:00:00-07:00"), at_its_end())));
    assert!(!depends(seal(85_800, Some("2026-10-31T23:59:59-07:00"), at_its_end())), "it can grow anyway");
    assert!(!depends(seal(86_400, Some("2026-11-01T00:00:00-07:00"), Vec::new())), "it is whole");
}

#[test]
fn a_day_is_missing_once_it_is_over_and_one_that_never_was_is_not() {
    let directory = Directory::default();
    let month = "2011-12".parse().unwrap();
    let figures = NodeMonth::new("ws-1", &directory, month, 1);
    // Samoa went from the 29th to the 31st at once.
    let zone = chrono_tz::Pacific::Apia;
    let open = |now: &str| open_days(&figures, true, zone, month, 1, instant(now).to_utc());
    let over = open("2012-01-01T00:00:00+14:00");
    assert_eq!((over.missing.len(), over.growing.len()), (30, 0));
    let a_second_before = open("2011-12-31T23:59:59+14:00");
    assert_eq!((a_second_before.missing.len(), a_second_before.growing), (29, vec!["2011-12-31".parse().unwrap()]));
}
