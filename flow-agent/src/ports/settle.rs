//! PURE: decides whether to trust a source that suddenly names far fewer ports.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::ledger::reading::Moment;

/// How long a source that shrank by more than half must stay the same before it is accepted.
pub const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// The sources that have shrunk, with their present contents and since when. A list that is being rewritten line by
/// line, or an upload that stalls, looks complete for a moment.
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
    /// Whether to accept the present contents of `source`. `before` and `after` are the sizes of what was last accepted
    /// and of what it says now.
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
