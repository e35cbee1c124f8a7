use chrono::FixedOffset;

use super::*;
use crate::ledger::counters::Others;
use crate::ledger::distinct_buckets::{ConflictingBucket, DistinctBuckets};
use crate::ledger::record::HourLine;

fn at(text: &str) -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339(text).unwrap()
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn shanghai() -> DayRules {
    DayRules { node: "hk-1".into(), zone: Tz::Asia__Shanghai, bucket: BucketLength::HOUR }
}

/// `05T13:00` in October 2026, Shanghai.
fn october(text: &str) -> DateTime<FixedOffset> {
    at(&format!("2026-10-{text}:00+08:00"))
}

/// A bucket in which ada's port 443 received `bytes` over TCP.
fn bucket(seq: u64, start: DateTime<FixedOffset>, end: DateTime<FixedOffset>, bytes: u64) -> HourBlock {
    let usage = Counters { tcp_in_bytes: bytes, ..Counters::default() };
    let seal = HourSeal {
        v: VERSION,
        kind: Kind::Seal,
        seq: Some(seq),
        start,
        end,
        node: "hk-1".into(),
        epoch: "boot-1".into(),
        backend: None,
        count: None,
        pinned: None,
        quality: Quality::Exact,
        gaps: Vec::new(),
        interfaces: Vec::new(),
        ports: 1,
        other: Others::default(),
        other_total: None,
        devices: Vec::new(),
        blocked: Default::default(),
        blocked_total: Default::default(),
        device_total: None,
        boot_ms: None,
        sha256: format!("{bytes}"),
    };
    HourBlock { lines: vec![HourLine::new(start, end, 443, Some("ada".into()), usage, None, false)], seal }
}

fn hour(seq: u64, start: &str, end: &str, bytes: u64) -> HourBlock {
    bucket(seq, october(start), october(end), bytes)
}

fn gap(start: &str, end: &str) -> Gap {
    Gap { start: october(start), end: october(end), interface: "eth0".into(), why: "interface was deleted".into() }
}

/// The fifth of October, made long after it ended.
fn fifth(buckets: &[HourBlock]) -> DayBlock {
    let mut rollup = DayRollup::new(shanghai(), day("2026-10-05"));
    let mut distinct = DistinctBuckets::default();
    buckets.iter().filter(|bucket| distinct.admit(&bucket.seal).unwrap()).for_each(|bucket| rollup.take(bucket));
    rollup.finish(october("20T00:00").to_utc())
}

fn sums(block: &DayBlock) -> Vec<(u16, Option<&str>, u64)> {
    block.lines.iter().map(|line| (line.port, line.user.as_deref(), line.tcp_in_bytes)).collect()
}

fn gaps(block: &DayBlock) -> Vec<String> {
    let show = |at: DateTime<FixedOffset>| at.format("%d %H:%M:%S").to_string();
    let gaps = &block.seal.gaps;
    gaps.iter().map(|gap| format!("{} - {} {} {}", show(gap.start), show(gap.end), gap.interface, gap.why)).collect()
}

#[test]
fn a_whole_day_is_the_sum_of_its_hours() {
    let hours: Vec<_> = (0..24_u32)
        .map(|hour| {
            let start = october("05T00:00") + TimeDelta::hours(i64::from(hour));
            bucket(u64::from(hour), start, start + TimeDelta::hours(1), u64::from(hour))
        })
        .collect();
    let block = fifth(&hours);
    assert_eq!(sums(&block), [(443, Some("ada"), 276)]);
    let seal = &block.seal;
    assert_eq!((seal.seconds_in_day, seal.seconds_covered), (86_400, 86_400));
    assert_eq!((seal.buckets_expected, seal.buckets_sealed), (24, 24));
    assert_eq!((seal.quality.clone(), seal.zone.as_str()), ([(Quality::Exact, 24)].into(), "Asia/Shanghai"));
    assert!(seal.gaps.is_empty() && seal.late.is_none());
}

