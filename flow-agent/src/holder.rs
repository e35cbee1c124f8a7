//! EDGE processes: whether whoever holds a lock is still there.

use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

const TRIES: u32 = 100;
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// How long a lock is waited for whose holder is dead: a second at most.
///
/// A process that was killed while it started a program leaves its lock to the half that was to become the program, and
/// which lets go of it when it has: soon, but on a busy machine not at once.
pub struct Patience {
    tries: u32,
}

impl Patience {
    pub fn new() -> Self {
        Self { tries: TRIES }
    }

    /// Waits a moment where the process `holder` is dead. Whether the lock is to be tried again: not while its holder
    /// lives, or when nobody knows who that is.
    pub fn waits_for(&mut self, holder: Option<u32>) -> bool {
        if self.tries == 0 || !holder.is_some_and(is_gone) {
            return false;
        }
        self.tries -= 1;
        thread::sleep(BETWEEN_TRIES);
        true
    }
}

/// Whether no such process is there any more.
fn is_gone(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No process has a number beyond `PID_MAX_LIMIT` of include/linux/threads.h.
    const DEAD: u32 = 4_194_305;

    #[test]
    fn only_the_dead_are_waited_for_and_not_for_ever() {
        assert!(!Patience::new().waits_for(Some(std::process::id())));
        assert!(!Patience::new().waits_for(None));
        let mut patience = Patience { tries: 2 };
        assert_eq!([(); 3].map(|()| patience.waits_for(Some(DEAD))), [true, true, false]);
    }
}
