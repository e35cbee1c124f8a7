//! The 95th percentile of a series of rates, by which bandwidth is often billed.
//!
//! The period is cut into samples of five minutes. A sample is the average rate of its measured time. The samples are
//! sorted; the highest 5 % are left out, and the highest of the rest is the result. With n samples it is the one at place
//! ⌈0.95 n⌉, counted from the lowest (the nearest-rank method). Samples that were not measured are not zero: they are left
//! out, and the number that was expected is given beside the number that was seen.

use std::collections::BTreeMap;

/// The usual length of a sample in seconds.
pub const SAMPLE_SECONDS: u32 = 300;

/// The length of the samples that buckets of `bucket_seconds` can make; `None` if the buckets are too long.
///
/// It is five minutes if that is a multiple of a bucket, else the length of a bucket, such as four minutes.
pub fn sample_seconds(bucket_seconds: u32) -> Option<u32> {
    match bucket_seconds {
        0 => None,
        seconds if seconds > SAMPLE_SECONDS => None,
        seconds if SAMPLE_SECONDS.is_multiple_of(seconds) => Some(SAMPLE_SECONDS),
        seconds => Some(seconds),
    }
}

/// Bytes in and out in one sample, and the seconds of it that were measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    pub in_bytes: u128,
    pub out_bytes: u128,
    pub seconds: u32,
}

/// The samples of a period, each named by the time at which it begins.
#[derive(Clone, Debug, Default)]
pub struct Samples(BTreeMap<i64, Sample>);

impl Samples {
    /// Adds a bucket to the sample that begins at `start`.
    pub fn add(&mut self, start: i64, more: Sample) {
        let sample = self.0.entry(start).or_default();
        sample.in_bytes = sample.in_bytes.saturating_add(more.in_bytes);
        sample.out_bytes = sample.out_bytes.saturating_add(more.out_bytes);
        sample.seconds = sample.seconds.saturating_add(more.seconds);
    }

    /// How many samples have measured time.
    pub fn seen(&self) -> usize {
        self.0.values().filter(|sample| sample.seconds > 0).count()
    }

    /// The percentiles of what came in, of what went out, and of both together; `None` if nothing was seen.
    pub fn percentiles(&self) -> Option<[Percentile; 3]> {
        let of = |bytes: fn(&Sample) -> u128| {
            let seen = self.0.values().filter(|sample| sample.seconds > 0);
            percentile(seen.map(|sample| bytes(sample) / u128::from(sample.seconds)).collect())
        };
        Some([
            of(|sample| sample.in_bytes)?,
            of(|sample| sample.out_bytes)?,
            of(|sample| sample.in_bytes.saturating_add(sample.out_bytes))?,
        ])
    }
}

/// The 95th percentile of one series, in bytes a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percentile {
    pub rate: u128,
    /// The next higher sample: the result, if one of the higher samples had been lower. `None` if there is none.
    pub above: Option<u128>,
    /// The next lower sample: the result, if one more sample were left out. `None` if there is none.
    pub below: Option<u128>,
}

/// The 95th percentile of `rates`, in any order; `None` if there are none.
pub fn percentile(mut rates: Vec<u128>) -> Option<Percentile> {
    rates.sort_unstable();
    // ⌈0.95 n⌉, at least 1.
    let place = (rates.len() * 95).div_ceil(100);
    let index = place.checked_sub(1)?;
    let at = |index: usize| rates.get(index).copied();
    Some(Percentile { rate: at(index)?, above: at(index + 1), below: index.checked_sub(1).and_then(at) })
}

#[cfg(test)]
mod tests;
