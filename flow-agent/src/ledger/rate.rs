//! Rates: how many bytes a second moved, from readings that were taken while somebody asked.

use std::collections::VecDeque;

use super::by_port::ByPort;
use super::counters::Counters;
use super::now::Rates;

const SECOND_NS: u64 = 1_000_000_000;

/// Averages are taken over about these many seconds.
const WINDOWS_S: [u64; 3] = [1, 10, 60];

/// Samples that are younger are kept if they are at least nearly a second apart; older ones are thinned out.
const DENSE_NS: u64 = 16 * SECOND_NS;
const DENSE_STEP_NS: u64 = 900_000_000;
const SPARSE_STEP_NS: u64 = 4 * SECOND_NS;

/// Older samples are of no use: the longest window, and half as much again.
const OLDEST_NS: u64 = 90 * SECOND_NS;

/// The bytes of all ports at one moment, cumulative since the epoch began.
#[derive(Clone, Debug)]
struct Sample {
    boot_ns: u64,
    /// Port, bytes in, bytes out; in the order of the ports.
    bytes: Box<[(u16, u64, u64)]>,
}

/// The readings of the last minute and a half, as far as somebody asked.
#[derive(Clone, Debug, Default)]
pub struct RateSamples {
    epoch: String,
    /// From old to new.
    samples: VecDeque<Sample>,
}

impl RateSamples {
    /// Adds a reading of `totals` at `boot_ns` of the boot-time clock. Gives the rates of its ports, in the same order.
    pub fn add(&mut self, epoch: &str, boot_ns: u64, totals: &ByPort) -> Vec<(u16, Rates)> {
        if self.epoch != epoch {
            // Counters of another epoch count from elsewhere.
            self.samples.clear();
            epoch.clone_into(&mut self.epoch);
        }
        self.samples.retain(|sample| boot_ns.saturating_sub(sample.boot_ns) <= OLDEST_NS);
        let windows = WINDOWS_S.map(|seconds| self.sample_of_age(boot_ns, seconds * SECOND_NS));
        let rates = totals.into_iter().map(|(port, now)| {
            let [one, ten, sixty] = windows.map(|sample| rate(sample?, boot_ns, *port, *now));
            let rates = Rates {
                in_1s: one.map(|(bytes_in, _)| bytes_in),
                out_1s: one.map(|(_, bytes_out)| bytes_out),
                in_10s: ten.map(|(bytes_in, _)| bytes_in),
                out_10s: ten.map(|(_, bytes_out)| bytes_out),
                in_60s: sixty.map(|(bytes_in, _)| bytes_in),
                out_60s: sixty.map(|(_, bytes_out)| bytes_out),
            };
            (*port, rates)
        });
        let rates = rates.collect();
        self.keep(boot_ns, totals);
        rates
    }

    /// The sample whose age is nearest to a window, if it is 0.9 to 1.5 times that.
    fn sample_of_age(&self, now_ns: u64, window_ns: u64) -> Option<&Sample> {
        let age = |sample: &Sample| now_ns.saturating_sub(sample.boot_ns);
        let fits = |sample: &&Sample| (window_ns / 10 * 9..=window_ns / 2 * 3).contains(&age(sample));
        self.samples.iter().filter(fits).min_by_key(|sample| age(sample).abs_diff(window_ns))
    }

    fn keep(&mut self, boot_ns: u64, totals: &ByPort) {
        if self.samples.back().is_some_and(|last| boot_ns.saturating_sub(last.boot_ns) < DENSE_STEP_NS) {
            return;
        }
        let bytes = totals.into_iter().map(|(port, now)| (*port, now.in_bytes(), now.out_bytes())).collect();
        self.samples.push_back(Sample { boot_ns, bytes });
        self.thin_out(boot_ns);
    }

    /// Keeps, of those that are no longer young, one in four seconds.
    fn thin_out(&mut self, now_ns: u64) {
        let mut kept_at: Option<u64> = None;
        self.samples.retain(|sample| {
            let is_young = now_ns.saturating_sub(sample.boot_ns) <= DENSE_NS;
            let is_kept = is_young || kept_at.is_none_or(|at| sample.boot_ns.saturating_sub(at) >= SPARSE_STEP_NS);
            if is_kept {
                kept_at = Some(sample.boot_ns);
            }
            is_kept
        });
    }

    /// The number of samples that are kept.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether no sample is kept.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }
}

/// Bytes a second in and out; `None` for a port that was not there then, or whose counters have less than then.
fn rate(then: &Sample, now_ns: u64, port: u16, now: Counters) -> Option<(u64, u64)> {
    let at = then.bytes.binary_search_by_key(&port, |(port, ..)| *port).ok()?;
    let (_, then_in, then_out) = then.bytes[at];
    let lasted_ns = u128::from(now_ns.saturating_sub(then.boot_ns));
    let per_second = |now: u64, then: u64| {
        let bytes = u128::from(now.checked_sub(then)?);
        u64::try_from((bytes * u128::from(SECOND_NS) + lasted_ns / 2).checked_div(lasted_ns)?).ok()
    };
    Some((per_second(now.in_bytes(), then_in)?, per_second(now.out_bytes(), then_out)?))
}

#[cfg(test)]
mod tests;
