use std::fs;

use super::*;
use crate::testing::fixtures;

#[test]
fn contents_are_the_same_only_if_both_end_together() {
    for (left, right, same) in
        [("", "", true), ("abc", "abc", true), ("abc", "abd", false), ("abc", "abcd", false), ("", "a", false)]
    {
        assert_eq!(same_bytes(left.as_bytes(), right.as_bytes()).unwrap(), same, "{left:?} {right:?}");
        assert_eq!(same_bytes(right.as_bytes(), left.as_bytes()).unwrap(), same, "{right:?} {left:?}");
    }
}

#[test]
fn a_file_in_the_place_of_a_directory_is_noticed_at_its_next_use() {
    let dir = fixtures::dir();
    create_dirs(&RealDisk, &dir.path().join("one/two")).unwrap();
    assert!(dir.path().join("one/two").is_dir());
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    // As if another process had been faster.
    create_dirs(&RealDisk, &file).unwrap();
    let error = create_dirs(&RealDisk, &file.join("two")).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
}

#[test]
fn a_new_file_has_a_name_that_no_reader_takes_for_the_old_one() {
    let dir = fixtures::dir();
    let names = || {
        let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<Vec<_>>()
    };
    let path = dir.path().join("2026-10-05.jsonl");
    let replacement = Replacement::begin(&RealDisk, &path).unwrap();
    assert_eq!(names(), [".2026-10-05.jsonl.new"]);
    drop(replacement);
    assert_eq!(names(), [""; 0]);
    replace(&RealDisk, &path, b"one\n").unwrap();
    assert_eq!(names(), ["2026-10-05.jsonl"]);
}
