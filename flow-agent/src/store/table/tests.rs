//! Derived files are replaced atomically and never by less, whatever fails.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fs;

use chrono::NaiveDate;

use super::*;
use crate::ledger::block::{Daily, DayBlock, MonthBlock, Monthly};
use crate::ledger::month::Month;
use crate::ledger::record::DaySeal;
use crate::store::StateDir;
use crate::testing::fixtures::{self, day, month};
use crate::testing::sweep::at_every_operation;

const FULL: u32 = 86_400;

fn october() -> Month {
    "2026-10".parse().unwrap()
}

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// Puts in one day, after making its hourly file.
fn put(state: &StateDir, text: &str, seconds: u32, bytes: u64, force: bool) -> Result<DayOutcome, StoreError> {
    fs::create_dir_all(state.hourly_dir()).unwrap();
    fs::write(state.hourly(date(text)), "").unwrap();
    let (outcomes, _) = put_days(&state.lock_daily()?, vec![day(text, seconds, bytes)], force)?;
    Ok(outcomes[&date(text)])
}

fn put_whole(state: &StateDir, month: MonthBlock) -> Result<(bool, Vec<Damage>), StoreError> {
    put_month(&state.lock_report()?, month.lines, month.seal)
}

/// Each day of a file with its bytes, and the number of damaged parts.
fn days(path: &Path) -> (Vec<(String, u64)>, usize) {
    let (mut days, mut damages) = (Vec::new(), 0);
    for item in Blocks::<Daily>::open(path).unwrap().into_iter().flatten() {
        match item.unwrap() {
            Item::Block(found) => days.push((found.block.seal.day.to_string(), found.block.lines[0].tcp_in_bytes)),
            Item::Damage(_) | Item::Tail(_) => damages += 1,
        }
    }
    (days, damages)
}

fn seals(path: &Path) -> Vec<DaySeal> {
    let items = Blocks::<Daily>::open(path).unwrap().into_iter().flatten();
    items
        .map(|item| match item.unwrap() {
            Item::Block(found) => found.block.seal,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn expected(days: &[(&str, u64)]) -> (Vec<(String, u64)>, usize) {
    (days.iter().map(|(day, bytes)| ((*day).to_owned(), *bytes)).collect(), 0)
}

#[test]
fn a_day_takes_the_place_of_the_one_before_and_the_others_stay_byte_for_byte() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    for (text, bytes) in [("2026-10-07", 7), ("2026-10-05", 5), ("2026-10-06", 6)] {
        assert_eq!(put(&state, text, FULL, bytes, false).unwrap(), DayOutcome::Written);
    }
    let path = state.daily(october());
    assert_eq!(days(&path), expected(&[("2026-10-05", 5), ("2026-10-06", 6), ("2026-10-07", 7)]));
    let before = fs::read_to_string(&path).unwrap();
    assert_eq!(put(&state, "2026-10-06", FULL, 600, false).unwrap(), DayOutcome::Written);
    let after = fs::read_to_string(&path).unwrap();
    let lines = |text: &str, range: Range<usize>| text.lines().collect::<Vec<_>>()[range].join("\n");
    assert_eq!(days(&path), expected(&[("2026-10-05", 5), ("2026-10-06", 600), ("2026-10-07", 7)]));
    assert_eq!((lines(&before, 0..2), lines(&before, 4..6)), (lines(&after, 0..2), lines(&after, 4..6)));
}

#[test]
fn the_same_day_again_does_not_touch_the_file() {
    use std::os::unix::fs::MetadataExt as _;
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    put(&state, "2026-10-05", FULL, 5, false).unwrap();
    let inode = || fs::metadata(state.daily(october())).unwrap().ino();
    let before = inode();
    assert_eq!(put(&state, "2026-10-05", FULL, 5, false).unwrap(), DayOutcome::Unchanged);
    assert_eq!(inode(), before);
}

/// The same day, made at `at`, in the time zone of Hong Kong.
fn made_at(at: &str, block: DayBlock) -> DayBlock {
    DayBlock { seal: DaySeal { at: Some(fixtures::instant(&format!("{at}+08:00"))), ..block.seal }, ..block }
}

#[test]
fn a_day_that_did_not_change_is_sealed_once_more_when_it_is_over() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    let put = |at, seconds, bytes| {
        let block = made_at(at, day("2026-10-05", seconds, bytes));
        let (outcomes, _) = put_days(&state.lock_daily().unwrap(), vec![block], false).unwrap();
        let month = seals(&state.daily(october()));
        let sealed = month.first().map_or_else(|| seals(&state.open_day())[0].at, |seal| seal.at).unwrap();
        assert_eq!(month.is_empty(), sealed.format("%d").to_string() == "05", "an open day is in its own file");
        (outcomes[&date("2026-10-05")], sealed.format("%dT%H:%M:%S").to_string())
    };
    fs::create_dir_all(state.hourly_dir()).unwrap();
    fs::write(state.hourly(date("2026-10-05")), "").unwrap();
    for (at, seconds, bytes, expected) in [
        ("2026-10-05T23:30:00", 84_600, 5, (DayOutcome::Written, "05T23:30:00")),
        ("2026-10-05T23:59:59", 84_600, 5, (DayOutcome::Unchanged, "05T23:30:00")),
        // The node was rebooted over midnight: nothing was added to the day, but it is over now.
        ("2026-10-06T00:00:00", 84_600, 5, (DayOutcome::Written, "06T00:00:00")),
        ("2026-10-06T00:00:01", 84_600, 5, (DayOutcome::Unchanged, "06T00:00:00")),
        ("2026-10-09T00:00:00", 84_600, 5, (DayOutcome::Unchanged, "06T00:00:00")),
        // Two changes within a second, and one after the clock was set back: each gets a later time than the one
        // before.
        ("2026-10-09T00:00:00", 84_600, 6, (DayOutcome::Written, "09T00:00:00")),
        ("2026-10-09T00:00:00", 84_600, 7, (DayOutcome::Written, "09T00:00:01")),
        ("2026-10-08T00:00:00", 86_400, 8, (DayOutcome::Written, "09T00:00:02")),
    ] {
        assert_eq!(put(at, seconds, bytes), (expected.0, expected.1.to_owned()), "{at} {bytes}");
    }
}

#[test]
fn a_day_of_an_older_version_is_sealed_once_more() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    put(&state, "2026-10-05", FULL, 5, false).unwrap();
    assert_eq!(seals(&state.daily(october()))[0].at, None);
    let again = || {
        let block = made_at("2026-10-09T00:00:00", day("2026-10-05", FULL, 5));
        put_days(&state.lock_daily().unwrap(), vec![block], false).unwrap().0[&date("2026-10-05")]
    };
    assert_eq!((again(), again()), (DayOutcome::Written, DayOutcome::Unchanged));
    assert!(seals(&state.daily(october()))[0].was_made_after_the_day());
}

