use super::*;

const COST: Duration = Duration::from_millis(8);

#[test]
fn the_less_is_left_the_sooner_it_is_read() {
    let pauses = [10_000_000_000, 1_250_000_000, 500_000_000, 100_000_000, 50_000_000, 1]
        .map(|left| pause(left, 0, COST).as_millis());
    assert_eq!(pauses, [5_000, 5_000, 2_000, 400, 200, 200]);
    // At 250 MB/s, twice that rate is assumed possible.
    assert_eq!(pause(500_000_000, 250_000_000, COST), Duration::from_millis(500));
    assert_eq!(pause(0, 250_000_000, COST), SLOWEST);
    assert_eq!(pause(u64::MAX, 0, COST), SLOWEST);
}

#[test]
fn slow_readings_are_fewer() {
    // A reading takes 30 ms, and 600 ms is 20 times that.
    assert_eq!(pause(1, 0, Duration::from_millis(30)), Duration::from_millis(600));
    assert_eq!(pause(1, 0, Duration::from_secs(9)), SLOWEST);
}

#[test]
fn what_may_pass_beyond_a_limit_is_what_passes_between_two_readings() {
    // 200 ms plus three times 8 ms, at 125 MB/s.
    assert_eq!(overshoot(125_000_000, COST), 28_000_000);
    // If readings take a second, they are 5 seconds apart, and 3 more seconds are added.
    assert_eq!(overshoot(1_000, Duration::from_secs(1)), 8_000);
}

#[test]
fn a_rate_is_what_moved_in_the_time_between() {
    let at = |boot_ns| Moment { wall: chrono::DateTime::UNIX_EPOCH, boot_ns };
    let before = Look { at: at(5_000_000_000), moved: [("ada".to_owned(), 1_000)].into() };
    assert_eq!(before.rate("ada", 126_000, at(5_500_000_000)), 250_000);
    // Less than before, and a user who was not there.
    assert_eq!(before.rate("ada", 10, at(5_500_000_000)), 0);
    assert_eq!(before.rate("bob", 126_000, at(5_500_000_000)), 0);
    // Two readings within a millisecond, or with a clock that went back, count as one millisecond apart.
    assert_eq!(before.rate("ada", 1_500, at(5_000_400_000)), 500_000);
    assert_eq!(before.rate("ada", 1_500, at(4_000_000_000)), 500_000);
}

#[test]
fn other_counters_have_no_rate_yet() {
    let look = Look { at: Moment { wall: chrono::DateTime::UNIX_EPOCH, boot_ns: 1 }, moved: BTreeMap::new() };
    let mut pace = Pace { before: Some(look), again_after: Some(FASTEST) };
    pace.forget();
    assert!(pace.before.is_none());
    assert_eq!(pace.again_after, Some(FASTEST));
}
