//! Makes one answer at a time, which is shared by all who asked before it was begun.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Mutex;

use crate::answer::Answer;

/// The answers to one question. However many clients ask at the same time, only one answer is made at a time. Every
/// client gets an answer that was begun after it asked, so that it includes everything that moved before.
#[derive(Debug, Default)]
pub struct Turn {
    /// How many answers were begun.
    begun: AtomicU64,
    /// How many clients wait or are being answered.
    waiting: AtomicUsize,
    /// The number of the newest answer, and the answer itself while others wait for it.
    newest: Mutex<Option<(u64, Answer)>>,
}

/// Counts a client while it waits, even if it goes away.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Turn {
    /// Returns an answer that was begun after this call. Cancel-safe.
    pub async fn answer(&self, make: impl AsyncFnOnce() -> Answer) -> Answer {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.waiting);
        let begun_before = self.begun.load(Ordering::SeqCst);
        let mut newest = self.newest.lock().await;
        if let Some((number, answer)) = newest.as_ref()
            && *number > begun_before
        {
            let answer = answer.clone();
            if self.waiting.load(Ordering::SeqCst) == 1 {
                *newest = None;
            }
            return answer;
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = make().await;
        // It may be large, so it is not kept unless somebody waits for it already.
        *newest = (self.waiting.load(Ordering::SeqCst) > 1).then(|| (number, answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests;
