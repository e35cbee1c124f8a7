use std::fs;

use super::*;
use crate::testing::crash_disk::{CrashDisk, Fault, PowerCut};
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

#[test]
fn a_name_and_a_cut_that_failed_are_made_up_for_by_the_next_piece() {
    let (_dir, disk, mut appender) = begun();
    disk.plan(3, Fault::Io);
    disk.plan_also(0, Fault::Io);
    appender.append(&disk, b"two\n").unwrap_err();
    assert_eq!(fs::read(appender.path()).unwrap(), b"one\ntwo\n");
    assert!(appender.is_hurt());
    disk.heal();
    appender.append(&disk, b"three\n").unwrap();
    assert_eq!(fs::read(appender.path()).unwrap(), b"one\nthree\n");
    assert!(!appender.is_hurt());
}

/// The number of operations of an append.
fn operations(disk: &CrashDisk, appender: &mut Appender, bytes: &[u8]) -> usize {
    let before = disk.operations();
    appender.append(disk, bytes).unwrap();
    disk.operations() - before
}

#[test]
fn the_name_of_a_file_is_synced_once() {
    let (_dir, disk, mut appender) = begun();
    let mut append = |bytes| operations(&disk, &mut appender, bytes);
    assert_eq!((append(b"two\n"), append(b"three\n"), append(b"four\n")), (4, 3, 3));
}

#[test]
fn the_name_of_a_file_that_is_made_again_is_synced_again() {
    let dir = fixtures::dir();
    let disk = CrashDisk::new(dir.path());
    let mut appender = Appender::new(dir.path().join("log"), 0);
    appender.settle(&disk).unwrap();
    disk.remove(appender.path()).unwrap();
    appender.append(&disk, b"one\n").unwrap();
    disk.cut_power(PowerCut::KeepsSynced);
    assert_eq!(fs::read(appender.path()).unwrap(), b"one\n");
}

#[test]
fn a_file_that_could_not_be_settled_is_written_anew_once() {
    // The sync fails, and there is no space for a new file.
    let (_dir, disk, mut appender) = begun();
    disk.plan(1, Fault::Io);
    disk.plan_also(0, Fault::Full);
    assert!(appender.settle(&disk).unwrap_err().is_full());
    assert!(appender.is_hurt());
    disk.heal();
    appender.append(&disk, b"two\n").unwrap();
    assert!(!appender.is_hurt());
    // The piece after that is appended: open, write, sync.
    assert_eq!(operations(&disk, &mut appender, b"three\n"), 3);
    assert_eq!(fs::read(appender.path()).unwrap(), b"one\ntwo\nthree\n");
}

#[test]
fn what_others_appended_is_neither_cut_nor_built_upon() {
    let (_dir, disk, mut appender) = begun();
    fs::write(appender.path(), "one\nmore\n").unwrap();
    let refused = appender.append(&disk, b"two\n").unwrap_err();
    assert!(matches!(refused, StoreError::Changed { expected: 4, found: 9, .. }), "{refused}");
    assert_eq!(fs::read(appender.path()).unwrap(), b"one\nmore\n");
}

#[test]
fn a_file_that_others_cut_or_removed_is_not_written_anew() {
    // The sync fails, the truncation works, and there is no space for a new file.
    let (_dir, disk, mut appender) = begun();
    disk.plan(2, Fault::Io);
    disk.plan_also(1, Fault::Full);
    appender.append(&disk, b"two\n").unwrap_err();
    disk.heal();
    fs::write(appender.path(), "on").unwrap();
    let refused = appender.append(&disk, b"two\n").unwrap_err();
    assert!(matches!(refused, StoreError::Changed { expected: 4, found: 2, .. }), "{refused}");
    fs::remove_file(appender.path()).unwrap();
    let refused = appender.append(&disk, b"two\n").unwrap_err();
    assert!(matches!(refused, StoreError::Changed { expected: 4, found: 0, .. }), "{refused}");
    assert!(!appender.path().exists());
}