#[test]
fn a_port_that_changes_hands_has_a_line_for_each() {
    let mut buckets =
        [hour(1, "05T00:00", "05T01:00", 1), hour(2, "05T01:00", "05T02:00", 2), hour(3, "05T02:00", "05T03:00", 4)];
    buckets[1].lines[0].user = None;
    buckets[2].lines[0].user = Some("bob".into());
    assert_eq!(sums(&fifth(&buckets)), [(443, None, 2), (443, Some("ada"), 1), (443, Some("bob"), 4)]);
}

#[test]
fn a_late_bucket_gives_its_bytes_to_the_day_it_began_and_its_time_to_both() {
    let mut late = hour(1, "04T23:00", "05T02:30", 100);
    late.seal.quality = Quality::Late;
    let next = hour(2, "05T02:30", "05T03:00", 7);
    let block = fifth(&[late.clone(), next]);
    assert_eq!(sums(&block), [(443, Some("ada"), 7)]);
    assert_eq!((block.seal.seconds_covered, block.seal.buckets_sealed), (3 * 3_600, 1));
    assert_eq!(block.seal.quality, [(Quality::Exact, 1)].into());
    assert_eq!(gaps(&block), ["05 03:00:00 - 06 00:00:00 * no bucket"]);

    let mut fourth = DayRollup::new(shanghai(), day("2026-10-04"));
    fourth.take(&late);
    let fourth = fourth.finish(october("20T00:00").to_utc());
    assert_eq!((sums(&fourth), fourth.seal.seconds_covered), (vec![(443, Some("ada"), 100)], 3_600));
    let expected = LateBucket { start: october("04T23:00"), end: october("05T02:30"), bytes: 100 };
    assert_eq!(fourth.seal.late, Some(expected));
}

#[test]
fn buckets_that_cross_side_by_side_are_named_with_all_their_bytes() {
    let (one, other) = (hour(1, "05T22:30", "06T01:00", 100), hour(2, "05T23:00", "06T00:30", 7));
    let expected = LateBucket { start: october("05T22:30"), end: october("06T01:00"), bytes: 107 };
    for buckets in [[one.clone(), other.clone()], [other, one]] {
        assert_eq!(fifth(&buckets).seal.late.as_ref(), Some(&expected));
    }
}

#[test]
fn a_bucket_that_ends_with_the_day_does_not_cross_it() {
    assert_eq!(fifth(&[hour(1, "05T23:00", "06T00:00", 1)]).seal.late, None);
}

#[test]
fn order_and_duplicates_do_not_matter_and_a_start_is_no_name() {
    let buckets =
        [hour(1, "05T00:00", "05T01:00", 1), hour(2, "05T00:30", "05T01:30", 2), hour(3, "05T00:00", "05T01:00", 1)];
    let mut expected = fifth(&buckets);
    assert_eq!(sums(&expected), [(443, Some("ada"), 4)], "a clock gave one hour two names");
    assert_eq!(expected.seal.seconds_covered, 90 * 60, "and its seconds count once");
    let [one, two, three] = buckets;
    let mut again = fifth(&[three.clone(), one.clone(), two, one, three]);
    assert_eq!(again.encode(), expected.encode());
}

#[test]
fn two_buckets_of_one_name_are_not_both_counted() {
    let (one, other) = (hour(1, "05T00:00", "05T01:00", 1), hour(1, "05T00:00", "05T01:00", 2));
    let mut distinct = DistinctBuckets::default();
    assert_eq!(distinct.admit(&one.seal), Ok(true));
    assert_eq!(distinct.admit(&other.seal), Err(ConflictingBucket { seq: 1 }));
    assert_eq!(distinct.admit(&one.seal), Ok(false), "the first one counts");
    assert!(distinct.has_identity_of(&other.seal));
    assert!(!distinct.has_identity_of(&hour(2, "05T00:00", "05T01:00", 1).seal));
}

