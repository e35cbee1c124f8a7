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
mod tests {
    use super::*;

    fn totals(tcp_in_bytes: u64, udp_out_bytes: u64) -> ByPort {
        [(443, Counters { tcp_in_bytes, udp_out_bytes, ..Counters::default() })].into()
    }

    #[test]
    fn a_rate_is_what_moved_since_a_reading_of_about_that_age() {
        let mut samples = RateSamples::default();
        // In: 1,000 bytes a second for a minute, then 7,000; out: 10 bytes a second.
        for second in 0..=60 {
            samples.add("epoch", second * SECOND_NS, &totals(1_000 * second, 10 * second));
        }
        let rates = samples.add("epoch", 61 * SECOND_NS, &totals(67_000, 610));
        let expected = Rates {
            in_1s: Some(7_000),
            out_1s: Some(10),
            in_10s: Some(1_600),
            out_10s: Some(10),
            // Over 61 seconds: 67,000 / 61.
            in_60s: Some(1_098),
            out_60s: Some(10),
        };
        // The sample that is nearest to a minute old is one of those that were kept every four seconds.
        let (port, found) = rates[0];
        assert_eq!(port, 443);
        assert_eq!(Rates { in_60s: None, out_60s: None, ..found }, Rates { in_60s: None, out_60s: None, ..expected });
        let in_60s = found.in_60s.unwrap();
        // Between 55 and 61 seconds of which one had 7,000 bytes.
        assert!((67_000 / 61..=(54_000 + 7_000) / 55).contains(&in_60s), "{in_60s}");
        assert_eq!(found.out_60s, Some(10));
    }

    #[test]
    fn where_nobody_asked_there_is_no_rate_and_no_zero() {
        let mut samples = RateSamples::default();
        assert_eq!(samples.add("epoch", 0, &totals(5, 5))[0].1, Rates::default());
        // Too soon for a second, and then too late for it, but not for ten.
        assert_eq!(samples.add("epoch", SECOND_NS / 2, &totals(9, 9))[0].1, Rates::default());
        let late = samples.add("epoch", 10 * SECOND_NS, &totals(1_005, 5))[0].1;
        assert_eq!((late.in_1s, late.in_10s, late.out_10s, late.in_60s), (None, Some(100), Some(0), None));
        // After a long silence nothing is known.
        assert_eq!(samples.add("epoch", 1_000 * SECOND_NS, &totals(9_999, 9))[0].1, Rates::default());
    }

    #[test]
    fn new_counters_and_new_ports_and_fallen_counters_have_no_rate_yet() {
        let mut samples = RateSamples::default();
        samples.add("one", 0, &totals(1_000, 0));
        assert_eq!(samples.add("two", SECOND_NS, &totals(10, 0))[0].1, Rates::default());
        assert_eq!(samples.add("two", 2 * SECOND_NS, &totals(5, 0))[0].1, Rates::default(), "it has less");
        let counters = Counters { tcp_in_bytes: 7, ..Counters::default() };
        let rates = samples.add("two", 3 * SECOND_NS, &[(443, counters), (444, counters)].into());
        assert_eq!((rates[0].1.in_1s, rates[1].1), (Some(2), Rates::default()));
    }

    #[test]
    fn few_samples_are_kept_however_often_and_long_somebody_asks() {
        let mut samples = RateSamples::default();
        for tenth in 0..6_000 {
            samples.add("epoch", tenth * SECOND_NS / 10, &totals(tenth, 0));
            assert!(samples.len() <= 40, "{}", samples.len());
        }
    }
}