#[test]
fn a_day_that_covers_less_is_refused_unless_forced_and_never_where_its_hours_are_gone() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    put(&state, "2026-10-05", FULL, 5, false).unwrap();
    let less = DayOutcome::Kept(KeepReason::CoversMore { before: FULL, now: 3_600 });
    assert_eq!(put(&state, "2026-10-05", 3_600, 1, false).unwrap(), less);
    assert_eq!(days(&state.daily(october())), expected(&[("2026-10-05", 5)]));
    assert_eq!(put(&state, "2026-10-05", 3_600, 1, true).unwrap(), DayOutcome::Written);
    assert_eq!(days(&state.daily(october())), expected(&[("2026-10-05", 1)]));
    fs::remove_file(state.hourly(date("2026-10-05"))).unwrap();
    let (outcomes, _) = put_days(&state.lock_daily().unwrap(), vec![day("2026-10-05", FULL, 9)], true).unwrap();
    assert_eq!(outcomes[&date("2026-10-05")], DayOutcome::Kept(KeepReason::HourlyGone));
    assert_eq!(days(&state.daily(october())), expected(&[("2026-10-05", 1)]));
}

#[test]
fn days_of_two_months_go_into_two_files_at_once() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    let blocks = vec![day("2026-11-01", FULL, 2), day("2026-10-31", FULL, 1)];
    let (outcomes, _) = put_days(&state.lock_daily().unwrap(), blocks, false).unwrap();
    assert_eq!(outcomes.into_values().collect::<Vec<_>>(), [DayOutcome::Written, DayOutcome::Written]);
    assert_eq!(days(&state.daily(october())), expected(&[("2026-10-31", 1)]));
    assert_eq!(days(&state.daily(october().next())), expected(&[("2026-11-01", 2)]));
}

