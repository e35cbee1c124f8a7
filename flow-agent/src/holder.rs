//! EDGE processes: finds out whether the process that holds a lock is still alive.

use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

const TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// Waits for a lock whose holder is dead, for at most a second.
///
/// A process that is killed between `fork` and `exec` leaves its lock to the child, which releases it at its `exec`.
/// That happens soon, but on a busy machine not immediately.
pub struct LockWait {
    tries: u32,
}

impl LockWait {
    pub fn new() -> Self {
        Self { tries: TRIES }
    }

    /// Waits a moment if the process `holder` is dead. Returns whether to try the lock again, which is pointless while
    /// its holder lives or is unknown.
    pub fn waits_for(&mut self, holder: Option<u32>) -> bool {
        if self.tries == 0 || !holder.is_some_and(is_gone) {
            return false;
        }
        self.tries -= 1;
        thread::sleep(BETWEEN_TRIES);
        true
    }
}

/// Whether the process no longer exists.
fn is_gone(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

#[cfg(test)]
mod tests;
