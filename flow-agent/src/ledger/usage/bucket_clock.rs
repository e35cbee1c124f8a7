//! The time of the open bucket. The boot-time clock measures it, and the wall clock names it.

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use chrono_tz::Tz;

use crate::ledger::calendar::{self, BucketLength};
use crate::ledger::reading::Moment;
use crate::ledger::unsealed::bucket_times::{Closed, booted_at, since_boot, whole_second};

/// How far the two clocks may drift apart; more is a step of the wall clock.
const TOLERANCE: TimeDelta = TimeDelta::seconds(2);

/// Whether both moments lie in the same second of the wall clock. Buckets begin and end at whole seconds.
pub fn is_within_one_second(start: Moment, end: Moment) -> bool {
    whole_second(start.wall) == whole_second(end.wall)
}

/// The open bucket's time.
#[derive(Clone, Debug)]
pub(super) struct BucketClock {
    zone: Tz,
    bucket: BucketLength,
    /// In whole seconds.
    start: DateTime<Utc>,
    planned_end: DateTime<Utc>,
    /// [`booted_at`] when the bucket began; `None` if the seal before it does not say.
    booted_at_start: Option<DateTime<Utc>>,
    /// [`booted_at`] at the newest moment that was seen.
    booted_at_last: DateTime<Utc>,
    /// [`booted_at`] before the wall clock was set to a time outside the bucket; `None` if it was not.
    stepped_from: Option<DateTime<Utc>>,
    /// Bucket times before this are suspect, because the clock was behind the journal when it was resumed.
    suspect_until: Option<DateTime<Utc>>,
}

impl BucketClock {
    /// A bucket that begins at `start`, by the wall clock as it is set at `now`.
    pub(super) fn open(zone: Tz, bucket: BucketLength, start: DateTime<Utc>, now: Moment) -> Self {
        let booted_at = booted_at(now);
        let start = whole_second(start);
        Self {
            zone,
            bucket,
            start,
            planned_end: calendar::next_boundary(zone, bucket, start),
            booted_at_start: Some(booted_at),
            booted_at_last: booted_at,
            stepped_from: None,
            suspect_until: None,
        }
    }

    /// The bucket after a seal of the same epoch, which ended at `end` when the boot-time clock showed `boot_ms`.
    pub(super) fn resume(
        zone: Tz,
        bucket: BucketLength,
        end: DateTime<Utc>,
        boot_ms: Option<u64>,
        now: Moment,
    ) -> Self {
        let mut clock = Self::open(zone, bucket, end, now);
        clock.booted_at_start = boot_ms.and_then(|ms| {
            // A value beyond the range of a clock cannot be a reading of one.
            end.checked_sub_signed(TimeDelta::try_milliseconds(i64::try_from(ms).ok()?)?)
        });
        match clock.booted_at_start {
            Some(booted_at) => clock.booted_at_last = booted_at,
            // How far the wall clock was set back is not known, and so neither is how much time has passed since the
            // seal.
            None if now.wall < clock.start - TOLERANCE => {
                clock.stepped_from = Some(booted_at(now) + (clock.start - now.wall));
            }
            None => {}
        }
        clock.see(now);
        clock
    }

    /// Marks every bucket that begins before `until` as suspect.
    pub(super) fn suspect_until(&mut self, until: DateTime<Utc>) {
        self.suspect_until = Some(until);
    }

    pub(super) fn start(&self) -> DateTime<FixedOffset> {
        calendar::local(self.zone, self.start)
    }

    /// The boot-time clock at [`BucketClock::start`], where it is known.
    pub(super) fn start_boot_ms(&self) -> Option<u64> {
        u64::try_from((self.start - self.booted_at_start?).num_milliseconds()).ok()
    }

    pub(super) fn planned_end(&self) -> DateTime<Utc> {
        self.planned_end
    }

    /// Compares the clocks, to notice when somebody sets the wall clock to a time outside the bucket.
    pub(super) fn see(&mut self, now: Moment) {
        let booted_at = booted_at(now);
        let stepped = (booted_at - self.booted_at_last).abs() > TOLERANCE;
        let inside = (self.start..self.planned_end).contains(&now.wall);
        if stepped && !inside && self.stepped_from.is_none() {
            self.stepped_from = Some(self.booted_at_last);
        }
        self.booted_at_last = booted_at;
    }

    /// Whether the bucket must be closed now.
    pub(super) fn due(&mut self, now: Moment) -> bool {
        self.see(now);
        self.stepped_from.is_some() || now.wall >= self.planned_end
    }

    /// Closes the bucket at the moment of a reading, and opens the next.
    pub(super) fn close(&mut self, at: Moment) -> Closed {
        self.see(at);
        let booted_now = booted_at(at);
        // In whole seconds, a reading within a second after a boundary is one at the boundary.
        let by_the_wall = whole_second(at.wall);
        let booted_at = self.stepped_from.unwrap_or(booted_now);
        let end = whole_second(at.wall + (booted_at - booted_now)).max(self.start);
        let differ = self.booted_at_start.is_some_and(|then| (booted_now - then).abs() > TOLERANCE);
        let suspect = self.suspect_until.is_some_and(|until| self.start < until);
        let ended = (end - booted_at).min(since_boot(at));
        let closed = Closed {
            start: self.start,
            end,
            boot_ms: u64::try_from(ended.num_milliseconds()).ok(),
            clock: self.stepped_from.is_some() || differ || suspect,
            late: end > self.planned_end,
            booted_at,
            lasted: self.booted_at_start.map(|booted_at| (self.start - booted_at, ended)),
        };
        let next = if self.stepped_from.is_some() { by_the_wall } else { end };
        let suspect_until = self.suspect_until;
        *self = Self::open(self.zone, self.bucket, next, at);
        // The next bucket begins where this one ended, whatever the wall clock said, so that no time lies between them
        // or in both.
        self.booted_at_start = Some(self.start - ended);
        self.suspect_until = suspect_until;
        closed
    }
}
