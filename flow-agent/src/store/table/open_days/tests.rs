//! A day is in the file of the open day, in that of its month, or in both: never in neither.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::*;
use crate::store::blocks::{Blocks, Item};
use crate::store::table::{DayOutcome, KeepReason, put_days};
use crate::testing::fixtures;
use crate::testing::sweep::at_every_operation;

/// A day on which port 443 received `bytes` in as many hours as given, made at this time in Hong Kong.
fn made(date: &str, hours: u32, bytes: u64, at: &str) -> DayBlock {
    let block = fixtures::day(date, hours * 3_600, bytes);
    DayBlock { seal: DaySeal { at: Some(fixtures::instant(&format!("{at}+08:00"))), ..block.seal }, ..block }
}

fn with_hours(state: &StateDir, dates: &[&str]) {
    fs::create_dir_all(state.hourly_dir()).unwrap();
    dates.iter().for_each(|date| fs::write(state.hourly(date.parse().unwrap()), "").unwrap());
}

fn put(state: &StateDir, days: Vec<DayBlock>) -> Result<Vec<DayOutcome>, StoreError> {
    Ok(put_days(&state.lock_daily()?, days, false)?.0.into_values().collect())
}

/// Each day of a file as day of the month and bytes, and whether something follows that is no day.
fn days(path: &Path) -> (Vec<(u32, u64)>, bool) {
    use chrono::Datelike as _;
    let (mut days, mut is_torn) = (Vec::new(), false);
    for item in Blocks::<Daily>::open(path).unwrap().into_iter().flatten() {
        match item.unwrap() {
            Item::Block(found) => days.push((found.block.seal.day.day(), found.block.lines[0].tcp_in_bytes)),
            Item::Damage(damage) => panic!("{damage:?}"),
            Item::Tail(_) => is_torn = true,
        }
    }
    (days, is_torn)
}

fn october(state: &StateDir) -> std::path::PathBuf {
    state.daily("2026-10".parse().unwrap())
}

#[test]
fn a_day_is_appended_to_its_month_when_it_is_over_and_until_then_the_month_is_not_touched() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    with_hours(&state, &["2026-10-04", "2026-10-05", "2026-10-06"]);
    put(&state, vec![made("2026-10-04", 24, 4, "2026-10-05T00:00:01")]).unwrap();
    let month = || (fs::metadata(october(&state)).unwrap().ino(), fs::read(october(&state)).unwrap());
    let (inode, fourth) = month();
    for hour in 1..24 {
        let at = format!("2026-10-05T{hour:02}:00:01");
        let of_hour = || made("2026-10-05", hour, hour.into(), &at);
        assert_eq!(put(&state, vec![of_hour()]).unwrap(), [DayOutcome::Written]);
        assert_eq!(put(&state, vec![of_hour()]).unwrap(), [DayOutcome::Unchanged]);
        assert_eq!(days(&state.open_day()).0, [(5, hour.into())]);
    }
    assert_eq!(month(), (inode, fourth.clone()), "no hour of the day has touched it");
    let whole = || made("2026-10-05", 24, 24, "2026-10-06T00:00:01");
    assert_eq!(put(&state, vec![whole()]).unwrap(), [DayOutcome::Written]);
    let (appended, text) = month();
    assert_eq!((appended, &text[..fourth.len()]), (inode, &fourth[..]), "it was appended");
    assert_eq!(text.len() - fourth.len(), whole().encode().len());
    assert_eq!(days(&october(&state)).0, [(4, 4), (5, 24)]);
    assert_eq!(put(&state, vec![whole()]).unwrap(), [DayOutcome::Unchanged]);
    // The day leaves the other file when the next one is written there.
    assert_eq!(days(&state.open_day()).0, [(5, 23)]);
    put(&state, vec![made("2026-10-06", 1, 6, "2026-10-06T01:00:01")]).unwrap();
    assert_eq!(days(&state.open_day()).0, [(6, 6)]);
    // A bucket was added to a day that is over: only now the file is replaced.
    assert_eq!(put(&state, vec![made("2026-10-04", 24, 44, "2026-10-06T01:00:02")]).unwrap(), [DayOutcome::Written]);
    assert_eq!(days(&october(&state)).0, [(4, 44), (5, 24)]);
    assert_ne!(month().0, inode);
}

#[test]
fn a_version_that_covers_less_replaces_the_open_day_neither_there_nor_when_the_day_is_over() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    with_hours(&state, &["2026-10-04", "2026-10-05", "2026-10-06"]);
    put(&state, vec![made("2026-10-05", 10, 10, "2026-10-05T10:00:01")]).unwrap();
    let kept = |now: u32| [DayOutcome::Kept(KeepReason::CoversMore { before: 36_000, now: now * 3_600 })];
    assert_eq!(put(&state, vec![made("2026-10-05", 9, 9, "2026-10-05T11:00:01")]).unwrap(), kept(9));
    assert_eq!(put(&state, vec![made("2026-10-05", 8, 8, "2026-10-06T00:00:01")]).unwrap(), kept(8));
    fs::remove_file(state.hourly("2026-10-05".parse().unwrap())).unwrap();
    let gone = put(&state, vec![made("2026-10-05", 24, 24, "2026-10-06T00:00:02")]).unwrap();
    assert_eq!(gone, [DayOutcome::Kept(KeepReason::HourlyGone)]);
    // It is not lost with the file of the open day, but stays what it is: a day that was not over.
    put(&state, vec![made("2026-10-06", 1, 6, "2026-10-06T01:00:01")]).unwrap();
    assert_eq!((days(&october(&state)).0, days(&state.open_day()).0), (vec![(5, 10)], vec![(6, 6)]));
    let seal = OpenDays::read(&state).unwrap().in_month(&state, "2026-10-05".parse().unwrap()).unwrap().cloned();
    assert!(seal.unwrap().was_made_before_the_end());
}

