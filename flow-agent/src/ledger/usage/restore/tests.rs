//! Restored buckets. The expected figures are worked out by hand.

use super::*;

const EPOCH: &str = "epoch-1";

fn at(hour: u32) -> DateTime<FixedOffset> {
    format!("2026-10-05T{hour:02}:00:00+08:00").parse().unwrap()
}

/// A bucket of one hour: `(port, usage, total, user)`.
fn bucket(seq: u64, hour: u32, ports: &[(u16, u64, u64, Option<&str>)]) -> HourBlock {
    let counters = |bytes| Counters { tcp_in_bytes: bytes, ..Counters::default() };
    let lines = ports.iter().map(|(port, usage, total, user)| {
        let user = user.map(str::to_owned);
        HourLine::new(at(hour), at(hour + 1), *port, user, counters(*usage), Some(counters(*total).to_array()), false)
    });
    let lines = lines.collect();
    let mut block = crate::ledger::usage::tests::bucket_of(&[]);
    block.seal = HourSeal {
        seq: Some(seq),
        start: at(hour),
        end: at(hour + 1),
        epoch: EPOCH.to_owned(),
        quality: Quality::Exact,
        gaps: Vec::new(),
        ..block.seal
    };
    HourBlock { lines, seal: block.seal }
}

fn remember(buckets: &[HourBlock]) -> SealedBuckets {
    let mut sealed = SealedBuckets::default();
    buckets.iter().for_each(|bucket| sealed.remember(bucket));
    sealed
}

/// Port, bytes, and owner of each line.
fn figures(block: &HourBlock) -> Vec<(u16, u64, Option<&str>)> {
    block.lines.iter().map(|line| (line.port, line.counters().bytes(), line.user.as_deref())).collect()
}

#[test]
fn what_the_counters_tell_is_written_again_as_late() {
    let ada = Some("ada");
    let buckets = [
        bucket(1, 10, &[(443, 5, 105, ada)]),
        bucket(2, 11, &[(443, 20, 125, ada)]),
        bucket(3, 12, &[(443, 300, 425, ada)]),
    ];
    let next = bucket(4, 13, &[(443, 4_000, 4_425, ada)]);
    let sealed = remember(&buckets);
    // The file was removed. Before `next`, the counter went from 100 to 425.
    let all = sealed.restore(None, &next).unwrap();
    assert_eq!(figures(&all), [(443, 325, ada)]);
    assert_eq!((all.seal.seq, all.seal.start, all.seal.end), (Some(3), at(10), at(13)));
    assert_eq!((all.seal.quality, all.seal.gaps.len()), (Quality::Late, 0));
    // The file was cut after the first bucket.
    let two = sealed.restore(Some(&buckets[0]), &next).unwrap();
    assert_eq!(figures(&two), [(443, 320, ada)]);
    assert_eq!((two.seal.start, two.seal.end, two.seal.quality), (at(11), at(13), Quality::Late));
    // Nothing is missing.
    assert_eq!(sealed.restore(Some(&buckets[2]), &next), None);
}

#[test]
fn a_port_that_closed_meanwhile_cannot_be_told_and_is_a_gap() {
    let mut closing = bucket(2, 11, &[(443, 1, 1, None), (4433, 50, 150, None)]);
    closing.lines[1].closed = true;
    let buckets = [bucket(1, 10, &[(443, 0, 0, None), (4433, 100, 100, None)]), closing];
    // The port was added again and counts from zero, so 165 - 5 = 160 is not 60 more than 100.
    let next = bucket(3, 12, &[(443, 10, 11, None), (4433, 5, 165, None)]);
    let restored = remember(&buckets).restore(Some(&buckets[0]), &next).unwrap();
    assert_eq!(figures(&restored), [(443, 1, None)]);
    let gap = &restored.seal.gaps[0];
    assert_eq!((restored.seal.quality, gap.start, gap.end), (Quality::Gap, at(11), at(12)));
}

