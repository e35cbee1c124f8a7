//! Where buckets and days begin and end in a time zone.
//!
//! A bucket boundary is a multiple of the bucket length in local time, or a change of the zone's offset. Hours
//! therefore start on the hour in `+05:45` too, and a night in which the clock goes back has two distinct hours at
//! 02:00. A day begins at the first instant of its date, which is not always 00:00, and a date that a zone skipped has
//! no seconds.

use std::time::Duration;

use chrono::{DateTime, Days, FixedOffset, NaiveDate, NaiveTime, Offset as _, TimeZone as _, Utc};
use chrono_tz::Tz;

pub use super::month::Month;

const HOUR_SECS: i64 = 3_600;
const DAY_SECS: i64 = 86_400;

/// No zone is or was further from UTC than this; the largest offset ever used is 15 hours and 13 minutes.
const WIDEST_OFFSET_SECS: i64 = 16 * HOUR_SECS;

/// The length of a bucket: a whole number of seconds that divides an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketLength {
    seconds: u32,
}

impl BucketLength {
    /// An hour, the default.
    pub const HOUR: Self = Self { seconds: 3_600 };

    /// The length in seconds, 1 to 3,600.
    pub fn seconds(self) -> u32 {
        self.seconds
    }
}

impl TryFrom<Duration> for BucketLength {
    type Error = BucketLengthError;

    fn try_from(length: Duration) -> Result<Self, BucketLengthError> {
        match u32::try_from(length.as_secs()) {
            Ok(seconds @ 1..=3_600) if length.subsec_nanos() == 0 && 3_600 % seconds == 0 => Ok(Self { seconds }),
            Ok(_) | Err(_) => Err(BucketLengthError { length }),
        }
    }
}

/// A length that does not divide an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a bucket of {length:?} does not divide an hour into whole seconds")]
pub struct BucketLengthError {
    pub length: Duration,
}

/// `at` as the zone's clocks show it, for the files. Offsets there have whole minutes: the few historical ones that do
/// not are cut towards zero, the instant stays the same.
pub fn local(zone: Tz, at: DateTime<Utc>) -> DateTime<FixedOffset> {
    let minutes = offset_secs(zone, at.timestamp()) / 60;
    let offset = FixedOffset::east_opt(minutes * 60).expect("a zone's offset is less than a day");
    at.with_timezone(&offset)
}

/// The first boundary after `after`.
pub fn next_boundary(zone: Tz, bucket: BucketLength, after: DateTime<Utc>) -> DateTime<Utc> {
    let after = after.timestamp();
    let length = i64::from(bucket.seconds);
    let into_bucket = (after + i64::from(offset_secs(zone, after))).rem_euclid(length);
    let planned = after - into_bucket + length;
    instant(first_change(zone, after, planned).unwrap_or(planned))
}

/// The last boundary that is not after `at`.
pub fn bucket_start(zone: Tz, bucket: BucketLength, at: DateTime<Utc>) -> DateTime<Utc> {
    let at = at.timestamp();
    let offset = offset_secs(zone, at);
    let mut start = at - (at + i64::from(offset)).rem_euclid(i64::from(bucket.seconds));
    // A bucket is no longer than an hour, so at most one change lies within; the loop also takes two.
    while let Some(change) = first_change(zone, start, at) {
        start = change;
    }
    instant(start)
}

/// The first instant of `day`; of a date that the zone skipped, the first instant after it.
pub fn day_start(zone: Tz, day: NaiveDate) -> DateTime<Utc> {
    let midnight = day.and_time(NaiveTime::MIN).and_utc().timestamp();
    let mut span = midnight - WIDEST_OFFSET_SECS;
    loop {
        let midnight_here = midnight - i64::from(offset_secs(zone, span));
        let first = midnight_here.max(span);
        match first_change(zone, span, first) {
            Some(change) => span = change,
            None => return instant(first),
        }
    }
}

/// The first instant after `day`: where the next begins.
pub fn day_end(zone: Tz, day: NaiveDate) -> DateTime<Utc> {
    day_start(zone, day + Days::new(1))
}

/// 86,400 on most days; 0 for a date that the zone skipped.
pub fn seconds_in_day(zone: Tz, day: NaiveDate) -> u32 {
    let seconds = (day_end(zone, day) - day_start(zone, day)).num_seconds();
    u32::try_from(seconds).expect("a day ends after it begins, and within two days")
}

/// How many buckets begin on `day`, by the date that is written in their `start`, when none is closed early.
pub fn buckets_expected(zone: Tz, bucket: BucketLength, day: NaiveDate) -> u32 {
    let length = i64::from(bucket.seconds);
    let midnight = day.and_time(NaiveTime::MIN).and_utc().timestamp();
    let next_midnight = midnight + DAY_SECS;
    let mut span = day_start(zone, day).timestamp();
    // A clock that goes back shortly after midnight makes the date come again after the next one has begun.
    let last = day_end(zone, day).timestamp() + DAY_SECS;
    let mut buckets = 0;
    while span < last {
        let offset = i64::from(offset_secs(zone, span));
        let end = first_change(zone, span, last).unwrap_or(last);
        let (from, to) = ((span + offset).max(midnight), (end + offset).min(next_midnight));
        if from < to {
            // The span's own begin is a boundary; so is every multiple after it.
            buckets += 1 + (to - 1).div_euclid(length) - from.div_euclid(length);
        }
        span = end;
    }
    u32::try_from(buckets).expect("a date has at most 86,400 seconds twice")
}

/// Seconds from the first instant of `month` to the first of the next.
pub fn seconds_in_month(zone: Tz, month: Month, month_start_day: u32) -> u64 {
    let start = day_start(zone, month.first_day(month_start_day));
    let end = day_end(zone, month.last_day(month_start_day));
    u64::try_from((end - start).num_seconds()).expect("a month ends after it begins")
}

fn offset_secs(zone: Tz, at: i64) -> i32 {
    zone.offset_from_utc_datetime(&instant(at).naive_utc()).fix().local_minus_utc()
}

/// The first instant in `(from, to]` whose offset is not that of `from`. Looks at every hour: no zone ever changed its
/// offset and changed it back within one.
fn first_change(zone: Tz, from: i64, to: i64) -> Option<i64> {
    let before = offset_secs(zone, from);
    let mut same = from;
    while same < to {
        let mut changed = (same + HOUR_SECS).min(to);
        if offset_secs(zone, changed) == before {
            same = changed;
            continue;
        }
        while changed - same > 1 {
            let middle = same + (changed - same) / 2;
            if offset_secs(zone, middle) == before { same = middle } else { changed = middle }
        }
        return Some(changed);
    }
    None
}

fn instant(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).expect("within days of an instant that a clock showed")
}

#[cfg(test)]
mod tests;
