//! PURE: whether a source that suddenly names far fewer ports is to be trusted.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ledger::reading::Moment;

/// A source that shrank by more than half is taken when it has been the same for this long.
pub const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// Sources that shrank, what they say now, and since when. A list that is being rewritten line by line, or an upload that
/// stalls, looks whole for a moment.
#[derive(Debug)]
pub struct Settling<K, T> {
    shrunk: BTreeMap<K, (T, Moment)>,
}

impl<K, T> Default for Settling<K, T> {
    fn default() -> Self {
        Self { shrunk: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, T: PartialEq + Clone> Settling<K, T> {
    /// Whether what `source` says now is to be taken in the place of what was taken last: `before` and `after` are how
    /// much of it there is.
    pub fn takes(&mut self, source: &K, now_says: &T, before: usize, after: usize, now: Moment) -> bool {
        if after.saturating_mul(2) >= before {
            self.shrunk.remove(source);
            return true;
        }
        match self.shrunk.get(source) {
            Some((says, since)) if says == now_says => {
                let settled = Duration::from_nanos(now.boot_ns.saturating_sub(since.boot_ns)) >= SETTLED_AFTER;
                if settled {
                    self.shrunk.remove(source);
                }
                settled
            }
            Some(_) | None => {
                self.shrunk.insert(source.clone(), (now_says.clone(), now));
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Moment {
        Moment { wall: chrono::DateTime::UNIX_EPOCH, boot_ns: secs * 1_000_000_000 }
    }

    #[test]
    fn half_is_taken_at_once_and_less_when_it_stays() {
        let mut settling = Settling::default();
        assert!(settling.takes(&"a", &5, 10, 5, at(0)));
        assert!(!settling.takes(&"a", &4, 10, 4, at(1)));
        assert!(!settling.takes(&"a", &4, 10, 4, at(10)));
        assert!(settling.takes(&"a", &4, 10, 4, at(11)));
        // The last one that goes is more than half.
        assert!(!settling.takes(&"a", &0, 1, 0, at(20)));
    }

    #[test]
    fn what_changes_meanwhile_begins_anew() {
        let mut settling = Settling::default();
        assert!(!settling.takes(&"a", &4, 10, 4, at(0)));
        assert!(!settling.takes(&"a", &3, 10, 3, at(9)));
        assert!(!settling.takes(&"a", &3, 10, 3, at(18)));
        // Whole again, and short again later.
        assert!(settling.takes(&"a", &10, 10, 10, at(19)));
        assert!(!settling.takes(&"a", &3, 10, 3, at(20)));
        assert!(settling.takes(&"a", &3, 10, 3, at(30)));
    }

    #[test]
    fn sources_settle_each_for_itself() {
        let mut settling = Settling::default();
        assert!(!settling.takes(&"a", &1, 10, 1, at(0)));
        assert!(!settling.takes(&"b", &1, 10, 1, at(9)));
        assert!(settling.takes(&"a", &1, 10, 1, at(10)));
        assert!(!settling.takes(&"b", &1, 10, 1, at(10)));
    }
}
