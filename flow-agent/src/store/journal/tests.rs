//! The hourly log under faults, cuts, flipped bits, and changes by other programs.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

mod history;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::NaiveDate;

use super::*;
use crate::store::hours::{HourItem, Hours};
use crate::store::table::put_days;
use crate::testing::crash_disk::{CrashDisk, Fault, POWER_CUTS, PowerCut};
use crate::testing::fixtures::{self, bucket, instant, total_of};
use crate::testing::sweep::at_every_operation;

const ONE: &str = "2026-10-05T22:00:00+08:00";
const TWO: &str = "2026-10-05T23:00:00+08:00";
const NEXT_DAY: &str = "2026-10-06T00:00:00+08:00";
const LAST: &str = "2026-10-06T01:00:00+08:00";

struct Log {
    _dir: tempfile::TempDir,
    state: StateDir,
}

impl Log {
    fn new() -> Self {
        let dir = fixtures::dir();
        Self { state: StateDir::new(dir.path()), _dir: dir }
    }

    /// A log with two buckets on one day, of 100 and 200 bytes per port.
    fn of_two() -> Self {
        let log = Self::new();
        two(&log.state);
        log
    }

    fn path(&self, date: &str) -> PathBuf {
        self.state.hourly(date.parse::<NaiveDate>().unwrap())
    }
}

fn open(state: &StateDir) -> Result<(Journal, Recovery), StoreError> {
    Journal::open(&state.lock_run()?)
}

fn two(state: &StateDir) {
    let (mut journal, _) = open(state).unwrap();
    journal.append(&mut bucket(ONE, "a", 0, 100)).unwrap();
    journal.append(&mut bucket(TWO, "a", 100, 300)).unwrap();
}

/// The `seq` and the bytes of port 443 of every bucket that a reader accepts, and the damage that it finds.
fn read(state: &StateDir) -> (Vec<(u64, u64)>, Vec<String>) {
    let (mut buckets, mut damages) = (Vec::new(), Vec::new());
    for hour in Hours::read(state, NaiveDate::MIN..=NaiveDate::MAX).unwrap() {
        match hour.unwrap() {
            HourItem::Bucket(bucket) => buckets.push((bucket.seal.seq.unwrap_or(0), bucket.lines[0].tcp_in_bytes)),
            HourItem::Damage(damage) | HourItem::Unfinished(damage) => damages.push(damage.to_string()),
        }
    }
    (buckets, damages)
}

fn last_total(recovery: &Recovery) -> u64 {
    recovery.last().map_or(0, total_of)
}

/// Continues like an agent whose counters are at `total`, and asserts that no byte is lost or counted twice.
fn goes_on(state: &StateDir, start: &str, total: u64, context: &str) {
    let (mut journal, recovery) = open(state).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(recovery.overlap, None, "{context}");
    let before = last_total(&recovery);
    journal.append(&mut bucket(start, "a", before, total)).unwrap_or_else(|error| panic!("{context}: {error}"));
    let (buckets, damages) = read(state);
    assert_eq!(damages, Vec::<String>::new(), "{context}");
    assert_eq!(buckets.iter().map(|(_, bytes)| bytes).sum::<u64>(), total, "{context}: {buckets:?}");
    let numbers: BTreeSet<u64> = buckets.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(numbers, (1..=buckets.len() as u64).collect(), "{context}");
}

#[test]
fn buckets_lie_in_the_file_of_the_date_in_their_start() {
    let log = Log::of_two();
    let (mut journal, recovery) = open(&log.state).unwrap();
    assert_eq!((last_total(&recovery), journal.next_seq(), recovery.damages.len()), (300, 3, 0));
    journal.append(&mut bucket(NEXT_DAY, "a", 300, 400)).unwrap();
    let lines = |date| fs::read_to_string(log.path(date)).unwrap().lines().count();
    assert_eq!((lines("2026-10-05"), lines("2026-10-06")), (6, 3));
    assert_eq!(read(&log.state).0, [(1, 100), (2, 200), (3, 100)]);
}

#[test]
fn a_number_is_given_once() {
    let log = Log::of_two();
    let (mut journal, _) = open(&log.state).unwrap();
    let mut numbered = bucket(NEXT_DAY, "a", 300, 400);
    numbered.seal.seq = Some(2);
    let refused = journal.append(&mut numbered).unwrap_err();
    assert_eq!(refused.to_string(), "bucket 2 is already in the hourly log: the next is 3");
    numbered.seal.seq = Some(3);
    journal.append(&mut numbered).unwrap();
    journal.append(&mut numbered).unwrap_err();
    assert_eq!(read(&log.state).0, [(1, 100), (2, 200), (3, 100)]);
}

