//! What a billing month and a day will probably hold when they are over.
//!
//! **Month.** What was counted so far, plus the remaining seconds times an average rate. That rate is the one of the last
//! seven days that are over, in bytes a measured second: seven days hold every day of the week once, so that quiet
//! weekends do not mislead. If fewer days are over, those are used.
//!
//! **Day.** What was counted so far, plus what the day before moved from this time of the day until midnight. If that is
//! not known, plus the remaining seconds at the average rate of today.
//!
//! A forecast is made only if enough was measured, and never presented as a count. It stays at the count itself when no
//! time remains.

/// How many complete days the forecast of a month looks back.
pub const DAYS: usize = 7;

/// The forecast of a month needs this much measured time in those days: one whole day.
pub const MONTH_NEEDS_SECONDS: u64 = 86_400;

/// The forecast of a day without a day before needs this much measured time today: six hours.
pub const DAY_NEEDS_SECONDS: u64 = 6 * 3_600;

/// Bytes, and the seconds in which they were measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    pub bytes: u128,
    pub seconds: u64,
}

impl Measured {
    /// Adds another measurement of a different time.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), seconds: self.seconds.saturating_add(other.seconds) }
    }

    /// The bytes that this average rate gives in `seconds`, rounded down; `None` if nothing was measured.
    fn in_seconds(self, seconds: u64) -> Option<u128> {
        if self.seconds == 0 {
            return None;
        }
        let per = u128::from(self.seconds);
        let (whole, rest) = (self.bytes / per, self.bytes % per);
        Some(whole.saturating_mul(seconds.into()).saturating_add(rest.saturating_mul(seconds.into()) / per))
    }
}

/// The bytes of a month when it is over; `None` if too little is known.
///
/// `so_far` is what was counted in the month. `complete_days` are the days before today, the newest last, of this month or
/// of the one before; the last [`DAYS`] of them are used. `seconds_left` is the rest of the month.
pub fn month(so_far: u128, complete_days: &[Measured], seconds_left: u64) -> Option<u128> {
    let recent = &complete_days[complete_days.len().saturating_sub(DAYS)..];
    let recent = recent.iter().copied().fold(Measured::default(), Measured::plus);
    if seconds_left == 0 {
        return Some(so_far);
    }
    if recent.seconds < MONTH_NEEDS_SECONDS {
        return None;
    }
    Some(so_far.saturating_add(recent.in_seconds(seconds_left)?))
}

/// The bytes of today at midnight; `None` if too little is known.
///
/// `rest_of_yesterday` is what the day before moved from this time of the day on. It is used only if at least nine tenths of
/// that time were measured, and extended to all of it.
pub fn day(today: Measured, rest_of_yesterday: Measured, seconds_left: u64) -> Option<u128> {
    if seconds_left == 0 {
        return Some(today.bytes);
    }
    let is_known = u128::from(rest_of_yesterday.seconds) * 10 >= u128::from(seconds_left) * 9;
    let rest = if is_known {
        rest_of_yesterday.in_seconds(seconds_left)?
    } else if today.seconds >= DAY_NEEDS_SECONDS {
        today.in_seconds(seconds_left)?
    } else {
        return None;
    };
    Some(today.bytes.saturating_add(rest))
}

#[cfg(test)]
mod tests {
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
}
