use super::*;

/// No process id exceeds `PID_MAX_LIMIT` of include/linux/threads.h.
const DEAD: u32 = 4_194_305;

#[test]
fn only_the_dead_are_waited_for_and_not_for_ever() {
    assert!(!LockWait::new().waits_for(Some(std::process::id())));
    assert!(!LockWait::new().waits_for(None));
    let mut wait = LockWait { tries: 2 };
    assert_eq!([(); 3].map(|()| wait.waits_for(Some(DEAD))), [true, true, false]);
}