#[test]
fn any_fault_at_any_operation_of_an_append_loses_no_byte_and_counts_none_twice() {
    // Opening the log takes 3 operations: open, sync, sync the directory. Appending to an existing file takes 3: open,
    // write, sync. Appending to a new file takes 5: find that it does not exist, create, write, sync, sync the
    // directory.
    for (start, date, expected) in [(TWO, "the same file", 3 + 3), (NEXT_DAY, "a new file", 3 + 5)] {
        let operations = at_every_operation(
            |state| open(state).unwrap().0.append(&mut bucket(ONE, "a", 0, 100)).unwrap(),
            |state, _| open(state)?.0.append(&mut bucket(start, "a", 100, 300)),
            |after| {
                let context = format!("{date}: {after:?}");
                let (_, recovery) = open(&after.state).unwrap();
                assert_eq!(last_total(&recovery), if after.outcome.is_ok() { 300 } else { last_total(&recovery) });
                assert!([100, 300].contains(&last_total(&recovery)), "{context}");
                goes_on(&after.state, LAST, 1_000, &context);
            },
        );
        assert_eq!(operations, expected, "{date}");
    }
}

#[test]
fn any_fault_at_any_operation_of_the_first_bucket_ever_leaves_nothing_or_all_of_it() {
    at_every_operation(
        |_| {},
        |state, _| open(state)?.0.append(&mut bucket(ONE, "a", 0, 100)),
        |after| {
            let (_, recovery) = open(&after.state).unwrap();
            assert!(recovery.last().is_some() || after.outcome.is_err(), "{after:?}");
            goes_on(&after.state, TWO, 1_000, &format!("{after:?}"));
        },
    );
}

#[test]
fn a_bucket_that_failed_is_there_once_when_it_was_tried_again() {
    for start in [TWO, NEXT_DAY] {
        at_every_operation(
            |state| open(state).unwrap().0.append(&mut bucket(ONE, "a", 0, 100)).unwrap(),
            |state, disk| {
                let mut journal = match open(state) {
                    Err(_) => {
                        disk.heal();
                        open(state)?.0
                    }
                    opened => opened?.0,
                };
                if let Err(error) = journal.append(&mut bucket(start, "a", 100, 300)) {
                    assert!(disk.struck(), "{error}");
                    disk.heal();
                    journal.append(&mut bucket(start, "a", 100, 300))?;
                }
                Ok(())
            },
            |after| {
                // Only a process that dies does not succeed.
                assert!(after.outcome.is_ok() || after.fault == Fault::Die, "{after:?}");
                if after.outcome.is_ok() {
                    assert_eq!(read(&after.state).0, [(1, 100), (2, 200)], "{after:?}");
                }
                goes_on(&after.state, LAST, 1_000, &format!("{after:?}"));
            },
        );
    }
}

#[test]
fn two_faults_in_one_bucket_are_survived_too() {
    // The second fault strikes while the first is being repaired.
    for (first, second) in [(Fault::Io, Fault::Io), (Fault::Io, Fault::Full), (Fault::Full, Fault::Io)] {
        for (at, then) in (0..14).flat_map(|at| (0..8).map(move |then| (at, then))) {
            for cut in [None].into_iter().chain(POWER_CUTS.map(Some)) {
                let log = Log::new();
                open(&log.state).unwrap().0.append(&mut bucket(ONE, "a", 0, 100)).unwrap();
                let disk = CrashDisk::new(log.state.root());
                let state = StateDir::on(log.state.root(), Arc::new(disk.clone()));
                let (mut journal, _) = open(&state).unwrap();
                disk.plan(at, first);
                disk.plan_also(then, second);
                let mut outcome = journal.append(&mut bucket(TWO, "a", 100, 300));
                for _ in 0..3 {
                    if outcome.is_err() {
                        disk.make_room();
                        outcome = journal.append(&mut bucket(TWO, "a", 100, 300));
                    }
                }
                let context = format!("{first:?} at {at}, {second:?} {then} later, then {cut:?}: {outcome:?}");
                assert!(outcome.is_ok(), "{context}");
                if let Some(cut) = cut {
                    disk.cut_power(cut);
                }
                assert_eq!(read(&log.state).0, [(1, 100), (2, 200)], "{context}");
                goes_on(&log.state, LAST, 1_000, &context);
            }
        }
    }
}

