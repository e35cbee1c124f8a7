use chrono::{Datelike as _, Timelike as _};
use chrono_tz::TZ_VARIANTS;

use super::*;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn secs(seconds: u64) -> BucketLength {
    Duration::from_secs(seconds).try_into().unwrap()
}

/// The starts of the hour buckets from `from` on, as they are written.
fn starts(zone: Tz, from: &str, count: usize) -> Vec<String> {
    let mut start = bucket_start(zone, BucketLength::HOUR, at(from));
    std::iter::from_fn(|| {
        let shown = local(zone, start).format("%m-%d %H:%M%:z").to_string();
        start = next_boundary(zone, BucketLength::HOUR, start);
        Some(shown)
    })
    .take(count)
    .collect()
}

#[test]
fn a_bucket_divides_an_hour() {
    for seconds in [1, 2, 10, 60, 300, 720, 900, 1_200, 1_800, 3_600] {
        assert_eq!(secs(seconds).seconds(), u32::try_from(seconds).unwrap());
    }
    for refused in [0, 7, 7_200, 86_400, u64::MAX] {
        assert!(BucketLength::try_from(Duration::from_secs(refused)).is_err(), "{refused}");
    }
    assert!(BucketLength::try_from(Duration::from_millis(1_500)).is_err());
}

#[test]
fn hours_are_the_zones_hours() {
    assert_eq!(starts(Tz::Asia__Shanghai, "2026-10-05T05:20:00Z", 2), ["10-05 13:00+08:00", "10-05 14:00+08:00"]);
    // Kathmandu: 00:15 UTC is 06:00.
    assert_eq!(starts(Tz::Asia__Kathmandu, "2026-10-05T00:20:00Z", 2), ["10-05 06:00+05:45", "10-05 07:00+05:45"]);
    assert_eq!(
        next_boundary(Tz::Asia__Kathmandu, BucketLength::HOUR, at("2026-10-05T00:15:00Z")),
        at("2026-10-05T01:15:00Z")
    );
}

#[test]
fn a_boundary_is_after_the_last_and_not_at_it() {
    let boundary = at("2026-10-05T13:00:00Z");
    assert_eq!(next_boundary(Tz::UTC, BucketLength::HOUR, boundary), at("2026-10-05T14:00:00Z"));
    assert_eq!(next_boundary(Tz::UTC, BucketLength::HOUR, at("2026-10-05T12:59:59.999Z")), boundary);
    assert_eq!(bucket_start(Tz::UTC, BucketLength::HOUR, boundary), boundary);
    assert_eq!(bucket_start(Tz::UTC, BucketLength::HOUR, at("2026-10-05T12:59:59.999Z")), at("2026-10-05T12:00:00Z"));
}

#[test]
fn a_night_in_which_the_clock_goes_back_has_two_distinct_two_o_clocks() {
    assert_eq!(
        starts(Tz::Europe__Berlin, "2026-10-24T23:00:00Z", 4),
        ["10-25 01:00+02:00", "10-25 02:00+02:00", "10-25 02:00+01:00", "10-25 03:00+01:00"]
    );
    assert_eq!(seconds_in_day(Tz::Europe__Berlin, day("2026-10-25")), 25 * 3_600);
    assert_eq!(buckets_expected(Tz::Europe__Berlin, BucketLength::HOUR, day("2026-10-25")), 25);
}

#[test]
fn a_night_in_which_the_clock_goes_forward_has_no_two_o_clock() {
    assert_eq!(
        starts(Tz::Europe__Berlin, "2026-03-29T00:00:00Z", 3),
        ["03-29 01:00+01:00", "03-29 03:00+02:00", "03-29 04:00+02:00"]
    );
    assert_eq!(seconds_in_day(Tz::Europe__Berlin, day("2026-03-29")), 23 * 3_600);
    assert_eq!(buckets_expected(Tz::Europe__Berlin, secs(900), day("2026-03-29")), 92);
}

#[test]
fn half_an_hour_of_summer_time_makes_half_an_hours_bucket() {
    // Lord Howe: at 02:00 (+11:00) back to 01:30 (+10:30), at 02:00 (+10:30) forward to 02:30 (+11:00).
    assert_eq!(
        starts(Tz::Australia__Lord_Howe, "2026-04-04T14:00:00Z", 4),
        ["04-05 01:00+11:00", "04-05 01:30+10:30", "04-05 02:00+10:30", "04-05 03:00+10:30"]
    );
    assert_eq!(
        starts(Tz::Australia__Lord_Howe, "2026-10-03T14:30:00Z", 3),
        ["10-04 01:00+10:30", "10-04 02:30+11:00", "10-04 03:00+11:00"]
    );
    assert_eq!(seconds_in_day(Tz::Australia__Lord_Howe, day("2026-04-05")), 88_200);
    assert_eq!(buckets_expected(Tz::Australia__Lord_Howe, BucketLength::HOUR, day("2026-04-05")), 25);
    assert_eq!(buckets_expected(Tz::Australia__Lord_Howe, BucketLength::HOUR, day("2026-10-04")), 24);
}