#[test]
fn imported_buckets_have_no_number_and_count_once_all_the_same() {
    let mut imported =
        [hour(0, "05T00:00", "05T01:00", 1), hour(0, "05T01:00", "05T02:00", 1), hour(0, "05T00:00", "05T01:00", 1)];
    for bucket in &mut imported {
        bucket.seal.seq = None;
        bucket.seal.quality = Quality::Import;
    }
    let block = fifth(&imported);
    assert_eq!(
        (sums(&block), block.seal.quality.clone()),
        (vec![(443, Some("ada"), 2)], [(Quality::Import, 2)].into())
    );
}

#[test]
fn what_nobody_saw_is_not_covered_and_is_listed_once() {
    let mut buckets =
        [hour(1, "04T23:00", "05T00:10", 1), hour(2, "05T00:10", "05T02:00", 2), hour(3, "05T02:00", "06T00:00", 3)];
    buckets[0].seal.gaps = vec![gap("04T23:50", "05T00:10")];
    buckets[1].seal.gaps = vec![gap("05T00:10", "05T00:20"), gap("05T01:00", "05T01:05")];
    let block = fifth(&buckets);
    assert_eq!(block.seal.seconds_covered, 86_400 - 25 * 60);
    assert_eq!(
        gaps(&block),
        [
            "05 00:00:00 - 05 00:20:00 eth0 interface was deleted",
            "05 01:00:00 - 05 01:05:00 eth0 interface was deleted"
        ]
    );
}

#[test]
fn a_rejected_bucket_is_a_gap_where_no_other_covers_its_time() {
    let mut rollup = DayRollup::new(shanghai(), day("2026-10-05"));
    for bucket in [hour(1, "05T00:00", "05T01:00", 1), hour(3, "05T01:30", "06T00:00", 2)] {
        rollup.take(&bucket);
    }
    rollup.reject(
        (october("05T01:00"), october("05T02:00")),
        "hourly/2026-10-05.jsonl:7: the seal's check does not match",
    );
    let block = rollup.finish(october("20T00:00").to_utc());
    assert_eq!(block.seal.seconds_covered, 86_400 - 1_800);
    assert_eq!(
        gaps(&block),
        ["05 01:00:00 - 05 01:30:00 * hourly/2026-10-05.jsonl:7: the seal's check does not match"]
    );
}

#[test]
fn what_only_touches_a_time_is_no_gap_in_it() {
    let mut first = hour(1, "05T00:00", "05T01:00", 1);
    // Of the day before, up to midnight.
    first.seal.gaps = vec![gap("04T23:30", "05T00:00")];
    let mut rollup = DayRollup::new(shanghai(), day("2026-10-05"));
    rollup.take(&first);
    rollup.reject((october("05T00:00"), october("05T01:00")), "line 7");
    assert_eq!(
        gaps(&rollup.finish(october("06T00:00").to_utc())),
        ["05 01:00:00 - 06 00:00:00 * no bucket"],
        "a day is over with its last second"
    );
}

#[test]
fn a_day_in_progress_has_no_gap_in_what_is_to_come() {
    let mut rollup = DayRollup::new(shanghai(), day("2026-10-05"));
    rollup.take(&hour(1, "05T00:00", "05T01:00", 1));
    rollup.take(&hour(2, "05T01:10", "05T02:00", 1));
    let block = rollup.finish(october("05T02:30").to_utc());
    assert_eq!(gaps(&block), ["05 01:00:00 - 05 01:10:00 * no bucket"]);
    assert_eq!((block.seal.seconds_in_day, block.seal.seconds_covered), (86_400, 6_600));
    let nothing = DayRollup::new(shanghai(), day("2026-10-05")).finish(october("05T02:30").to_utc());
    assert_eq!((gaps(&nothing).len(), nothing.seal.seconds_covered), (0, 0));
}