#[test]
fn after_any_fault_there_is_the_old_table_or_the_new_one() {
    let blocks = || vec![day("2026-10-05", FULL, 55), day("2026-10-06", FULL, 66)];
    let operations = at_every_operation(
        |state| {
            put(state, "2026-10-04", FULL, 4, false).unwrap();
            put(state, "2026-10-05", FULL, 5, false).unwrap();
            fs::write(state.hourly(date("2026-10-06")), "").unwrap();
        },
        |state, _| put_days(&state.lock_daily()?, blocks(), false),
        |after| {
            let path = after.state.daily(october());
            let old = expected(&[("2026-10-04", 4), ("2026-10-05", 5)]);
            let new = expected(&[("2026-10-04", 4), ("2026-10-05", 55), ("2026-10-06", 66)]);
            let found = days(&path);
            assert!(found == new || after.outcome.is_err() && found == old, "{after:?}: {found:?}");
            put_days(&after.state.lock_daily().unwrap(), blocks(), false).unwrap();
            assert_eq!(days(&path), new, "{after:?}");
        },
    );
    // The operations: create the new file, write three days, sync, rename, sync the directory.
    assert_eq!(operations, 7);
}

#[test]
fn what_cannot_be_read_is_copied_aside_named_and_not_taken_over() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    for (text, bytes) in [("2026-10-05", 5), ("2026-10-06", 6)] {
        put(&state, text, FULL, bytes, false).unwrap();
    }
    let path = state.daily(october());
    let text = fs::read_to_string(&path).unwrap().replace("\"tcp_in_bytes\":6,", "\"tcp_in_bytes\":8,");
    fs::write(&path, &text).unwrap();
    let hours = date("2026-10-07");
    let (_, damages) = put_days(&state.lock_daily().unwrap(), vec![day("2026-10-07", FULL, 7)], false).unwrap();
    assert_eq!(damages.len(), 1);
    assert_eq!(
        damages[0].to_string(),
        format!("{}:4: the lines do not match the seal's sha256 (2 lines do not count)", path.display())
    );
    assert_eq!(days(&path), expected(&[("2026-10-05", 5), (&hours.to_string(), 7)]));
    let first = text.split_inclusive('\n').take(2).map(str::len).sum::<usize>();
    let aside = format!("{}.{first}-{}.damaged", path.display(), text.len());
    assert_eq!(fs::read(aside).unwrap(), &text.as_bytes()[first..]);
}

#[test]
fn a_gathered_file_never_makes_a_day_worse() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    let fetched = dir.path().join("fetched.jsonl");
    let gather = |blocks: &mut [DayBlock]| {
        let text: String = blocks.iter_mut().map(|block| block.encode()).collect();
        fs::write(&fetched, text).unwrap();
        put_gathered(&state.lock_report().unwrap(), "hk-1", october(), &fetched)
            .unwrap()
            .0
            .into_values()
            .collect::<Vec<_>>()
    };
    let first = gather(&mut [day("2026-10-05", FULL, 5), day("2026-10-06", 3_600, 6), day("2026-11-01", FULL, 1)]);
    assert_eq!(first, [DayOutcome::Written, DayOutcome::Written]);
    let second = gather(&mut [day("2026-10-05", 7_200, 2), day("2026-10-06", FULL, 66), day("2026-10-07", FULL, 7)]);
    assert_eq!(
        second,
        [
            DayOutcome::Kept(KeepReason::CoversMore { before: FULL, now: 7_200 }),
            DayOutcome::Written,
            DayOutcome::Written
        ]
    );
    let path = state.node_daily("hk-1", october());
    assert_eq!(days(&path), expected(&[("2026-10-05", 5), ("2026-10-06", 66), ("2026-10-07", 7)]));
    assert_eq!(gather(&mut [day("2026-10-06", FULL, 66)]), [DayOutcome::Unchanged]);
    assert_eq!(days(&path).0.len(), 3);
}

