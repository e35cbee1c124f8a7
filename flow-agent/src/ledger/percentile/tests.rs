use super::*;

#[test]
fn the_highest_twentieth_is_left_out() {
    // Of 1 to 100 in any order, the highest five are 96 to 100.
    let rates: Vec<u128> = (1..=100).rev().collect();
    assert_eq!(percentile(rates), Some(Percentile { rate: 95, above: Some(96), below: Some(94) }));
    // ⌈0.95 · 20⌉ = 19, ⌈0.95 · 21⌉ = 20, ⌈0.95 · 19⌉ = 19.
    assert_eq!(percentile((1..=20).collect()).unwrap().rate, 19);
    assert_eq!(percentile((1..=21).collect()).unwrap().rate, 20);
    assert_eq!(percentile((1..=19).collect()), Some(Percentile { rate: 19, above: None, below: Some(18) }));
    assert_eq!(percentile(vec![7]), Some(Percentile { rate: 7, above: None, below: None }));
    assert_eq!(percentile(Vec::new()), None);
}

#[test]
fn the_percentile_of_a_sum_is_not_the_sum_of_percentiles() {
    let mut samples = Samples::default();
    // In twenty samples one direction is busy in the first two, the other in the last two.
    for index in 0..20 {
        let busy = |is_busy: bool| if is_busy { 3_000 } else { 0 };
        let sample = Sample { in_bytes: busy(index < 2), out_bytes: busy(index >= 18), seconds: 300 };
        samples.add(index * 300, sample);
    }
    let [incoming, outgoing, both] = samples.percentiles().unwrap();
    assert_eq!((incoming.rate, outgoing.rate, both.rate), (10, 10, 10));
    assert_eq!((incoming.below, both.below), (Some(0), Some(10)));
}

#[test]
fn buckets_add_up_to_samples_and_unseen_ones_are_left_out() {
    let mut samples = Samples::default();
    for _ in 0..5 {
        samples.add(0, Sample { in_bytes: 600, out_bytes: 0, seconds: 60 });
    }
    // Only a minute of this one was measured.
    samples.add(300, Sample { in_bytes: 60, out_bytes: 120, seconds: 60 });
    samples.add(600, Sample::default());
    assert_eq!(samples.seen(), 2);
    let [incoming, outgoing, both] = samples.percentiles().unwrap();
    assert_eq!((incoming.rate, outgoing.rate, both.rate), (10, 2, 10));
}

#[test]
fn samples_are_five_minutes_or_what_the_buckets_allow() {
    for (bucket, sample) in [(300, Some(300)), (60, Some(300)), (1, Some(300)), (240, Some(240)), (360, None)] {
        assert_eq!(sample_seconds(bucket), sample, "{bucket}");
    }
    assert_eq!((sample_seconds(3_600), sample_seconds(0)), (None, None));
}