#[test]
fn what_a_start_went_on_from_survives_a_power_cut_after_it() {
    // The first process dies between write and sync. The second one reads the bucket, and must not rely on it until it
    // is synced.
    for cut in POWER_CUTS {
        let log = Log::new();
        open(&log.state).unwrap().0.append(&mut bucket(ONE, "a", 0, 100)).unwrap();
        let disk = CrashDisk::new(log.state.root());
        let state = StateDir::on(log.state.root(), Arc::new(disk.clone()));
        let (mut journal, _) = open(&state).unwrap();
        // The operations are open, write, sync.
        disk.plan(2, Fault::Die);
        journal.append(&mut bucket(TWO, "a", 100, 300)).unwrap_err();
        assert_eq!(read(&log.state).0.len(), 2, "the bucket is written");
        disk.begin_again();
        let (_, recovery) = open(&state).unwrap();
        assert_eq!(last_total(&recovery), 300);
        disk.cut_power(cut);
        assert_eq!(read(&log.state).0, [(1, 100), (2, 200)], "{cut:?}");
    }
}

#[test]
fn the_last_two_buckets_cut_at_every_length_keep_every_complete_bucket() {
    let log = Log::of_two();
    let path = log.path("2026-10-05");
    let bytes = fs::read(&path).unwrap();
    let first = fs::read_to_string(&path).unwrap().split_inclusive('\n').take(3).map(str::len).sum::<usize>();
    for length in 0..=bytes.len() {
        let log = Log::new();
        let path = log.path("2026-10-05");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &bytes[..length]).unwrap();
        let whole = [0, first, bytes.len()].into_iter().rfind(|end| *end <= length).unwrap();
        let (_, recovery) = open(&log.state).unwrap();
        assert_eq!(
            last_total(&recovery),
            if whole == 0 {
                0
            } else if whole == first {
                100
            } else {
                300
            }
        );
        assert_eq!(fs::read(&path).unwrap(), &bytes[..whole], "cut at {length}");
        let kept: Vec<u8> = recovery.kept.iter().flat_map(|kept| fs::read(kept).unwrap()).collect();
        assert_eq!(kept, &bytes[whole..length], "cut at {length}");
        assert_eq!(recovery.damages.len(), usize::from(length > whole), "cut at {length}");
        goes_on(&log.state, LAST, 1_000, &format!("cut at {length}"));
    }
}

