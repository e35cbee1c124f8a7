use super::*;

#[test]
fn a_day_with_too_little_says_how_much_and_what_was_expected() {
    let day = NaiveDate::from_ymd_opt(2026, 10, 5).unwrap();
    // 85,684 of 86,400 s are 99.1713 %.
    let expected = "! 2026-10-05: 99.17 % measured, less than report.min_coverage (99.9 %)";
    assert_eq!(too_little(day, 85_684, 86_400, 0.999), expected);
    let expected = "! 2026-10-05: 99.99 % measured, less than report.min_coverage (100 %)";
    assert_eq!(too_little(day, 86_399, 86_400, 1.0), expected);
}
