//! What could not be seen since the last bucket.

use crate::ledger::reading::Unseen;
use crate::ledger::record::HourSeal;

/// Collects what inspections tell until the next bucket is closed.
#[derive(Debug, Default)]
pub struct UnseenList(Vec<Unseen>);

impl UnseenList {
    /// Adds `found`. What lasts over several inspections is one, and is said once.
    pub fn add(&mut self, found: Vec<Unseen>) {
        for unseen in found {
            let same = self.0.iter_mut().find(|known| {
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
                    tracing::warn!(interface = unseen.interface, why = unseen.why, "there is time that nobody saw");
                    self.0.push(unseen);
                }
            }
        }
    }

    /// All of it, for the bucket that is closed now.
    pub fn all(&self) -> &[Unseen] {
        &self.0
    }

    /// Forgets what the bucket of `seal` has told of. What goes on after it is the next one's too.
    pub fn forget_until(&mut self, seal: &HourSeal) {
        self.0.retain(|unseen| unseen.goes_on_after(seal));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::reading::Moment;
    use crate::ledger::usage::tests::bucket_of;

    /// By the boot-time clock; the wall is of no account.
    fn unseen(interface: &str, start_secs: u64, end_secs: u64) -> Unseen {
        let moment = |secs: u64| Moment { wall: chrono::DateTime::UNIX_EPOCH, boot_ns: secs * 1_000_000_000 };
        Unseen { start: moment(start_secs), end: moment(end_secs), interface: interface.into(), why: "gone".into() }
    }

    #[test]
    fn what_lasts_over_several_inspections_is_one() {
        let mut list = UnseenList::default();
        list.add(vec![unseen("eth0", 10, 15)]);
        list.add(vec![unseen("eth0", 10, 20), unseen("eth1", 10, 20)]);
        list.add(vec![unseen("eth0", 30, 35)]);
        assert_eq!(list.all(), [unseen("eth0", 10, 20), unseen("eth1", 10, 20), unseen("eth0", 30, 35)]);
    }

    #[test]
    fn what_goes_on_after_a_bucket_is_the_next_ones_too() {
        let mut list = UnseenList::default();
        list.add(vec![unseen("eth0", 10, 20), unseen("eth1", 10, 21)]);
        let until = |secs: u64| HourSeal { boot_ms: Some(secs * 1_000), ..bucket_of(&[]).seal };
        list.forget_until(&until(20));
        assert_eq!(list.all(), [unseen("eth1", 10, 21)]);
        list.forget_until(&until(21));
        assert_eq!(list.all(), []);
    }
}