#[test]
fn the_days_of_a_summer_time_night_are_as_long_as_they_are() {
    let rules = DayRules { node: "b".into(), zone: Tz::Europe__Berlin, bucket: BucketLength::HOUR };
    let mut rollup = DayRollup::new(rules, day("2026-10-25"));
    // That night has two hours that begin at 02:00.
    let hours = ["2026-10-25T01:00:00+02:00", "2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"];
    for (seq, start) in (1..).zip(hours) {
        rollup.take(&bucket(seq, at(start), at(start) + TimeDelta::hours(1), 5));
    }
    let block = rollup.finish(at("2026-11-01T00:00:00Z").to_utc());
    assert_eq!((sums(&block)[0].2, block.seal.seconds_covered), (15, 3 * 3_600));
    assert_eq!((block.seal.seconds_in_day, block.seal.buckets_expected), (90_000, 25));
    assert_eq!(gaps(&block), ["25 00:00:00 - 25 01:00:00 * no bucket", "25 03:00:00 - 26 00:00:00 * no bucket"]);
}

#[test]
fn a_bucket_is_never_re_zoned() {
    // Written in Berlin late on the fourth. The node is in Shanghai now, where it was the fifth already.
    let written = bucket(1, at("2026-10-04T23:00:00+02:00"), at("2026-10-05T00:00:00+02:00"), 9);
    let block = fifth(std::slice::from_ref(&written));
    assert_eq!((sums(&block).len(), block.seal.seconds_covered), (0, 3_600));
    // Written in Berlin on the fifth, when it was the sixth in Shanghai: it is not late, but of another day's time.
    let block = fifth(&[bucket(1, at("2026-10-05T18:00:00+02:00"), at("2026-10-05T19:00:00+02:00"), 9)]);
    assert_eq!((sums(&block)[0].2, block.seal.seconds_covered, block.seal.late), (9, 0, None));
}

#[test]
fn a_day_of_a_thousand_gaps_is_still_one_line() {
    let mut flapping = hour(1, "05T00:00", "06T00:00", 1);
    flapping.seal.gaps = (0..3_000)
        .map(|second| Gap {
            start: october("05T00:00") + TimeDelta::seconds(10 * second),
            end: october("05T00:00") + TimeDelta::seconds(10 * second + 1),
            ..gap("05T00:00", "05T00:01")
        })
        .collect();
    let block = fifth(&[flapping]);
    assert_eq!((block.seal.gaps.len(), block.seal.seconds_covered), (1_000, 86_400 - 3_000));
    assert_eq!(block.seal.gaps[999].why, "interface was deleted (and 2000 more gaps on this day)");
}

#[test]
fn a_bucket_covers_every_date_between_its_ends_unless_a_clock_was_set_in_it() {
    let dates = |start: &str, end: &str, quality| {
        let mut seal = bucket(1, at(start), at(end), 1).seal;
        seal.quality = quality;
        dates_of(&seal)
    };
    let days = |days: &[&str]| days.iter().map(|text| day(text)).collect::<Vec<_>>();
    let late = dates("2026-10-20T22:00:00+08:00", "2026-10-23T00:00:00+08:00", Quality::Late);
    assert_eq!(late, days(&["2026-10-20", "2026-10-21", "2026-10-22"]));
    // A machine without a battery for its clock begins in 1970.
    for quality in [Quality::Clock, Quality::Gap] {
        let set = dates("1970-01-01T08:00:00+08:00", "2026-10-23T03:00:00+08:00", quality);
        assert_eq!(set, days(&["1970-01-01", "2026-10-23"]));
    }
    // A year with a leap day is believed, and one more day is not.
    let year = dates("2027-06-01T00:00:00+08:00", "2028-06-01T00:00:00+08:00", Quality::Late);
    assert_eq!((year.len(), year[365]), (366, day("2028-05-31")));
    let more = dates("2027-06-01T00:00:00+08:00", "2028-06-02T00:00:00+08:00", Quality::Late);
    assert_eq!(more, days(&["2027-06-01", "2028-06-01"]));
}
