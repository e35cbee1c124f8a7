use super::*;
use crate::commands::check::finding::Status;

#[test]
fn who_holds_a_lock_is_seen_without_taking_it() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(holders(directory.path()), []);
    let lock = StateDir::new(directory.path()).lock_run().unwrap();
    let expected = (RUN_LOCK, Finding::ok(Section::State, format!("an agent is running (pid {})", std::process::id())));
    assert_eq!(holders(directory.path()), [expected]);
    drop(lock);
    assert_eq!(holders(directory.path()), []);
}

#[test]
fn a_directory_that_is_not_there_is_made_later_and_a_file_in_its_place_is_not() {
    let place = tempfile::tempdir().unwrap();
    assert_eq!(directory(place.path()).status, Status::Ok);
    assert_eq!(directory(&place.path().join("later")).status, Status::Ok);
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(directory(file.path()).status, Status::Fail);
}