#[test]
fn counters_that_were_zeroed_in_what_is_gone_are_not_exact() {
    let buckets = [bucket(1, 10, &[(443, 100, 100, None)]), bucket(2, 11, &[(443, 30, 30, None)])];
    let next = bucket(3, 12, &[(443, 5, 35, None)]);
    let restored = remember(&buckets).restore(Some(&buckets[0]), &next).unwrap();
    // A counter that has decreased adds nothing, because its new value may be an old one that somebody restored.
    assert_eq!((figures(&restored), restored.seal.quality), (vec![(443, 0, None)], Quality::Reset));
}

#[test]
fn an_owner_that_changed_in_what_is_gone_is_not_guessed() {
    let buckets = [bucket(1, 10, &[(443, 1, 1, Some("ada"))]), bucket(2, 11, &[(443, 2, 3, Some("bob"))])];
    let next = bucket(3, 12, &[(443, 4, 7, Some("bob"))]);
    let sealed = remember(&buckets);
    assert_eq!(figures(&sealed.restore(None, &next).unwrap()), [(443, 3, None)]);
    assert_eq!(figures(&sealed.restore(Some(&buckets[0]), &next).unwrap()), [(443, 2, Some("bob"))]);
}

#[test]
fn what_an_earlier_agent_sealed_comes_back_as_a_gap_without_owners() {
    // This agent sealed only the third bucket. The first is still in the log.
    let buckets = [bucket(1, 10, &[(443, 1, 1, Some("ada"))]), bucket(3, 12, &[(443, 4, 7, Some("ada"))])];
    let next = bucket(4, 13, &[(443, 8, 15, Some("ada"))]);
    let restored = remember(&buckets[1..]).restore(Some(&buckets[0]), &next).unwrap();
    assert_eq!(figures(&restored), [(443, 6, None)]);
    let gap = &restored.seal.gaps[0];
    assert_eq!((restored.seal.quality, gap.start, gap.end), (Quality::Gap, at(11), at(12)));
}

#[test]
fn other_counters_and_older_days_are_not_written_again() {
    let sealed = remember(&[bucket(1, 10, &[(443, 1, 1, None)])]);
    let mut next = bucket(2, 11, &[(443, 1, 2, None)]);
    next.seal.epoch = "epoch-2".to_owned();
    assert_eq!(sealed.restore(None, &next), None);
    let mut next = bucket(2, 11, &[(443, 1, 2, None)]);
    next.seal.start += chrono::TimeDelta::days(1);
    next.seal.end += chrono::TimeDelta::days(1);
    assert_eq!(sealed.restore(None, &next), None);
}

#[test]
fn plain_buckets_take_the_memory_of_one() {
    let buckets: Vec<HourBlock> = (0..10).map(|n| bucket(1 + n, 10 + n as u32, &[(443, 1, 1 + n, None)])).collect();
    let sealed = remember(&buckets);
    assert_eq!((sealed.runs.len(), sealed.runs[0].first_seq, sealed.runs[0].last_seq), (1, 1, 10));
    // If a run is lost in part, only that part is missing.
    let next = bucket(11, 20, &[(443, 1, 11, None)]);
    assert_eq!(figures(&sealed.restore(Some(&buckets[6]), &next).unwrap()), [(443, 3, None)]);
}

#[test]
fn what_the_quality_of_a_lost_bucket_says_is_said_of_what_is_written_again() {
    for quality in [Quality::Reset, Quality::Clock] {
        let mut odd = bucket(2, 11, &[(443, 2, 3, None)]);
        odd.seal.quality = quality;
        let buckets = [bucket(1, 10, &[(443, 1, 1, None)]), odd, bucket(3, 12, &[(443, 4, 7, None)])];
        let next = bucket(4, 13, &[(443, 8, 15, None)]);
        let restored = remember(&buckets).restore(None, &next).unwrap();
        assert_eq!((figures(&restored), restored.seal.quality), (vec![(443, 7, None)], quality));
        // If the bucket was restored, its quality is that of the restored one.
        let [first, odd, _] = buckets;
        let sealed = remember(&[first, odd, bucket(2, 11, &[(443, 2, 3, None)])]);
        assert_eq!(sealed.restore(None, &bucket(3, 12, &[(443, 4, 7, None)])).unwrap().seal.quality, Quality::Late);
    }
}