#[test]
fn a_day_begins_at_the_first_instant_of_its_date() {
    for (zone, date, start, seconds, hours) in [
        (Tz::UTC, "2028-02-29", "2028-02-29T00:00:00Z", 86_400, 24),
        (Tz::Asia__Shanghai, "2026-12-31", "2026-12-30T16:00:00Z", 86_400, 24),
        // No 00:00: the clock goes from 23:59:59 to 01:00.
        (Tz::America__Sao_Paulo, "2018-11-04", "2018-11-04T03:00:00Z", 23 * 3_600, 23),
        // The hour before midnight comes twice, midnight once.
        (Tz::America__Sao_Paulo, "2018-02-17", "2018-02-17T02:00:00Z", 25 * 3_600, 25),
        (Tz::America__Sao_Paulo, "2018-02-18", "2018-02-18T03:00:00Z", 86_400, 24),
        // Midnight comes twice: the first is the first instant.
        (Tz::America__Havana, "2026-11-01", "2026-11-01T04:00:00Z", 25 * 3_600, 25),
        // The date was skipped.
        (Tz::Pacific__Apia, "2011-12-29", "2011-12-29T10:00:00Z", 86_400, 24),
        (Tz::Pacific__Apia, "2011-12-30", "2011-12-30T10:00:00Z", 0, 0),
        (Tz::Pacific__Apia, "2011-12-31", "2011-12-30T10:00:00Z", 86_400, 24),
        (Tz::UTC, "1970-01-01", "1970-01-01T00:00:00Z", 86_400, 24),
        (Tz::UTC, "2038-01-19", "2038-01-19T00:00:00Z", 86_400, 24),
    ] {
        let date = day(date);
        assert_eq!(day_start(zone, date), at(start), "{zone} {date}");
        assert_eq!(seconds_in_day(zone, date), seconds, "{zone} {date}");
        assert_eq!(buckets_expected(zone, BucketLength::HOUR, date), hours, "{zone} {date}");
    }
}

#[test]
fn a_date_that_comes_again_keeps_the_buckets_that_are_named_by_it() {
    // St. John's, until 2011: at 00:01 the clock went back to 23:01 of the day before.
    let zone = Tz::America__St_Johns;
    assert_eq!(
        starts(zone, "2010-11-07T02:00:00Z", 4),
        ["11-06 23:00-02:30", "11-07 00:00-02:30", "11-06 23:01-03:30", "11-07 00:00-03:30"]
    );
    assert_eq!(buckets_expected(zone, BucketLength::HOUR, day("2010-11-06")), 25);
    assert_eq!(buckets_expected(zone, BucketLength::HOUR, day("2010-11-07")), 25);
    assert_eq!(seconds_in_day(zone, day("2010-11-06")) + seconds_in_day(zone, day("2010-11-07")), 49 * 3_600);
}

#[test]
fn an_offset_with_seconds_keeps_its_instant() {
    // Monrovia, until 1972: -00:44:30.
    let epoch = at("1970-01-01T00:00:00Z");
    let shown = local(Tz::Africa__Monrovia, epoch);
    assert_eq!(shown.format("%Y-%m-%dT%H:%M:%S%:z").to_string(), "1969-12-31T23:16:00-00:44");
    assert_eq!(next_boundary(Tz::Africa__Monrovia, BucketLength::HOUR, epoch), at("1970-01-01T00:44:30Z"));
}

#[test]
fn in_every_zone_days_are_made_of_buckets_without_a_seam() {
    let (first, last) = (day("2026-01-01"), day("2027-12-31"));
    for zone in TZ_VARIANTS {
        let mut date = first;
        while date <= last {
            // Days on which nothing changes are the same everywhere: look closely at those that differ, and at a few.
            let seconds = seconds_in_day(zone, date);
            if seconds != 86_400 || date.ordinal0() % 100 == 0 {
                let (start, end) = (day_start(zone, date), day_end(zone, date));
                let mut boundary = start;
                while boundary < end {
                    let next = next_boundary(zone, BucketLength::HOUR, boundary);
                    assert!(boundary < next && (next - boundary).num_seconds() <= 3_600, "{zone} {boundary}");
                    assert_eq!(bucket_start(zone, BucketLength::HOUR, boundary), boundary, "{zone}");
                    assert_eq!(
                        bucket_start(zone, BucketLength::HOUR, next - chrono::TimeDelta::seconds(1)),
                        boundary,
                        "{zone}"
                    );
                    let shown = local(zone, boundary);
                    let changed =
                        offset_secs(zone, boundary.timestamp()) != offset_secs(zone, boundary.timestamp() - 1);
                    assert!(changed || (shown.minute(), shown.second()) == (0, 0), "{zone} {shown}");
                    boundary = next;
                }
                assert_eq!(boundary, end, "{zone} {date}: a day begins at a boundary");
            }
            date = date + Days::new(1);
        }
    }
}

#[test]
fn chrono_finds_the_same_first_instants() {
    for zone in TZ_VARIANTS {
        for date in day("2010-11-01").iter_days().take(500) {
            if let Some(expected) = zone.from_local_datetime(&date.and_time(NaiveTime::MIN)).earliest() {
                assert_eq!(day_start(zone, date), expected.to_utc(), "{zone} {date}");
            }
        }
    }
}

#[test]
fn a_month_has_the_seconds_between_its_first_instants() {
    let seconds = |zone, month: &str, start_day| seconds_in_month(zone, month.parse().unwrap(), start_day);
    assert_eq!(seconds(Tz::Asia__Shanghai, "2026-02", 1), 28 * 86_400);
    // Summer time begins on 29 March, and ends on 25 October.
    assert_eq!(seconds(Tz::Europe__Berlin, "2026-03", 1), 31 * 86_400 - 3_600);
    assert_eq!(seconds(Tz::Europe__Berlin, "2026-10", 1), 31 * 86_400 + 3_600);
}
