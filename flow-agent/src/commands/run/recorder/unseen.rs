//! The times since the last bucket that were not measured.

use std::time::Duration;

use chrono::TimeDelta;

use crate::commands::run::timers::after;
use crate::ledger::reading::{Moment, Unseen};
use crate::ledger::record::HourSeal;
use crate::ledger::unsealed::goes_on_after;

/// How far a checkpoint extends a gap that may still be growing, so that it need not be rewritten all the time for an
/// agent that might be killed. If that is too much, the next checkpoint or the bucket corrects it.
const TOLD_AHEAD: Duration = Duration::from_secs(60);

/// Collects what inspections report until the next bucket is closed.
#[derive(Debug, Default)]
pub struct UnseenList {
    all: Vec<Unseen>,
    /// What the newest inspection reported, and what may therefore still be growing.
    growing: Vec<(String, String)>,
    /// Until when the newest checkpoint has extended those, on the boot-time clock in nanoseconds.
    told_until: u64,
}

impl UnseenList {
    /// Adds what an inspection at `now` found. What lasts over several inspections is kept as one gap and logged once.
    /// Returns whether a checkpoint must be written now: something began or ended, or lasted longer than the checkpoint
    /// says.
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

    /// Everything for a checkpoint; what may still be growing is extended into the future.
    pub fn foretold(&mut self, now: Moment) -> Vec<Unseen> {
        self.told_until = after(now, TOLD_AHEAD);
        let mut told = self.all.clone();
        let ahead = TimeDelta::from_std(TOLD_AHEAD).unwrap_or_default();
        for unseen in &mut told {
            let is_growing =
                self.growing.iter().any(|(interface, why)| *interface == unseen.interface && *why == unseen.why);
            // Only the last of several gaps on one interface can still be growing.
            if is_growing && after(unseen.end, TOLD_AHEAD) >= now.boot_ns {
                unseen.end = Moment { wall: now.wall + ahead, boot_ns: self.told_until };
            }
        }
        told
    }

    /// Whether the newest inspection found everything that is to be counted.
    pub fn is_well(&self) -> bool {
        self.growing.is_empty()
    }

    /// Everything for the bucket that is closed now.
    pub fn all(&self) -> &[Unseen] {
        &self.all
    }

    /// Forgets what the bucket of `seal` covers. What lasts beyond it belongs to the next bucket as well.
    pub fn forget_until(&mut self, seal: &HourSeal) {
        self.all.retain(|unseen| goes_on_after(unseen, seal));
    }
}

#[cfg(test)]
mod tests;
