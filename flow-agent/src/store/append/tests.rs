use std::fs;

use super::*;
use crate::testing::crash_disk::{CrashDisk, Fault};
use crate::testing::fixtures;

/// A file that contains `one\n`, and its appender.
fn begun() -> (tempfile::TempDir, CrashDisk, Appender) {
    let dir = fixtures::dir();
    let path = dir.path().join("log");
    fs::write(&path, "one\n").unwrap();
    let disk = CrashDisk::new(dir.path());
    (dir, disk, Appender::new(path, 4))
}

// The operations of an append are 0 open, 1 write, 2 sync, and once 3 sync the directory. If one of them fails, the
// operations of the repair follow.

#[test]
fn a_write_that_fails_leaves_no_trace() {
    for fault in [Fault::Io, Fault::Full] {
        let (_dir, disk, mut appender) = begun();
        disk.plan(1, fault);
        appender.append(&disk, b"two\n").unwrap_err();
        assert_eq!(fs::read(appender.path()).unwrap(), b"one\n", "{fault:?}");
        disk.heal();
        appender.append(&disk, b"three\n").unwrap();
        assert_eq!(fs::read(appender.path()).unwrap(), b"one\nthree\n");
    }
}

#[test]
fn a_cut_that_fails_as_well_is_made_up_for_by_the_next_piece() {
    let (_dir, disk, mut appender) = begun();
    disk.plan(1, Fault::Full);
    disk.plan_also(0, Fault::Io);
    appender.append(&disk, b"two\n").unwrap_err();
    assert_eq!(fs::read(appender.path()).unwrap(), b"one\ntw");
    assert!(appender.is_hurt());
    disk.heal();
    appender.append(&disk, b"three\n").unwrap();
    assert_eq!(fs::read(appender.path()).unwrap(), b"one\nthree\n");
    assert!(!appender.is_hurt());
}

#[test]
fn what_was_not_synced_is_not_shown_to_a_reader() {
    // The sync fails, the truncation works, and there is no space for a new file.
    let (_dir, disk, mut appender) = begun();
    disk.plan(2, Fault::Io);
    disk.plan_also(1, Fault::Full);
    assert!(appender.append(&disk, b"two\n").unwrap_err().is_full());
    assert_eq!(fs::read(appender.path()).unwrap(), b"one\n");
    disk.heal();
    appender.append(&disk, b"three\n").unwrap();
    assert_eq!(fs::read(appender.path()).unwrap(), b"one\nthree\n");
}

#[test]
fn a_name_that_was_not_synced_takes_its_bytes_back() {
    let (_dir, disk, mut appender) = begun();
    disk.plan(3, Fault::Io);
    appender.append(&disk, b"two\n").unwrap_err();
    assert_eq!(fs::read(appender.path()).unwrap(), b"one\n");
    appender.append(&disk, b"three\n").unwrap();
    assert_eq!(fs::read(appender.path()).unwrap(), b"one\nthree\n");
}

#[test]
fn a_file_that_others_cut_or_removed_is_not_written_to() {
    let (_dir, disk, mut appender) = begun();
    fs::write(appender.path(), "on").unwrap();
    let refused = appender.append(&disk, b"two\n").unwrap_err();
    assert!(matches!(refused, StoreError::Changed { expected: 4, found: 2, .. }), "{refused}");
    fs::remove_file(appender.path()).unwrap();
    let refused = appender.append(&disk, b"two\n").unwrap_err();
    assert!(matches!(refused, StoreError::Changed { expected: 4, found: 0, .. }), "{refused}");
    assert!(!appender.path().exists());
}
