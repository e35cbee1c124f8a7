//! One thread counts, and may be kept busy by a program that hangs or by a slow disk. The other one answers signals.

use std::thread;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::exit::{Code, Failure};

/// How long the counting thread may take to stop before the process exits without it. The service manager, and a person
/// at the terminal, expect that within two seconds.
const LEAVE_WITHIN: Duration = Duration::from_millis(1_700);

/// Tells the counting thread when to stop.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Returns when the counting thread is to stop. Cancel-safe.
    pub async fn asked(&mut self) {
        // An error means that the sender is gone, in which case it is also time to stop.
        let _ = self.0.wait_for(|asked| *asked).await;
    }
}

/// Runs `count` on a thread of its own until it ends, or until SIGTERM or SIGINT ask it to.
///
/// # Errors
/// Those of `count`; exit code 4 when it does not stop in time. The counters in the kernel then hold what is in no
/// bucket.
pub fn supervise(count: impl FnOnce(Stop) -> Result<(), Failure> + Send + 'static) -> Result<(), Failure> {
    event_loop()?.block_on(async {
        let listen = |kind| signal(kind).map_err(|error| unexpected(error, "failed to listen for signals"));
        let mut terminate = listen(SignalKind::terminate())?;
        let mut interrupt = listen(SignalKind::interrupt())?;
        let (ask, asked) = watch::channel(false);
        let (report, mut outcome) = oneshot::channel();
        let work = move || {
            // The receiver is gone if this took too long.
            let _ = report.send(count(Stop(asked)));
        };
        let thread = thread::Builder::new().name("count".to_owned()).spawn(work);
        thread.map_err(|error| unexpected(error, "failed to start the thread that counts"))?;
        tokio::select! {
            outcome = &mut outcome => return ended(outcome),
            () = either(&mut terminate, &mut interrupt) => {}
        }
        // If sending fails, the thread has ended already, and its outcome says why.
        let _ = ask.send(true);
        match timeout(LEAVE_WITHIN, outcome).await {
            Ok(outcome) => ended(outcome),
            Err(_) => {
                Err(Failure::new(Code::Kernel, anyhow::anyhow!("asked to stop while a program or a disk kept it busy"))
                    .help(
                        "the last bucket was not written; the counters hold its bytes, and the next start writes them",
                    ))
            }
        }
    })
}

/// A new event loop for the calling thread.
///
/// # Errors
/// When the system has no file descriptors left for it.
pub fn event_loop() -> Result<tokio::runtime::Runtime, Failure> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.map_err(|error| unexpected(error, "failed to start the event loop"))
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

fn ended(outcome: Result<Result<(), Failure>, oneshot::error::RecvError>) -> Result<(), Failure> {
    outcome
        .unwrap_or_else(|_| Err(Failure::new(Code::Unexpected, anyhow::anyhow!("the thread that counts has panicked"))))
}

fn unexpected(error: std::io::Error, context: &'static str) -> Failure {
    anyhow::Error::new(error).context(context).into()
}