#[test]
fn a_correction_is_taken_and_an_older_copy_is_not() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    let fetched = dir.path().join("fetched.jsonl");
    let gather = |mut block: DayBlock| {
        fs::write(&fetched, block.encode()).unwrap();
        let (outcomes, _) = put_gathered(&state.lock_report().unwrap(), "hk-1", october(), &fetched).unwrap();
        (outcomes[&date("2026-10-05")], days(&state.node_daily("hk-1", october())).0[0].1)
    };
    let old = |seconds, bytes| day("2026-10-05", seconds, bytes);
    let at = |hour: u32, seconds, bytes| made_at(&format!("2026-10-06T{hour:02}:00:00"), old(seconds, bytes));
    let later = |hour| KeepReason::MadeLater { before: at(hour, FULL, 0).seal.at.unwrap() };
    let corrected = |before, now| DayOutcome::Corrected { before, now };
    for (number, (arrives, outcome, bytes)) in [
        // No seal has a time, so covering more of the day is better.
        (old(7_200, 1), DayOutcome::Written, 1),
        (old(3_600, 2), DayOutcome::Kept(KeepReason::CoversMore { before: 7_200, now: 3_600 }), 1),
        // The node was upgraded, and its seals have a time.
        (at(3, 7_200, 3), DayOutcome::Written, 3),
        // The same figures without a time: an old copy.
        (old(7_200, 3), DayOutcome::Unchanged, 3),
        (old(7_200, 4), DayOutcome::Kept(later(3)), 3),
        (old(3_600, 4), DayOutcome::Kept(KeepReason::CoversMore { before: 7_200, now: 3_600 }), 3),
        // More of the day, then a correction to less of it, then copies of what was there before.
        (at(4, FULL, 5), DayOutcome::Written, 5),
        (at(6, 10_800, 6), corrected(FULL, 10_800), 6),
        (at(4, FULL, 5), DayOutcome::Kept(later(6)), 6),
        (at(6, FULL, 7), DayOutcome::Kept(later(6)), 6),
        (at(6, 10_800, 6), DayOutcome::Unchanged, 6),
        // The same content, but made later: only the time is taken over.
        (at(8, 10_800, 6), DayOutcome::Written, 6),
        (at(6, 10_800, 6), DayOutcome::Unchanged, 6),
        (at(7, FULL, 8), DayOutcome::Kept(later(8)), 6),
        // The node was downgraded: a day that covers more is not an old copy.
        (old(FULL, 9), DayOutcome::Written, 9),
        (at(9, 3_600, 10), corrected(FULL, 3_600), 10),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(gather(arrives), (outcome, bytes), "arrival {number}");
    }
}

#[test]
fn running_a_month_again_replaces_that_month_alone() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    let put = |name, bytes| put_whole(&state, month(name, bytes)).unwrap().0;
    assert_eq!(
        (put("2026-10", 10), put("2026-09", 9), put("2026-10", 11), put("2026-10", 11)),
        (true, true, true, false)
    );
    assert!(put("2027-01", 1));
    let blocks = Blocks::<Monthly>::open(&state.monthly(2026)).unwrap().unwrap();
    let found: Vec<(String, u64)> = blocks
        .map(|item| match item.unwrap() {
            Item::Block(found) => (found.block.seal.month.to_string(), found.block.lines[0].tcp_in_bytes),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(found, [("2026-09".to_owned(), 9), ("2026-10".to_owned(), 11)]);
}

#[test]
fn a_month_with_the_longest_names_is_there_when_the_next_is_put() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    // A node of 63 bytes, a slash, and a user of 128 bytes that only the node knows.
    let longest = format!("{}/{}", "n".repeat(63), "u".repeat(128));
    let mut first = month("2026-09", 9);
    first.lines[0].user = Some(longest.clone());
    put_whole(&state, first).unwrap();
    let (_, damages) = put_whole(&state, month("2026-10", 10)).unwrap();
    assert_eq!(damages, []);
    let text = fs::read_to_string(state.monthly(2026)).unwrap();
    assert!(text.contains(&longest), "{text}");
}

#[test]
fn a_day_without_a_time_is_sealed_later_than_the_one_before() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    put(&state, "2026-10-05", FULL, 5, false).unwrap();
    let timed = made_at("2026-10-09T00:00:00", day("2026-10-05", FULL, 6));
    put_days(&state.lock_daily().unwrap(), vec![timed], false).unwrap();
    assert_eq!(put(&state, "2026-10-05", FULL, 7, false).unwrap(), DayOutcome::Written);
    let sealed = seals(&state.daily(october()))[0].at;
    assert_eq!(sealed, Some(fixtures::instant("2026-10-09T00:00:01+08:00")));
}

#[test]
fn a_block_that_no_reader_would_take_is_refused_and_the_file_stays() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    put(&state, "2026-10-05", FULL, 5, false).unwrap();
    let before = fs::read(state.daily(october())).unwrap();
    let mut long = day("2026-10-05", FULL, 6);
    long.lines[0].user = Some("x".repeat(block::MAX_LINE_BYTES));
    let error = put_days(&state.lock_daily().unwrap(), vec![long], false).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { source: block::TooLarge::Line { .. }, .. }), "{error}");
    assert_eq!(fs::read(state.daily(october())).unwrap(), before);
}

#[test]
fn a_month_between_two_others_is_compared_with_its_own_bytes() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    let put = |name, bytes| put_whole(&state, month(name, bytes)).unwrap().0;
    assert!(put("2026-08", 8) && put("2026-09", 9) && put("2026-10", 10));
    assert_eq!((put("2026-09", 9), put("2026-09", 90), put("2026-09", 90)), (false, true, false));
}
