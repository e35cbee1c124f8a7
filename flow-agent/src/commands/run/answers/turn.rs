//! Makes one answer at a time, and lets all share it who asked before it was begun.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Mutex;

use crate::answer::Answer;

/// The answers to one question. However many ask at a time, one is made; and each of them gets one that was begun after it
/// asked, so that it says what moved before.
#[derive(Debug, Default)]
pub struct Turn {
    /// How many answers were begun.
    begun: AtomicU64,
    /// How many clients wait, or are being answered.
    waiting: AtomicUsize,
    /// The number of the newest answer, and the answer as long as others wait.
    newest: Mutex<Option<(u64, Answer)>>,
}

/// Counts a client as long as it waits, and also where it goes away meanwhile.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Turn {
    /// An answer that was begun after this was called. May be dropped at any time.
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
        // It may be large: nobody keeps it for whoever asks later.
        *newest = (self.waiting.load(Ordering::SeqCst) > 1).then(|| (number, answer.clone()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;
    use tokio::task::yield_now;

    use super::*;

    fn numbered(number: u64) -> Answer {
        Answer { status: 200, content_type: Answer::JSON, body: number.to_string().into() }
    }

    #[tokio::test]
    async fn whoever_asks_meanwhile_shares_the_next_answer_and_never_the_one_before() {
        let turn = Arc::new(Turn::default());
        let (made, may_end) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
        let ask = || {
            let (turn, made, may_end) = (Arc::clone(&turn), Arc::clone(&made), Arc::clone(&may_end));
            tokio::spawn(async move {
                let make = async || {
                    let number = made.fetch_add(1, Ordering::SeqCst) + 1;
                    may_end.acquire().await.unwrap().forget();
                    numbered(number)
                };
                turn.answer(make).await.body
            })
        };
        let first = ask();
        while made.load(Ordering::SeqCst) == 0 {
            yield_now().await;
        }
        // The first answer was begun before these ask.
        let others: Vec<_> = (0..50).map(|_| ask()).collect();
        while turn.waiting.load(Ordering::SeqCst) < 51 {
            yield_now().await;
        }
        may_end.add_permits(2);
        assert_eq!(first.await.unwrap(), "1");
        for other in others {
            assert_eq!(other.await.unwrap(), "2");
        }
        assert_eq!(made.load(Ordering::SeqCst), 2);
        assert!(turn.newest.lock().await.is_none(), "nothing is kept");
    }
}
