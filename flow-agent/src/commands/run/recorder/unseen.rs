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
mod tests;