#[test]
fn several_counters_that_fell_are_a_reset_as_well() {
    let buckets = [bucket(1, 10, &[(443, 9, 9, None), (4433, 9, 9, None)]), bucket(2, 11, &[])];
    let next = bucket(3, 12, &[(443, 0, 5, None), (4433, 0, 6, None)]);
    let restored = remember(&buckets).restore(Some(&buckets[0]), &next).unwrap();
    assert_eq!((figures(&restored), restored.seal.quality), (vec![(443, 0, None), (4433, 0, None)], Quality::Reset));
}

#[test]
fn a_port_that_came_in_what_is_gone_counts_from_zero_and_has_a_line_once_it_moved() {
    let buckets = [bucket(1, 10, &[(443, 1, 1, None)]), bucket(2, 11, &[(443, 0, 1, None), (4433, 5, 5, None)])];
    let next = bucket(3, 12, &[(443, 0, 1, None), (4433, 1, 6, None), (8_388, 0, 0, None)]);
    let restored = remember(&buckets).restore(Some(&buckets[0]), &next).unwrap();
    assert_eq!(figures(&restored), [(443, 0, None), (4433, 5, None)]);
    assert_eq!(restored.seal.quality, Quality::Late);
}

#[test]
fn a_port_that_the_surviving_bucket_closed_is_not_told_though_it_came_back() {
    let mut closing = bucket(1, 10, &[(443, 1, 1, None), (4433, 150, 150, None)]);
    closing.lines[1].closed = true;
    let buckets = [closing, bucket(2, 11, &[(443, 2, 3, None), (4433, 30, 30, None)])];
    let next = bucket(3, 12, &[(443, 4, 7, None), (4433, 5, 35, None)]);
    let restored = remember(&buckets).restore(Some(&buckets[0]), &next).unwrap();
    // 30 is less than 150, which shows nothing: it is no longer known whether these counters began at zero.
    assert_eq!((figures(&restored), restored.seal.quality), (vec![(443, 2, None)], Quality::Gap));
}

#[test]
fn numbers_that_follow_each_other_leave_nothing_out_though_there_is_time_between_the_buckets() {
    // No agent ran from 11:00 to 12:00.
    let buckets = [bucket(1, 10, &[(443, 1, 1, Some("bob"))]), bucket(2, 12, &[(443, 2, 3, Some("ada"))])];
    let next = bucket(3, 13, &[(443, 4, 7, Some("ada"))]);
    let restored = remember(&buckets).restore(Some(&buckets[0]), &next).unwrap();
    assert_eq!((figures(&restored), restored.seal.quality), (vec![(443, 2, Some("ada"))], Quality::Late));
}

#[test]
fn a_new_date_and_a_new_epoch_begin_anew_and_buckets_of_others_are_no_base() {
    let mut sealed = remember(&[bucket(1, 10, &[(443, 1, 1, None)])]);
    let days_later = |mut block: HourBlock| {
        block.seal.start += chrono::TimeDelta::days(1);
        block.seal.end += chrono::TimeDelta::days(1);
        block
    };
    sealed.remember(&days_later(bucket(2, 10, &[(443, 20, 21, None)])));
    let next = days_later(bucket(3, 11, &[(443, 4, 25, None)]));
    assert_eq!(figures(&sealed.restore(None, &next).unwrap()), [(443, 20, None)]);
    // A survivor of the same day but of other counters, which say nothing about these.
    let mut other = days_later(bucket(1, 9, &[(443, 7, 7, None)]));
    other.seal.epoch = "epoch-0".to_owned();
    assert_eq!(figures(&sealed.restore(Some(&other), &next).unwrap()), [(443, 20, None)]);
}
