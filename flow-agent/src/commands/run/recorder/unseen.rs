//! What could not be seen since the last bucket.

use std::time::Duration;

use chrono::TimeDelta;

use crate::commands::run::timers::after;
use crate::ledger::reading::{Moment, Unseen};
use crate::ledger::record::HourSeal;
use crate::ledger::unsealed::goes_on_after;

/// How far ahead a checkpoint tells of a time that goes on: an agent that is killed meanwhile need not have written again.
/// What was told too much is corrected by the next checkpoint, or by the bucket.
const TOLD_AHEAD: Duration = Duration::from_secs(60);

/// Collects what inspections tell until the next bucket is closed.
#[derive(Debug, Default)]
pub struct UnseenList {
    all: Vec<Unseen>,
    /// Those that the newest inspection told of: they may go on.
    growing: Vec<(String, String)>,
    /// Up to when the newest checkpoint tells of those, by the boot-time clock in nanoseconds.
    told_until: u64,
}

impl UnseenList {
    /// Adds what an inspection at `now` found. What lasts over several inspections is one, and is said once. Whether a
    /// checkpoint must tell of it now: something began or ended, or went on for longer than was told.
    pub fn add(&mut self, found: Vec<Unseen>, now: Moment) -> bool {
        let growing: Vec<_> = found.iter().map(|unseen| (unseen.interface.clone(), unseen.why.clone())).collect();
        let must_tell = growing != self.growing || !growing.is_empty() && now.boot_ns >= self.told_until;
        self.growing = growing;
        for unseen in found {
            let same = self.all.iter_mut().find(|known| {
                known.interface == unseen.interface
                    && known.why == unseen.why
                    && unseen.start.boot_ns <= known.end.boot_ns
                    && known.start.boot_ns <= unseen.end.boot_ns
            });
            match same {
                Some(known) => {
                    if unseen.start.boot_ns < known.start.boot_ns {
                        known.start = unseen.start;
                    }
                    if unseen.end.boot_ns > known.end.boot_ns {
                        known.end = unseen.end;
                    }
                }
                None => {
                    tracing::warn!(interface = unseen.interface, why = unseen.why, "some time was not measured");
                    self.all.push(unseen);
                }
            }
        }
        must_tell
    }

    /// All of it, for a checkpoint: what may go on is told some time ahead.
    pub fn foretold(&mut self, now: Moment) -> Vec<Unseen> {
        self.told_until = after(now, TOLD_AHEAD);
        let mut told = self.all.clone();
        let ahead = TimeDelta::from_std(TOLD_AHEAD).unwrap_or_default();
        for unseen in &mut told {
            let is_growing =
                self.growing.iter().any(|(interface, why)| *interface == unseen.interface && *why == unseen.why);
            // Only the last of several times on one interface may go on.
            if is_growing && after(unseen.end, TOLD_AHEAD) >= now.boot_ns {
                unseen.end = Moment { wall: now.wall + ahead, boot_ns: self.told_until };
            }
        }
        told
    }

    /// Whether the newest inspection found all that is to be counted.
    pub fn is_well(&self) -> bool {
        self.growing.is_empty()
    }

    /// All of it, for the bucket that is closed now.
    pub fn all(&self) -> &[Unseen] {
        &self.all
    }

    /// Forgets what the bucket of `seal` has told of. What goes on after it is the next one's too.
    pub fn forget_until(&mut self, seal: &HourSeal) {
        self.all.retain(|unseen| goes_on_after(unseen, seal));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::usage::tests::bucket_of;

    fn at(secs: u64) -> Moment {
        Moment { wall: chrono::DateTime::UNIX_EPOCH, boot_ns: secs * 1_000_000_000 }
    }

    /// By the boot-time clock; the wall clock does not matter.
    fn unseen(interface: &str, start_secs: u64, end_secs: u64) -> Unseen {
        Unseen { start: at(start_secs), end: at(end_secs), interface: interface.into(), why: "gone".into() }
    }

    #[test]
    fn what_lasts_over_several_inspections_is_one() {
        let mut list = UnseenList::default();
        list.add(vec![unseen("eth0", 10, 15)], at(15));
        list.add(vec![unseen("eth0", 10, 20), unseen("eth1", 10, 20)], at(20));
        list.add(vec![unseen("eth0", 30, 35)], at(35));
        assert_eq!(list.all(), [unseen("eth0", 10, 20), unseen("eth1", 10, 20), unseen("eth0", 30, 35)]);
    }

    #[test]
    fn what_goes_on_after_a_bucket_is_the_next_ones_too() {
        let mut list = UnseenList::default();
        list.add(vec![unseen("eth0", 10, 20), unseen("eth1", 10, 21)], at(21));
        let until = |secs: u64| HourSeal { boot_ms: Some(secs * 1_000), ..bucket_of(&[]).seal };
        list.forget_until(&until(20));
        assert_eq!(list.all(), [unseen("eth1", 10, 21)]);
        list.forget_until(&until(21));
        assert_eq!(list.all(), []);
    }

    #[test]
    fn a_time_that_goes_on_is_told_ahead_and_not_at_every_inspection() {
        let mut list = UnseenList::default();
        assert!(list.add(vec![unseen("eth0", 10, 15)], at(15)), "it began");
        let told = list.foretold(at(15));
        assert_eq!(told[0].end.boot_ns, at(75).boot_ns);
        for now in [20, 25, 74] {
            assert!(!list.add(vec![unseen("eth0", 10, now)], at(now)), "{now}: it is told until 75");
        }
        assert!(list.add(vec![unseen("eth0", 10, 80)], at(80)), "it went on for longer than was told");
        list.foretold(at(80));
        assert!(list.add(vec![], at(85)), "it ended");
        assert_eq!(list.foretold(at(85)), [unseen("eth0", 10, 80)]);
        assert!(!list.add(vec![], at(90)));
    }
}
