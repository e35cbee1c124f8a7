use std::time::{Duration, SystemTime};

use super::*;
use crate::testing::sweep::at_every_operation;

fn shipped(buckets: u64) -> ShipState {
    let file = ShippedFile { buckets, digest: "ab".into(), ..ShippedFile::default() };
    let day = NaiveDate::from_ymd_opt(2026, 10, 5).unwrap();
    ShipState { file: Some(day), files: BTreeMap::from([(day, file)]), ..ShipState::default() }
}

#[test]
fn after_any_fault_there_is_the_old_state_or_the_new_one() {
    at_every_operation(
        |state| write(&state.lock_ship().unwrap(), &shipped(1)).unwrap(),
        |state, _| write(&state.lock_ship()?, &shipped(2)),
        |after| {
            let found = read(&after.state).unwrap();
            let expected = if after.outcome.is_ok() { vec![shipped(2)] } else { vec![shipped(1), shipped(2)] };
            assert!(expected.contains(&found), "{after:?}");
        },
    );
}

#[test]
fn a_day_of_which_nothing_is_known_begins_with_its_first_bucket() {
    let expected = ShippedFile { buckets: 0, digest: String::new(), rev: 1, refused: 0, complete: Vec::new() };
    assert_eq!(ShippedFile::default(), expected);
}

#[test]
fn a_day_is_unsent_until_all_of_its_files_were_acknowledged_as_they_are() {
    let dir = crate::testing::fixtures::dir();
    let state = StateDir::new(dir.path());
    let day = NaiveDate::from_ymd_opt(2026, 10, 5).unwrap();
    assert_eq!((versions(&state, day).unwrap(), unsent_from(&state).unwrap()), (vec![], None));
    fs::create_dir_all(state.hourly_dir()).unwrap();
    let file = fs::File::options().write(true).create_new(true).open(state.hourly(day)).unwrap();
    file.set_len(7).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::new(3, 5)).unwrap();
    let inode = file.metadata().unwrap().ino();
    let found = versions(&state, day).unwrap();
    assert_eq!(found, [FileVersion { bytes: 7, inode, modified_ns: 3_000_000_005 }]);
    assert_eq!(unsent_from(&state).unwrap(), Some(day));
    let mut known = shipped(1);
    known.files.get_mut(&day).unwrap().complete = found;
    write(&state.lock_ship().unwrap(), &known).unwrap();
    assert_eq!(unsent_from(&state).unwrap(), None);
    file.set_len(8).unwrap();
    assert_eq!(unsent_from(&state).unwrap(), Some(day));
}

#[test]
fn a_day_with_a_bucket_that_cannot_be_stored_stays_unsent() {
    let dir = crate::testing::fixtures::dir();
    let state = StateDir::new(dir.path());
    let day = NaiveDate::from_ymd_opt(2026, 10, 5).unwrap();
    fs::create_dir_all(state.hourly_dir()).unwrap();
    fs::File::options().write(true).create_new(true).open(state.hourly(day)).unwrap();
    let mut known = shipped(1);
    let file = known.files.get_mut(&day).unwrap();
    (file.complete, file.refused) = (versions(&state, day).unwrap(), 1);
    write(&state.lock_ship().unwrap(), &known).unwrap();
    assert_eq!(unsent_from(&state).unwrap(), Some(day));
}
