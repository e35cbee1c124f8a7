use super::*;

#[test]
fn a_moment_moves_on_both_clocks() {
    let wall = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
    let moment = Moment { wall: wall("2026-10-05T13:00:00Z"), boot_ns: 3_000_000_000 };
    let pause = Duration::from_secs(2);
    assert_eq!(moment.after(pause), Moment { wall: wall("2026-10-05T13:00:02Z"), boot_ns: 5_000_000_000 });
    assert_eq!(moment.before(pause), Moment { wall: wall("2026-10-05T12:59:58Z"), boot_ns: 1_000_000_000 });
}
