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
mod tests;
