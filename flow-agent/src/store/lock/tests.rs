use super::*;

#[test]
fn a_second_agent_is_refused_and_told_who_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let first = state.lock_run().unwrap();
    let refused = state.lock_run().unwrap_err();
    let me = std::process::id();
    assert_eq!(
        refused.to_string(),
        format!("another flow-agent (pid {me}) holds `{}`", dir.path().join("run.lock").display())
    );
    drop(first);
    state.lock_run().unwrap();
}

#[test]
fn what_a_killed_agent_had_begun_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let agent = state.lock_run().unwrap();
    let heir = agent.file.try_clone().unwrap();
    // Process ids never exceed PID_MAX_LIMIT in include/linux/threads.h.
    fs::write(dir.path().join("run.lock"), "4194305\n").unwrap();
    drop(agent);
    let heir = std::thread::spawn(move || {
        // Long enough for a few attempts.
        std::thread::sleep(std::time::Duration::from_millis(30));
        drop(heir);
    });
    let _next = state.lock_run().unwrap();
    heir.join().unwrap();
}

#[test]
fn each_lock_leaves_the_others_free() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let _run = state.lock_run().unwrap();
    let _daily = state.lock_daily().unwrap();
    let _report = state.lock_report().unwrap();
}

#[test]
fn a_symlink_in_the_place_of_a_lock_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, dir.path().join("run.lock")).unwrap();
    StateDir::new(dir.path()).lock_run().unwrap_err();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn a_directory_that_was_moved_or_replaced_is_noticed_and_can_be_locked_again() {
    let dir = tempfile::tempdir().unwrap();
    let (path, aside) = (dir.path().join("state"), dir.path().join("aside"));
    let state = StateDir::new(&path);
    let mut lock = state.lock_run().unwrap();
    assert!(lock.is_in_place().unwrap());
    fs::rename(&path, &aside).unwrap();
    assert!(!lock.is_in_place().unwrap());
    lock.take_again().unwrap();
    assert!(lock.is_in_place().unwrap());
    // The former lock is free, and that of the present directory is held.
    drop(StateDir::new(&aside).lock_run().unwrap());
    state.lock_run().unwrap_err();
    // A lock that somebody else holds is not taken.
    fs::rename(&path, dir.path().join("another")).unwrap();
    let _other = state.lock_run().unwrap();
    assert!(lock.take_again().unwrap_err().is_final());
}
