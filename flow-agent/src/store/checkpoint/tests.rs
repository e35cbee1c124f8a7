use std::collections::BTreeMap;
use std::fs;

use chrono::DateTime;

use super::*;
use crate::ledger::counters::Others;
use crate::ledger::record::VERSION;
use crate::testing::sweep::at_every_operation;

fn checkpoint(seq: u64) -> Checkpoint {
    Checkpoint {
        v: VERSION,
        boot_ms: None,
        start: None,
        start_boot_ms: None,
        seq,
        at: DateTime::parse_from_rfc3339("2026-10-05T13:00:30+08:00").unwrap(),
        epoch: "boot-1".into(),
        totals: BTreeMap::from([(443, [1, 2, 3, 4, 5, 6, 7, 8])]),
        other_total: Others::default(),
        gaps: Vec::new(),
    }
}

#[test]
fn after_any_fault_there_is_the_old_checkpoint_or_the_new_one() {
    let operations = at_every_operation(
        |state| write(&state.lock_run().unwrap(), &checkpoint(1)).unwrap(),
        |state, _| write(&state.lock_run()?, &checkpoint(2)),
        |after| {
            let found = read(&after.state).unwrap().expect("one of them is there");
            let expected = if after.outcome.is_ok() { vec![2] } else { vec![1, 2] };
            assert!(expected.contains(&found.seq), "{after:?}");
            assert_eq!(found, checkpoint(found.seq), "{after:?}");
        },
    );
    // The operations: create the new file, write, sync, rename, sync the directory.
    assert_eq!(operations, 5);
}

#[test]
fn a_changed_digit_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    write(&state.lock_run().unwrap(), &checkpoint(1)).unwrap();
    let text = fs::read_to_string(state.checkpoint()).unwrap();
    fs::write(state.checkpoint(), text.replace("[1,2,", "[9,2,")).unwrap();
    let error = read(&state).unwrap_err();
    assert!(error.to_string().ends_with("checkpoint.json` is damaged: its check does not match"), "{error}");
}

#[test]
fn a_checkpoint_cut_at_any_length_is_noticed_and_none_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    assert_eq!(read(&state).unwrap(), None);
    write(&state.lock_run().unwrap(), &checkpoint(1)).unwrap();
    let bytes = fs::read(state.checkpoint()).unwrap();
    // The last byte is the newline, and without it the line is still complete.
    for length in 0..bytes.len() - 1 {
        fs::write(state.checkpoint(), &bytes[..length]).unwrap();
        assert!(matches!(read(&state), Err(StoreError::Damaged { .. })), "cut at {length}");
    }
}

#[test]
fn a_later_version_is_not_guessed_at() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    fs::write(state.checkpoint(), r#"{"v":2,"sequence":7}"#).unwrap();
    let error = read(&state).unwrap_err();
    assert!(error.to_string().ends_with("of an unknown version"), "{error}");
}

#[test]
fn a_fifo_or_symlink_in_its_place_is_refused_without_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let fifo = state.checkpoint();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
    read(&state).unwrap_err();
    fs::remove_file(&fifo).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &fifo).unwrap();
    read(&state).unwrap_err();
    // A replacement replaces the link itself and leaves its target alone.
    write(&state.lock_run().unwrap(), &checkpoint(3)).unwrap();
    assert!(fs::symlink_metadata(&fifo).unwrap().is_file());
}
