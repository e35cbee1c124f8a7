use super::*;

#[test]
fn pauses_double_up_to_a_quarter_of_an_hour() {
    let seconds: Vec<u64> = [0, 1, 5, 9, 10, 63, 64, 1000].map(|n| backoff(n).as_secs()).to_vec();
    assert_eq!(seconds, [1, 2, 32, 512, 900, 900, 900, 900]);
}

#[test]
fn short_buckets_are_spread_less() {
    let bucket = |seconds| BucketLength::try_from(Duration::from_secs(seconds)).unwrap();
    assert_eq!([3600, 600, 1].map(|seconds| spread(bucket(seconds)).as_secs()), [600, 100, 0]);
}

#[test]
fn a_random_time_is_within_its_limit() {
    for most in [Duration::ZERO, Duration::from_millis(3), MOST] {
        for _ in 0..100 {
            assert!(random_up_to(most) <= most);
        }
    }
}
