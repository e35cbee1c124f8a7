use super::*;

fn totals(tcp_in_bytes: u64, udp_out_bytes: u64) -> ByPort {
    [(443, Counters { tcp_in_bytes, udp_out_bytes, ..Counters::default() })].into()
}

#[test]
fn a_rate_is_what_moved_since_a_reading_of_about_that_age() {
    let mut samples = RateSamples::default();
    // In: 1,000 bytes a second for a minute, then 7,000; out: 10 bytes a second.
    for second in 0..=60 {
        samples.add("epoch", second * SECOND_NS, &totals(1_000 * second, 10 * second));
    }
    let rates = samples.add("epoch", 61 * SECOND_NS, &totals(67_000, 610));
    let expected = Rates {
        in_1s: Some(7_000),
        out_1s: Some(10),
        in_10s: Some(1_600),
        out_10s: Some(10),
        // Over 61 seconds: 67,000 / 61.
        in_60s: Some(1_098),
        out_60s: Some(10),
    };
    // The sample that is nearest to a minute old is one of those that were kept every four seconds.
    let (port, found) = rates[0];
    assert_eq!(port, 443);
    assert_eq!(Rates { in_60s: None, out_60s: None, ..found }, Rates { in_60s: None, out_60s: None, ..expected });
    let in_60s = found.in_60s.unwrap();
    // The sample is 55 to 61 seconds old, and in one of these seconds 7,000 bytes moved.
    assert!((67_000 / 61..=(54_000 + 7_000) / 55).contains(&in_60s), "{in_60s}");
    assert_eq!(found.out_60s, Some(10));
}

#[test]
fn where_nobody_asked_there_is_no_rate_and_no_zero() {
    let mut samples = RateSamples::default();
    assert_eq!(samples.add("epoch", 0, &totals(5, 5))[0].1, Rates::default());
    // Too soon for an average over a second; then too late for that, but not for ten seconds.
    assert_eq!(samples.add("epoch", SECOND_NS / 2, &totals(9, 9))[0].1, Rates::default());
    let late = samples.add("epoch", 10 * SECOND_NS, &totals(1_005, 5))[0].1;
    assert_eq!((late.in_1s, late.in_10s, late.out_10s, late.in_60s), (None, Some(100), Some(0), None));
    // After a long pause there is no sample of a suitable age.
    assert_eq!(samples.add("epoch", 1_000 * SECOND_NS, &totals(9_999, 9))[0].1, Rates::default());
}

#[test]
fn new_counters_and_new_ports_and_fallen_counters_have_no_rate_yet() {
    let mut samples = RateSamples::default();
    samples.add("one", 0, &totals(1_000, 0));
    assert_eq!(samples.add("two", SECOND_NS, &totals(1_010, 0))[0].1, Rates::default());
    assert_eq!(samples.add("two", 2 * SECOND_NS, &totals(5, 0))[0].1, Rates::default(), "it has less");
    let counters = Counters { tcp_in_bytes: 7, ..Counters::default() };
    let rates = samples.add("two", 3 * SECOND_NS, &[(443, counters), (444, counters)].into());
    assert_eq!((rates[0].1.in_1s, rates[1].1), (Some(2), Rates::default()));
}

#[test]
fn few_samples_are_kept_however_often_and_long_somebody_asks() {
    let mut samples = RateSamples::default();
    for tenth in 0..6_000 {
        samples.add("epoch", tenth * SECOND_NS / 10, &totals(tenth, 0));
        assert!(samples.len() <= 40, "{}", samples.len());
    }
}

#[test]
fn a_window_takes_a_sample_that_is_up_to_one_and_a_half_times_as_old() {
    let mut samples = RateSamples::default();
    assert!(samples.is_empty());
    samples.add("epoch", 0, &totals(0, 0));
    // One byte in 1.5 seconds is two thirds of a byte a second, which is nearly one.
    assert_eq!(samples.add("epoch", SECOND_NS * 3 / 2, &totals(1, 0))[0].1.in_1s, Some(1));
    assert!(!samples.is_empty());

    let mut samples = RateSamples::default();
    samples.add("epoch", 0, &totals(0, 0));
    assert_eq!(samples.add("epoch", 2 * SECOND_NS, &totals(100, 0))[0].1, Rates::default());

    let mut samples = RateSamples::default();
    samples.add("epoch", 0, &totals(0, 0));
    // 9,000 bytes in 90 seconds.
    assert_eq!(samples.add("epoch", 90 * SECOND_NS, &totals(9_000, 0))[0].1.in_60s, Some(100));
}

#[test]
fn samples_of_the_last_sixteen_seconds_are_kept_and_every_fourth_of_those_before() {
    let mut samples = RateSamples::default();
    for second in 0..=25 {
        samples.add("epoch", second * SECOND_NS, &totals(second, 0));
    }
    // Those of the seconds 0, 4 and 8, and 9 to 25.
    assert_eq!(samples.len(), 20);
    // Less than 0.9 seconds later is no sample of its own.
    samples.add("epoch", 25 * SECOND_NS + DENSE_STEP_NS - 1, &totals(26, 0));
    assert_eq!(samples.len(), 20);

    let mut samples = RateSamples::default();
    samples.add("epoch", 0, &totals(0, 0));
    samples.add("epoch", DENSE_STEP_NS, &totals(0, 0));
    assert_eq!(samples.len(), 2);
}
