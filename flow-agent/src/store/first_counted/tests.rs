use super::*;
use crate::store::journal::Journal;
use crate::store::table::put_days;
use crate::testing::fixtures::{bucket, day as made, dir, instant};

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// Appends an hour on that day.
fn append(state: &StateDir, day: &str, quality: Quality) {
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    let mut hour = bucket(&format!("{day}T10:00:00+08:00"), "one", 0, 100);
    hour.seal.quality = quality;
    journal.append(&mut hour).unwrap();
}

/// Makes the daily log of that day, which `made_on` another day at noon.
fn put(state: &StateDir, day: &str, quality: Quality, made_on: &str) {
    let mut block = made(day, 3_600, 100);
    block.seal.quality = [(quality, 1)].into();
    block.seal.at = Some(instant(&format!("{made_on}T12:00:00+08:00")));
    put_days(&state.lock_daily().unwrap(), vec![block], false).unwrap();
}

#[test]
fn what_was_imported_was_not_counted() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    assert_eq!(day(&state).unwrap(), None);
    append(&state, "2026-08-05", Quality::Import);
    assert_eq!(day(&state).unwrap(), None, "in the hourly log");
    put(&state, "2026-08-05", Quality::Import, "2026-10-09");
    assert_eq!(day(&state).unwrap(), None, "and in the daily log");

    append(&state, "2026-10-09", Quality::Import);
    put(&state, "2026-10-09", Quality::Import, "2026-10-09");
    assert_eq!(day(&state).unwrap(), None);
    // Counting begins on a day that was rolled up before it was over.
    append(&state, "2026-10-09", Quality::Exact);
    assert_eq!(day(&state).unwrap(), Some(date("2026-10-09")));
}

#[test]
fn counting_began_on_the_oldest_day_of_the_daily_log_when_the_hours_are_gone() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    append(&state, "2026-10-13", Quality::Exact);
    assert_eq!(day(&state).unwrap(), Some(date("2026-10-13")));
    put(&state, "2026-09-30", Quality::Import, "2026-10-09");
    put(&state, "2026-10-01", Quality::Exact, "2026-10-02");
    assert_eq!(day(&state).unwrap(), Some(date("2026-10-01")));
    assert_eq!(day_in(&state.daily_dir()).unwrap(), Some(date("2026-10-01")));
    // Hours that were not rolled up yet.
    append(&state, "2026-09-29", Quality::Exact);
    assert_eq!(day(&state).unwrap(), Some(date("2026-09-29")));
}

#[test]
fn the_answer_is_kept_once_there_is_one() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    let mut first = FirstCounted::default();
    assert_eq!(first.day(&state).unwrap(), None);
    append(&state, "2026-10-13", Quality::Exact);
    assert_eq!(first.day(&state).unwrap(), Some(date("2026-10-13")));
    std::fs::remove_dir_all(state.hourly_dir()).unwrap();
    assert_eq!(first.day(&state).unwrap(), Some(date("2026-10-13")));
}
