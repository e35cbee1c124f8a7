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
    // The first answer was begun before these clients ask.
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
