use super::*;

const DAY: u64 = 86_400;

fn whole_day(bytes: u128) -> Measured {
    Measured { bytes, seconds: DAY }
}

#[test]
fn a_month_goes_on_at_the_average_of_the_last_seven_days() {
    // The oldest day is the eighth, which is not used. The others hold 70 in 7 days: 10 a day, for three days more.
    let days: Vec<_> = [1_000, 0, 0, 0, 0, 0, 35, 35].map(|bytes| whole_day(bytes * u128::from(DAY))).into();
    assert_eq!(month(500, &days, 3 * DAY), Some(500 + 30 * u128::from(DAY)));
}

#[test]
fn time_that_was_not_measured_does_not_count_as_idle() {
    // Half of a day was measured, and held 43,200 bytes: one byte a second.
    let days = [whole_day(u128::from(DAY)), Measured { bytes: 43_200, seconds: 43_200 }];
    assert_eq!(month(7, &days, 100), Some(107));
}

#[test]
fn with_less_than_a_day_measured_there_is_no_forecast_of_a_month() {
    assert_eq!(month(7, &[], 100), None);
    assert_eq!(month(7, &[Measured { bytes: 9, seconds: DAY - 1 }], 100), None);
    assert_eq!(month(7, &[Measured { bytes: 0, seconds: DAY }], 100), Some(7));
    // A month that is over needs none.
    assert_eq!(month(7, &[], 0), Some(7));
}

#[test]
fn a_day_goes_on_as_the_day_before_did() {
    // Eight hours are left; yesterday they held 4,000.
    let today = Measured { bytes: 1_000, seconds: 57_600 };
    assert_eq!(day(today, Measured { bytes: 4_000, seconds: 28_800 }, 28_800), Some(5_000));
    // Nine tenths of them were measured, with 3,600 bytes: 4,000 in all.
    assert_eq!(day(today, Measured { bytes: 3_600, seconds: 25_920 }, 28_800), Some(5_000));
}

#[test]
fn without_a_day_before_a_day_goes_on_at_its_own_average() {
    // 1,000 bytes in 16 hours, for 8 hours more.
    let today = Measured { bytes: 1_000, seconds: 57_600 };
    assert_eq!(day(today, Measured::default(), 28_800), Some(1_500));
    assert_eq!(day(today, Measured { bytes: 9, seconds: 25_919 }, 28_800), Some(1_500));
    // 1,000 bytes in six hours, which are just enough: 1,333 in eight.
    assert_eq!(day(Measured { bytes: 1_000, seconds: 21_600 }, Measured::default(), 28_800), Some(2_333));
    // Five hours are too few.
    assert_eq!(day(Measured { bytes: 1_000, seconds: 18_000 }, Measured::default(), 28_800), None);
    assert_eq!(day(today, Measured::default(), 0), Some(1_000));
}

#[test]
fn sums_beyond_64_bits_do_not_overflow() {
    let days = [whole_day(u128::from(u64::MAX) * 1_000)];
    let day = u128::from(u64::MAX) * 1_000;
    assert_eq!(month(day, &days, DAY), Some(2 * day));
}
