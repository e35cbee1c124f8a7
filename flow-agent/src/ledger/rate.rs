//! Rates in bytes a second, computed from readings that are only taken while somebody asks.

use std::collections::VecDeque;

use super::by_port::ByPort;
use super::counters::Counters;
use super::now::Rates;

const SECOND_NS: u64 = 1_000_000_000;

/// The lengths of time, in seconds, over which averages are taken.
const WINDOWS_S: [u64; 3] = [1, 10, 60];

/// Samples up to this age are kept if they are nearly a second apart; older ones are thinned out.
const DENSE_NS: u64 = 16 * SECOND_NS;
const DENSE_STEP_NS: u64 = 900_000_000;
const SPARSE_STEP_NS: u64 = 4 * SECOND_NS;

/// Older samples are dropped: one and a half times the longest window.
const OLDEST_NS: u64 = 90 * SECOND_NS;

/// The bytes of all ports at one moment, cumulative since the epoch began.
#[derive(Clone, Debug)]
struct Sample {
    boot_ns: u64,
    /// Port, bytes in, bytes out; in the order of the ports.
    bytes: Box<[(u16, u64, u64)]>,
}

/// The readings of the last 90 seconds, as far as somebody asked.
#[derive(Clone, Debug, Default)]
pub struct RateSamples {
    epoch: String,
    /// From old to new.
    samples: VecDeque<Sample>,
}

impl RateSamples {
    /// Adds a reading of `totals` at `boot_ns` on the boot-time clock. Returns the rates of its ports, in the same
    /// order.
    pub fn add(&mut self, epoch: &str, boot_ns: u64, totals: &ByPort) -> Vec<(u16, Rates)> {
        if self.epoch != epoch {
            // Counters of another epoch started at other values, so no difference can be taken.
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

    /// The sample whose age is nearest to a window and 0.9 to 1.5 times as long.
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

    /// Thins out the samples that are no longer young to one in four seconds.
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

/// Bytes a second in and out; `None` if the port was not in the earlier sample, or if its counters have decreased.
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
