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
mod tests;