#[test]
fn the_open_day_of_an_older_version_is_in_its_month_until_it_is_over() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    with_hours(&state, &["2026-10-04", "2026-10-05"]);
    let mut fourth = made("2026-10-04", 24, 4, "2026-10-05T00:00:01");
    let mut former = made("2026-10-05", 9, 9, "2026-10-05T09:00:01");
    fs::create_dir_all(state.daily_dir()).unwrap();
    fs::write(october(&state), fourth.encode() + &former.encode()).unwrap();
    let less = put(&state, vec![made("2026-10-05", 8, 8, "2026-10-05T10:00:00")]).unwrap();
    assert_eq!(less, [DayOutcome::Kept(KeepReason::CoversMore { before: 32_400, now: 28_800 })]);
    put(&state, vec![made("2026-10-05", 10, 10, "2026-10-05T10:00:01")]).unwrap();
    assert_eq!((days(&october(&state)).0, days(&state.open_day()).0), (vec![(4, 4), (5, 9)], vec![(5, 10)]));
    put(&state, vec![made("2026-10-05", 24, 24, "2026-10-06T00:00:01")]).unwrap();
    assert_eq!(days(&october(&state)).0, [(4, 4), (5, 24)]);
}

#[test]
fn a_day_that_was_over_stays_in_its_month_when_the_clock_is_set_back_into_it() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    with_hours(&state, &["2026-10-05"]);
    put(&state, vec![made("2026-10-05", 23, 23, "2026-10-06T00:00:01")]).unwrap();
    put(&state, vec![made("2026-10-05", 24, 24, "2026-10-05T23:30:00")]).unwrap();
    assert_eq!((days(&october(&state)).0, state.open_day().exists()), (vec![(5, 24)], false));
}

#[test]
fn a_day_whose_append_was_cut_off_is_made_good() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    with_hours(&state, &["2026-10-04", "2026-10-05"]);
    let fourth = made("2026-10-04", 24, 4, "2026-10-05T00:00:01").encode();
    let fifth = made("2026-10-05", 24, 5, "2026-10-06T00:00:01").encode();
    for length in 1..fifth.len() {
        fs::create_dir_all(state.daily_dir()).unwrap();
        fs::write(october(&state), format!("{fourth}{}", &fifth[..length])).unwrap();
        let outcome = put(&state, vec![made("2026-10-05", 24, 5, "2026-10-06T00:00:01")]).unwrap();
        assert_eq!((outcome, days(&october(&state))), (vec![DayOutcome::Written], (vec![(4, 4), (5, 5)], false)));
        fs::remove_dir_all(state.daily_dir()).unwrap();
    }
}

#[test]
fn after_any_fault_over_midnight_each_day_is_in_one_of_the_files() {
    let closed = || made("2026-10-05", 24, 24, "2026-10-06T00:00:01");
    let next = || made("2026-10-06", 1, 6, "2026-10-06T01:00:01");
    let operations = at_every_operation(
        |state| {
            with_hours(state, &["2026-10-04", "2026-10-05", "2026-10-06"]);
            put(state, vec![made("2026-10-04", 24, 4, "2026-10-05T00:00:01")]).unwrap();
            put(state, vec![made("2026-10-05", 23, 23, "2026-10-05T23:00:01")]).unwrap();
        },
        |state, _| {
            put(state, vec![closed()])?;
            put(state, vec![next()])
        },
        |after| {
            let (month, _) = days(&october(&after.state));
            let (open, is_torn) = days(&after.state.open_day());
            assert!(!is_torn, "{after:?}");
            assert!(month == [(4, 4)] || month == [(4, 4), (5, 24)], "{after:?}: {month:?}");
            match &open[..] {
                [(5, 23)] => {}
                [(6, 6)] => assert_eq!(month, [(4, 4), (5, 24)], "{after:?}"),
                other => panic!("{after:?}: {other:?}"),
            }
            if after.outcome.is_ok() {
                assert_eq!((&month[..], &open[..]), (&[(4, 4), (5, 24)][..], &[(6, 6)][..]), "{after:?}");
            }
            put(&after.state, vec![closed()]).unwrap();
            put(&after.state, vec![next()]).unwrap();
            assert_eq!(days(&october(&after.state)), (vec![(4, 4), (5, 24)], false), "{after:?}");
            assert_eq!(days(&after.state.open_day()), (vec![(6, 6)], false), "{after:?}");
        },
    );
    // Open, append, sync, sync the directory; and create, write, sync, rename, sync the directory.
    assert_eq!(operations, 9);
}

#[test]
fn a_damaged_open_day_is_copied_aside_and_not_into_its_month() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    with_hours(&state, &["2026-10-05", "2026-10-06"]);
    put(&state, vec![made("2026-10-05", 23, 23, "2026-10-05T23:00:01")]).unwrap();
    let text = fs::read_to_string(state.open_day()).unwrap();
    fs::write(state.open_day(), text.replace("\"tcp_in_bytes\":23", "\"tcp_in_bytes\":99")).unwrap();
    put(&state, vec![made("2026-10-06", 1, 1, "2026-10-06T01:00:01")]).unwrap();
    assert!(!october(&state).exists());
    assert_eq!(days(&state.open_day()), (vec![(6, 1)], false));
    let aside = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().ends_with(".damaged");
    assert!(fs::read_dir(state.daily_dir()).unwrap().map(Result::unwrap).any(|entry| aside(&entry)));
}
