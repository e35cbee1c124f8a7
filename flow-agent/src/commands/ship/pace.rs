//! When the next attempt is made: thousands of nodes must not call at the same time.

use std::time::Duration;

use crate::ledger::calendar::BucketLength;

/// The longest pause between two attempts.
const MOST: Duration = Duration::from_secs(15 * 60);

/// The time over which the start of all nodes is spread if buckets are an hour long.
const SPREAD: Duration = Duration::from_secs(10 * 60);

/// The upper limit of the pause after the attempt that failed as number `failures`, counted from zero: 1 s, 2 s, 4 s,
/// up to a quarter of an hour. The pause itself is a random part of it ("full jitter").
pub(super) fn backoff(failures: u32) -> Duration {
    Duration::from_secs(1_u64.checked_shl(failures).unwrap_or(u64::MAX)).min(MOST)
}

/// The time over which the nodes are spread: ten minutes, or a sixth of a bucket if that is shorter.
pub(super) fn spread(bucket: BucketLength) -> Duration {
    SPREAD.min(Duration::from_secs(u64::from(bucket.seconds()) / 6))
}

/// A random time from zero to `most`.
pub(super) fn random_up_to(most: Duration) -> Duration {
    // The low 64 bits of a version 4 UUID hold 62 random ones.
    let random = uuid::Uuid::new_v4().as_u64_pair().1 >> 2 & 0xffff_ffff;
    let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX).min(u64::from(u32::MAX));
    Duration::from_millis((millis + 1).saturating_mul(random) >> 32)
}

#[cfg(test)]
mod tests;
