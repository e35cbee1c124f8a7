//! Derived files are replaced atomically and never by less, whatever fails.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fs;

use chrono::NaiveDate;

use super::*;
use crate::guarded::FileIdentity;
use crate::ledger::block::{Daily, DayBlock, MonthBlock, Monthly, SealedDay};
use crate::ledger::month::Month;
use crate::ledger::record::DaySeal;
use crate::store::StateDir;
use crate::testing::crash_disk::CrashDisk;
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

/// A verified file of these days, and what is in it.
fn verified(path: &Path, blocks: &mut [DayBlock]) -> (String, Vec<SealedDay>) {
    let (mut text, mut days) = (String::new(), Vec::new());
    for block in blocks {
        let start = text.len() as u64;
        text += &block.encode();
        days.push(SealedDay { seal: block.seal.clone(), bytes: start..text.len() as u64 });
    }
    fs::write(path, &text).unwrap();
    (text, days)
}

fn keep(state: &StateDir, path: &Path, days: &[SealedDay]) -> Result<Kept, StoreError> {
    let verified = VerifiedFile { days, crc32c: 0, origin: None };
    let fetched = Fetched { node: "hk-1", month: october(), path, verified: Some(verified) };
    Ok(keep_gathered(&state.lock_report()?, &[fetched])?.pop().unwrap())
}

#[test]
fn a_verified_file_becomes_the_kept_one_if_nothing_of_that_would_be_lost() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    let (fetched, kept) = (dir.path().join("fetched.jsonl"), state.node_daily("hk-1", october()));
    let put = |blocks: &mut [DayBlock]| {
        let (text, days) = verified(&fetched, blocks);
        let result = keep(&state, &fetched, &days).unwrap();
        // It is renamed or left, never both.
        let is_renamed = !fetched.exists();
        assert!(!is_renamed || fs::read_to_string(&kept).unwrap() == text);
        assert!(!result.is_as_fetched || fs::read_to_string(&kept).unwrap() == text);
        (is_renamed, result.is_as_fetched)
    };
    let fifth = || made_at("2026-10-06T00:00:01", day("2026-10-05", FULL, 5));
    let sixth = || made_at("2026-10-07T00:00:01", day("2026-10-06", FULL, 6));
    let seventh = |bytes| made_at("2026-10-08T00:00:01", day("2026-10-07", FULL, bytes));
    assert_eq!(put(&mut [fifth(), sixth()]), (true, true));
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o640);
    // Nothing has changed.
    assert_eq!(put(&mut [fifth(), sixth()]), (false, true));
    // One day more: the days before are the same in both files.
    assert_eq!(put(&mut [fifth(), sixth(), seventh(7)]), (true, true));
    assert_eq!(days(&kept), expected(&[("2026-10-05", 5), ("2026-10-06", 6), ("2026-10-07", 7)]));
    // A node that was installed anew has lost its first days.
    assert_eq!(put(&mut [seventh(7)]), (false, false));
    // All days are later versions.
    let later = |block: DayBlock| made_at("2026-10-09T00:00:00", block);
    assert_eq!(put(&mut [fifth(), sixth(), seventh(7)].map(later)), (true, true));
    // Something that is no day is not kept.
    let eighth = made_at("2026-10-09T00:00:01", day("2026-10-08", FULL, 8));
    let (text, found) = verified(
        &fetched,
        &mut [fifth(), sixth(), seventh(7)].map(later).into_iter().chain([eighth]).collect::<Vec<_>>(),
    );
    fs::write(&fetched, text + "{\"v\":1").unwrap();
    assert!(keep(&state, &fetched, &found).unwrap().is_as_fetched && fetched.exists());
    assert_eq!(days(&kept).1, 0);
    assert_eq!(put(&mut [fifth(), sixth(), seventh(7)].map(later)), (false, false));
    // An old version of one day.
    assert_eq!(put(&mut [later(fifth()), later(sixth()), seventh(70)]), (false, false));
    let all = [("2026-10-05", 5), ("2026-10-06", 6), ("2026-10-07", 7), ("2026-10-08", 8)];
    assert_eq!(days(&kept), expected(&all));
}

