use proptest::prelude::*;

use super::*;
use crate::testing::fixtures;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(u64::MAX), 0_u64..1_000, any::<u64>()]
}

proptest! {
    #[test]
    fn the_text_is_that_of_the_serializer(
        port in any::<u16>(),
        user in prop::option::of(prop_oneof!["[ -~]{0,12}", any::<String>(), Just("客户 \"x\"\\\n".to_owned())]),
        numbers in prop::array::uniform8(number()),
        total in prop::option::of(prop::array::uniform8(number())),
        closed in any::<bool>(),
    ) {
        let counters = Counters::from_array(numbers);
        let seal = fixtures::bucket("2026-10-05T13:00:00+05:45", "e", 0, 0).seal;
        let line = HourLine::new(seal.start, seal.end, port, user.clone(), counters, total, closed);
        let mut text = String::new();
        prop_assert!(hour(&seal)(&line, &mut text));
        prop_assert_eq!(&text, &serde_json::to_string(&line).unwrap());
        let seal = fixtures::day_seal("2026-10-05", 0);
        let line = DayLine::new(seal.day, port, user, counters);
        let mut text = String::new();
        prop_assert!(day(&seal)(&line, &mut text));
        prop_assert_eq!(&text, &serde_json::to_string(&line).unwrap());
    }
}

#[test]
fn a_line_that_is_not_of_the_seal_is_left_to_the_serializer() {
    let bucket = fixtures::bucket("2026-10-05T13:00:00+08:00", "e", 0, 0);
    // The same instant, but written differently.
    let other = fixtures::bucket("2026-10-05T12:00:00+07:00", "e", 0, 0);
    assert_eq!(bucket.seal.start, other.seal.start);
    for line in [&other.lines[0], &HourLine { v: 2, ..bucket.lines[0].clone() }] {
        let mut text = String::new();
        assert!(!hour(&bucket.seal)(line, &mut text));
        assert_eq!(text, "");
    }
    let line = DayLine::new("2026-10-06".parse().unwrap(), 1, None, Counters::default());
    assert!(!day(&fixtures::day_seal("2026-10-05", 0))(&line, &mut String::new()));
}