/// Flips every bit of `lines` in the log of two buckets. A bucket must be accepted as it was written, or not at all.
fn flip_every_bit(lines: std::ops::Range<usize>, untouched: (u64, u64)) {
    let log = Log::of_two();
    let path = log.path("2026-10-05");
    let text = fs::read_to_string(&path).unwrap();
    let length = |lines: usize| text.split_inclusive('\n').take(lines).map(str::len).sum::<usize>();
    for bit in length(lines.start) * 8..length(lines.end) * 8 {
        let mut bytes = text.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        let (before, damages) = read(&log.state);
        assert!(before.contains(&untouched), "bit {bit}: {before:?}");
        assert!(before.iter().all(|found| [(1, 100), (2, 200)].contains(found)), "bit {bit}: {before:?}");
        assert!(before.len() == 2 || !damages.is_empty(), "bit {bit}");
        let (_, recovery) = open(&log.state).unwrap();
        let already = last_total(&recovery);
        assert_eq!(already, if before.contains(&(2, 200)) { 300 } else { 100 }, "bit {bit}");
        assert_eq!(read(&log.state).0, before, "bit {bit}");
        // A damaged last bucket is counted again from the counters. A damaged one in the middle is lost, and reported.
        let logged: u64 = before.iter().map(|(_, bytes)| bytes).sum();
        assert!(logged == already || before.len() == 1 && already == 300, "bit {bit}: {logged} of {already}");
        for entry in fs::read_dir(log.state.hourly_dir()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
}

#[test]
fn no_flipped_bit_of_a_middle_bucket_is_accepted() {
    flip_every_bit(1..3, (2, 200));
}

#[test]
fn no_flipped_bit_of_the_last_bucket_is_accepted() {
    flip_every_bit(4..6, (1, 100));
}

#[test]
fn damage_in_the_middle_stays_is_copied_aside_once_and_named() {
    let log = Log::of_two();
    let path = log.path("2026-10-05");
    let text = fs::read_to_string(&path).unwrap().replacen("\"tcp_in_bytes\":100", "\"tcp_in_bytes\":900", 1);
    fs::write(&path, &text).unwrap();
    for _ in 0..2 {
        let (_, recovery) = open(&log.state).unwrap();
        let named: Vec<String> = recovery.damages.iter().map(ToString::to_string).collect();
        let expected = format!("{}:3: the lines do not match the seal's sha256 (3 lines do not count)", path.display());
        assert_eq!(named, [expected]);
        assert_eq!((last_total(&recovery), recovery.kept.len()), (300, 0));
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    let first = text.split_inclusive('\n').take(3).map(str::len).sum::<usize>();
    let aside = fs::read(format!("{}.0-{first}.damaged", path.display())).unwrap();
    assert_eq!(aside, &text.as_bytes()[..first]);
}

#[test]
fn an_unfinished_end_is_kept_through_any_fault_while_it_is_cut() {
    let torn = |state: &StateDir| {
        two(state);
        let path = state.hourly(NaiveDate::from_ymd_opt(2026, 10, 5).unwrap());
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    };
    let log = Log::new();
    torn(&log.state);
    let whole = fs::read_to_string(log.path("2026-10-05")).unwrap();
    let end = &whole[whole.split_inclusive('\n').take(3).map(str::len).sum()..];
    at_every_operation(
        torn,
        |state, _| open(state).map(drop),
        |after| {
            let files = fs::read_dir(after.state.hourly_dir()).unwrap();
            let texts: Vec<String> = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
            assert!(texts.iter().any(|text| text.ends_with(end)), "{after:?}: {texts:?}");
            goes_on(&after.state, LAST, 1_000, &format!("{after:?}"));
        },
    );
}

#[test]
fn a_full_disk_at_the_start_does_not_keep_the_agent_from_counting() {
    let log = Log::of_two();
    let path = log.path("2026-10-05");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    let disk = CrashDisk::new(log.state.root());
    let state = StateDir::on(log.state.root(), Arc::new(disk.clone()));
    disk.plan(0, Fault::Full);
    let (mut journal, recovery) = open(&state).unwrap();
    assert_eq!(last_total(&recovery), 100);
    assert!(journal.append(&mut bucket(TWO, "a", 100, 400)).unwrap_err().is_full());
    disk.heal();
    journal.append(&mut bucket(TWO, "a", 100, 400)).unwrap();
    assert_eq!(read(&log.state), (vec![(1, 100), (2, 300)], vec![]));
    assert_eq!(fs::read(path.with_extension("jsonl.torn")).unwrap().len(), bytes.len() - 5 - bytes.len() / 2);
}

#[test]
fn an_error_of_the_disk_is_made_up_for_by_a_new_file() {
    let log = Log::of_two();
    let disk = CrashDisk::new(log.state.root());
    let state = StateDir::on(log.state.root(), Arc::new(disk.clone()));
    let (mut journal, _) = open(&state).unwrap();
    // The operations are open, write, sync.
    disk.plan(2, Fault::Io);
    journal.append(&mut bucket("2026-10-05T21:00:00+08:00", "a", 300, 400)).unwrap();
    assert!(disk.struck());
    disk.cut_power(PowerCut::KeepsSynced);
    assert_eq!(read(&log.state).0, [(1, 100), (2, 200), (3, 100)]);
}

#[test]
fn a_log_that_was_removed_or_cut_or_written_to_meanwhile_is_verified_anew() {
    let log = Log::of_two();
    let path = log.path("2026-10-05");
    let (mut journal, _) = open(&log.state).unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 5]).unwrap();
    journal.append(&mut bucket("2026-10-05T20:00:00+08:00", "a", 300, 400)).unwrap();
    assert_eq!(read(&log.state), (vec![(1, 100), (3, 100)], vec![]));
    fs::write(&path, [fs::read(&path).unwrap().as_slice(), b"# what is this?\n"].concat()).unwrap();
    journal.append(&mut bucket("2026-10-05T21:00:00+08:00", "a", 400, 450)).unwrap();
    assert_eq!(read(&log.state), (vec![(1, 100), (3, 100), (4, 50)], vec![]));
    fs::remove_dir_all(log.state.hourly_dir()).unwrap();
    journal.append(&mut bucket(TWO, "a", 450, 500)).unwrap();
    assert_eq!(read(&log.state), (vec![(5, 50)], vec![]));
}

#[test]
fn a_fifo_or_symlink_in_the_place_of_a_log_is_refused_without_waiting() {
    let log = Log::of_two();
    let other = log.path("2026-10-06");
    rustix::fs::mkfifoat(rustix::fs::CWD, &other, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    let named = |error: StoreError| assert!(error.to_string().contains("2026-10-06.jsonl"), "{error}");
    named(open(&log.state).unwrap_err());
    fs::remove_file(&other).unwrap();
    let (mut journal, _) = open(&log.state).unwrap();
    let victim = log.state.root().join("victim");
    fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, &other).unwrap();
    named(journal.append(&mut bucket(NEXT_DAY, "a", 300, 400)).unwrap_err());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    fs::remove_file(&other).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &other, rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    named(journal.append(&mut bucket(NEXT_DAY, "a", 300, 400)).unwrap_err());
}

#[test]
fn only_the_file_of_the_last_bucket_is_kept_in_mind() {
    let log = Log::of_two();
    let (mut journal, _) = open(&log.state).unwrap();
    journal.append(&mut bucket(NEXT_DAY, "a", 300, 400)).unwrap();
    let known: Vec<&Path> = journal.appenders.iter().map(Appender::path).collect();
    assert_eq!(known, [log.path("2026-10-06")]);
}

#[test]
fn a_whole_file_of_another_date_is_added_to_as_it_is() {
    let log = Log::of_two();
    open(&log.state).unwrap().0.append(&mut bucket(NEXT_DAY, "a", 300, 400)).unwrap();
    let (mut journal, _) = open(&log.state).unwrap();
    journal.append(&mut bucket("2026-10-05T20:00:00+08:00", "a", 400, 450)).unwrap();
    assert_eq!(read(&log.state).0, [(1, 100), (2, 200), (4, 50), (3, 100)]);
    // Nothing was cut, so nothing is kept.
    let files: BTreeSet<PathBuf> =
        fs::read_dir(log.state.hourly_dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files, [log.path("2026-10-05"), log.path("2026-10-06")].into());
}

#[test]
fn a_log_that_others_continued_is_told_from_one_that_is_whole() {
    let log = Log::of_two();
    let (mut journal, _) = open(&log.state).unwrap();
    assert_eq!(total_of(&journal.look_again().unwrap()["a"]), 300);
    open(&log.state).unwrap().0.append(&mut bucket(NEXT_DAY, "a", 300, 400)).unwrap();
    let refused = journal.look_again().unwrap_err();
    assert!(matches!(refused, StoreError::Ahead { found: 3, written: 2 }), "{refused}");
}

#[test]
fn a_bucket_that_is_written_again_takes_no_number_from_the_next() {
    let log = Log::of_two();
    let (mut journal, _) = open(&log.state).unwrap();
    fs::write(log.path("2026-10-05"), "").unwrap();
    assert!(journal.look_again().unwrap().is_empty());
    let mut lost = bucket(ONE, "a", 0, 100);
    lost.seal.seq = Some(1);
    journal.append_again(&mut lost).unwrap();
    assert_eq!(journal.next_seq(), 3);
    journal.append(&mut bucket(NEXT_DAY, "a", 300, 400)).unwrap();
    assert_eq!(read(&log.state).0, [(1, 100), (3, 100)]);
}

#[test]
fn a_damaged_file_after_the_last_seal_is_cut_and_one_before_it_is_not() {
    let log = Log::of_two();
    let of = |start: &str| damaged(bucket(start, "a", 0, 7), None);
    let (older, newer) = (of("2026-10-01T10:00:00+08:00"), of("2026-10-07T10:00:00+08:00"));
    fs::write(log.path("2026-10-01"), &older).unwrap();
    fs::write(log.path("2026-10-07"), &newer).unwrap();
    let (_, recovery) = open(&log.state).unwrap();
    assert_eq!((last_total(&recovery), recovery.next_seq), (300, 3));
    assert_eq!(fs::read_to_string(log.path("2026-10-01")).unwrap(), older);
    assert_eq!(fs::read_to_string(log.path("2026-10-07")).unwrap(), "");
    let kept: Vec<String> = recovery.kept.iter().map(|kept| fs::read_to_string(kept).unwrap()).collect();
    assert_eq!(kept, [newer]);
    let aside = fs::read_to_string(format!("{}.0-{}.damaged", log.path("2026-10-01").display(), older.len()));
    assert_eq!(aside.unwrap(), older);
}

/// The text of a bucket whose seal does not hold.
fn damaged(mut bucket: HourBlock, seq: Option<u64>) -> String {
    bucket.seal.seq = seq;
    bucket.encode().replacen("\"node\":\"hk-1\"", "\"node\":\"hk-2\"", 1)
}

fn names(state: &StateDir) -> BTreeSet<String> {
    let entries = fs::read_dir(state.hourly_dir()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_damaged_end_is_cut_in_the_file_of_the_last_seal_and_in_no_other() {
    let log = Log::new();
    let (mut journal, _) = open(&log.state).unwrap();
    journal.append(&mut bucket(ONE, "a", 0, 100)).unwrap();
    journal.append(&mut bucket(NEXT_DAY, "a", 300, 400)).unwrap();
    let (first, last) = (log.path("2026-10-05"), log.path("2026-10-06"));
    let whole = fs::read_to_string(&last).unwrap();
    let older = fs::read_to_string(&first).unwrap() + &damaged(bucket(TWO, "a", 100, 300), Some(7));
    let end = damaged(bucket(LAST, "a", 400, 500), Some(8));
    fs::write(&first, &older).unwrap();
    fs::write(&last, whole.clone() + &end).unwrap();
    let (_, recovery) = open(&log.state).unwrap();
    assert_eq!((last_total(&recovery), recovery.next_seq, recovery.damages.len()), (400, 3, 2));
    assert_eq!((fs::read_to_string(&first).unwrap(), fs::read_to_string(&last).unwrap()), (older.clone(), whole));
    // One copy of each: of what stays, and of what was cut.
    let from = older.split_inclusive('\n').take(3).map(str::len).sum::<usize>();
    let copy = format!("2026-10-05.jsonl.{from}-{}.damaged", older.len());
    let expected = ["2026-10-05.jsonl", &copy, "2026-10-06.jsonl", "2026-10-06.jsonl.torn"];
    assert_eq!(names(&log.state), expected.map(str::to_owned).into());
    assert_eq!(fs::read_to_string(&recovery.kept[0]).unwrap(), end);
}

#[test]
fn a_damaged_first_bucket_is_cut_and_one_after_an_import_is_not() {
    // Without any seal of a reading, the bytes of the only bucket are still in the counters.
    let log = Log::new();
    fs::create_dir_all(log.state.hourly_dir()).unwrap();
    let only = damaged(bucket(ONE, "a", 0, 100), Some(1));
    fs::write(log.path("2026-10-05"), &only).unwrap();
    let (_, recovery) = open(&log.state).unwrap();
    assert_eq!((recovery.next_seq, fs::read_to_string(&recovery.kept[0]).unwrap()), (1, only));
    assert_eq!(names(&log.state), ["2026-10-05.jsonl", "2026-10-05.jsonl.torn"].map(str::to_owned).into());
    assert_eq!(fs::read(log.path("2026-10-05")).unwrap(), b"");

    let log = Log::new();
    fs::create_dir_all(log.state.hourly_dir()).unwrap();
    let mut imported = bucket(ONE, "legacy", 0, 7);
    imported.seal.quality = Quality::Import;
    let text = imported.encode() + &damaged(bucket(TWO, "legacy", 7, 9), None);
    fs::write(log.path("2026-10-05"), &text).unwrap();
    let (_, recovery) = open(&log.state).unwrap();
    assert_eq!((recovery.next_seq, recovery.kept.len(), recovery.damages.len()), (1, 0, 1));
    assert_eq!(fs::read_to_string(log.path("2026-10-05")).unwrap(), text);
}

#[test]
fn a_day_in_the_daily_log_after_all_files_of_the_hourly_one_shows_that_that_is_older() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    let (mut journal, _) = open(&state).unwrap();
    for (number, day) in (5_u64..).zip(["2026-10-05", "2026-10-06", "2026-10-07"]) {
        journal.append(&mut bucket(&format!("{day}T10:00:00+08:00"), "one", 100 * number, 100 * (number + 1))).unwrap();
        put_days(&state.lock_daily().unwrap(), vec![fixtures::day(day, 3_600, 100)], false).unwrap();
    }
    drop(journal);
    assert_eq!(open(&state).unwrap().1.overlap, None);
    fs::remove_file(state.hourly("2026-10-07".parse().unwrap())).unwrap();
    let day = "2026-10-07".parse().unwrap();
    assert_eq!(open(&state).unwrap().1.overlap, Some(DoubleCountRisk::DailyAhead { day }));
}