#[test]
fn after_any_fault_each_gathered_file_is_the_old_one_or_the_new_one() {
    let nodes = ["hk-1", "us-1", "fr-1"];
    let old = || made_at("2026-10-06T00:00:01", day("2026-10-05", FULL, 5));
    let new = || made_at("2026-10-06T08:00:00", day("2026-10-05", FULL, 55));
    let put = |state: &StateDir, disk: Option<&CrashDisk>, block: &dyn Fn() -> DayBlock, nodes: &[&str]| {
        let path_of = |node: &str| state.root().join(format!("{node}-fetched"));
        let mut found = Vec::new();
        for node in nodes {
            let (text, days) = verified(&path_of(node), &mut [block()]);
            // scp syncs nothing.
            if let Some(disk) = disk {
                disk.write_unsynced(&path_of(node), text.as_bytes());
            }
            found.push((*node, path_of(node), days));
        }
        let fetched = found.iter().map(|(node, path, days)| {
            let verified = VerifiedFile { days, crc32c: 0, origin: None };
            Fetched { node, month: october(), path, verified: Some(verified) }
        });
        keep_gathered(&state.lock_report()?, &fetched.collect::<Vec<_>>()).map(drop)
    };
    let operations = at_every_operation(
        |state| put(state, None, &old, &nodes[..2]).unwrap(),
        |state, disk| put(state, Some(disk), &new, &nodes),
        |after| {
            for node in nodes {
                let found = days(&after.state.node_daily(node, october()));
                let was = if node == "fr-1" { expected(&[]) } else { expected(&[("2026-10-05", 5)]) };
                let is_new = found == expected(&[("2026-10-05", 55)]);
                assert!(is_new || after.outcome.is_err() && found == was, "{after:?}: {node} {found:?}");
            }
            put(&after.state, None, &new, &nodes).unwrap();
        },
    );
    // Two directories for the new node, with two syncs; for each node, open, sync and rename the file, and sync its
    // directory; and create, write and rename what is noted about it.
    assert_eq!(operations, 4 + 3 * 4 + 3 * 3);
}

#[test]
fn a_kept_file_is_known_until_anything_about_it_changes() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    let (fetched, kept) = (dir.path().join("fetched.jsonl"), state.node_daily("hk-1", october()));
    let record = || KeptRecord::read(&state, "hk-1", october());
    let put = |blocks: &mut [DayBlock]| {
        let (_, days) = verified(&fetched, blocks);
        keep(&state, &fetched, &days).unwrap()
    };
    let fifth = || made_at("2026-10-06T00:00:01", day("2026-10-05", FULL, 5));
    let sixth = || made_at("2026-10-07T00:00:01", day("2026-10-06", FULL, 6));
    assert_eq!(record(), None);
    put(&mut [fifth()]);
    let first = record().unwrap();
    assert_eq!(FileIdentity::at(&kept), Some(first.kept));
    put(&mut [fifth()]);
    assert_eq!(record().unwrap(), first);
    put(&mut [fifth(), sixth()]);
    assert_ne!(record().unwrap(), first);

    // Damage is found, although there was a record of the file, and the day is taken from the node again.
    let text = fs::read_to_string(&kept).unwrap().replace("\"tcp_in_bytes\":6,", "\"tcp_in_bytes\":8,");
    fs::write(&kept, text).unwrap();
    assert_eq!(record(), None);
    let again = put(&mut [fifth(), sixth()]);
    assert_eq!((again.damages.len(), again.outcomes[&date("2026-10-06")]), (1, DayOutcome::Written));
    assert_eq!(days(&kept), expected(&[("2026-10-05", 5), ("2026-10-06", 6)]));
    assert!(record().is_some());
    // What is kept is not what was fetched.
    put(&mut [made_at("2026-10-08T00:00:00", fifth())]);
    assert_eq!(record(), None);
}

#[test]
fn a_gathered_day_that_has_fewer_bytes_than_before_is_named() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    let fetched = dir.path().join("fetched.jsonl");
    let gather = |at: &str, bytes| {
        fs::write(&fetched, made_at(at, day("2026-11-01", FULL, bytes)).encode()).unwrap();
        let month = "2026-11".parse().unwrap();
        let (outcomes, _) = put_gathered(&state.lock_report().unwrap(), "hk-1", month, &fetched).unwrap();
        (outcomes[&date("2026-11-01")], days(&state.node_daily("hk-1", month)).0[0].1)
    };
    assert_eq!(gather("2026-11-02T00:00:01", 24_000), (DayOutcome::Written, 24_000));
    // A backup of the node was restored. What it had counted is in another day now.
    let decreased = DayOutcome::Decreased { bytes_before: 24_000, bytes: 0, seconds_before: FULL, seconds: FULL };
    assert_eq!(gather("2026-11-09T10:00:01", 0), (decreased, 0));
    assert_eq!(gather("2026-11-09T10:00:01", 0), (DayOutcome::Unchanged, 0));
    assert_eq!(gather("2026-11-09T11:00:01", 5), (DayOutcome::Written, 5));
}
