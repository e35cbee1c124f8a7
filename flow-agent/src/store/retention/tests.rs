//! Old days are compressed or deleted only when nothing needs them any more, and can be read as before, whatever fails.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::collections::BTreeMap;

use super::*;
use crate::store::hours::{HourItem, Hours};
use crate::store::journal::Journal;
use crate::store::table::put_days;
use crate::testing::crash_disk::Fault;
use crate::testing::fixtures::{bucket, day, dir, instant, total_of};
use crate::testing::sweep::at_every_operation;

const ZONE: Tz = Tz::UTC;

fn date(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// A log with two buckets a day from 1 to `days` October, each with 100 bytes on port 443, and complete daily logs for
/// all days except the newest.
fn prepare(state: &StateDir, days: u32) {
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    let mut total = 0;
    for number in 1..=days {
        for hour in [10, 11] {
            let start = format!("2026-10-{number:02}T{hour}:00:00Z");
            journal.append(&mut bucket(&start, "one", total, total + 100)).unwrap();
            total += 100;
        }
    }
    for number in 1..days {
        let mut made = day(&format!("2026-10-{number:02}"), 7_200, 200);
        // Later than any file of this test.
        made.seal.at = Some(instant("9000-01-01T00:00:00Z"));
        put_days(&state.lock_daily().unwrap(), vec![made], false).unwrap();
    }
}

fn config(compress_after: Option<Age>, hours: Option<Age>) -> RetentionConfig {
    RetentionConfig { compress_after, hours }
}

fn planned(
    state: &StateDir,
    config: RetentionConfig,
    unsent_from: Option<NaiveDate>,
) -> Vec<(String, RetentionAction)> {
    let planned = plan(state, ZONE, date("2026-10-10"), config, unsent_from).unwrap();
    planned.steps.into_iter().map(|step| (step.date.format("%d").to_string(), step.action)).collect()
}

/// The totals of the buckets of each date, and the number of damaged parts.
fn read(state: &StateDir) -> (BTreeMap<NaiveDate, Vec<u64>>, usize) {
    let (mut found, mut damages) = (BTreeMap::<NaiveDate, Vec<u64>>::new(), 0);
    for hour in Hours::read(state, NaiveDate::MIN..=NaiveDate::MAX).unwrap() {
        match hour.unwrap() {
            HourItem::Bucket(bucket) => {
                found.entry(bucket.seal.start.date_naive()).or_default().push(total_of(&bucket));
            }
            HourItem::Damage(_) | HourItem::Unfinished(_) => damages += 1,
        }
    }
    (found, damages)
}

fn step(date: NaiveDate, action: RetentionAction) -> RetentionStep {
    RetentionStep { date, action, bytes: 0 }
}

#[test]
fn ages_are_read_in_calendar_units() {
    let today = date("2026-03-31");
    for (text, first) in [
        ("7 days", "2026-03-24"),
        ("1 day", "2026-03-30"),
        ("10d", "2026-03-21"),
        ("2 weeks", "2026-03-17"),
        ("1 month", "2026-02-28"),
        ("13 months", "2025-02-28"),
        ("2 years", "2024-03-31"),
    ] {
        assert_eq!(Age::parse(text).map(|age| age.reaches_back_to(today)), Some(date(first)), "{text}");
    }
    for text in ["", "7", "days", "0 days", "-1 days", "1.5 months", "7 moons", "10001 days", "99999999999 days"] {
        assert_eq!(Age::parse(text), None, "{text}");
    }
}

#[test]
fn the_newest_days_and_those_without_a_complete_daily_log_are_left_alone() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    prepare(&state, 9);
    let compress =
        |days: &[&str]| days.iter().map(|day| ((*day).to_owned(), RetentionAction::Compress)).collect::<Vec<_>>();
    // The 7th to 9th are the newest three. The daily log of the 9th, to which the 8th contributes, is not complete.
    let all = planned(&state, config(Some(Age::Days(1)), None), None);
    assert_eq!(all, compress(&["01", "02", "03", "04", "05", "06"]));
    assert_eq!(planned(&state, config(Some(Age::Days(7)), None), None), compress(&["01", "02"]));
    assert_eq!(planned(&state, config(None, None), None), []);

    let some = planned(&state, config(Some(Age::Days(5)), Some(Age::Days(7))), None);
    let delete = |day: &str| (day.to_owned(), RetentionAction::Delete);
    assert_eq!(some, [vec![delete("01"), delete("02")], compress(&["03", "04"])].concat());
    // Hours that were not sent yet are not deleted.
    let unsent = planned(&state, config(None, Some(Age::Days(7))), Some(date("2026-10-02")));
    assert_eq!(unsent, [delete("01")]);

    // The 4th gets another bucket. Nothing may be done with it, nor with the 3rd, whose last bucket may extend into it.
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    fs::remove_file(state.daily("2026-10".parse().unwrap())).unwrap();
    journal.append(&mut bucket("2026-10-04T12:00:00Z", "two", 0, 5)).unwrap();
    assert_eq!(planned(&state, config(Some(Age::Days(1)), None), None), []);
}

#[test]
fn hours_are_not_deleted_while_a_day_made_from_them_is_damaged() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    prepare(&state, 9);
    let planned = || plan(&state, ZONE, date("2026-10-10"), config(None, Some(Age::Days(4))), None).unwrap();
    let dates = |plan: &RetentionPlan| plan.steps.iter().map(|step| step.date).collect::<Vec<_>>();
    let days = |numbers: &[u32]| -> Vec<_> { numbers.iter().map(|day| date(&format!("2026-10-{day:02}"))).collect() };
    // On the 10th, the days before the 6th are older than four days.
    assert_eq!((dates(&planned()), planned().damaged), (days(&[1, 2, 3, 4, 5]), BTreeSet::new()));

    // One digit of the figures of the 3rd becomes another one; its seal is still readable.
    let path = state.daily("2026-10".parse().unwrap());
    let whole = fs::read_to_string(&path).unwrap();
    let line = whole.lines().find(|line| line.contains("\"2026-10-03\",\"port\"")).unwrap();
    fs::write(&path, whole.replace(line, &line.replace("\"tcp_in_bytes\":200", "\"tcp_in_bytes\":300"))).unwrap();
    let kept = planned();
    // The last bucket of the 2nd may extend into the 3rd.
    assert_eq!((dates(&kept), kept.damaged), (days(&[1, 4, 5]), days(&[3]).into_iter().collect()));

    // Compressing loses nothing, so it does not depend on the blocks.
    let compressed = plan(&state, ZONE, date("2026-10-10"), config(Some(Age::Days(4)), None), None).unwrap();
    assert_eq!((dates(&compressed), compressed.damaged), (days(&[1, 2, 3, 4, 5]), BTreeSet::new()));
    carry_out(&state.lock_daily().unwrap(), step(date("2026-10-03"), RetentionAction::Compress)).unwrap();
    assert_eq!(dates(&planned()), days(&[1, 4, 5]));

    // After another roll-up, nothing is in the way.
    let mut again = day("2026-10-03", 7_200, 200);
    again.seal.at = Some(instant("9000-01-01T00:00:00Z"));
    put_days(&state.lock_daily().unwrap(), vec![again], false).unwrap();
    assert_eq!((dates(&planned()), planned().damaged), (days(&[1, 2, 3, 4, 5]), BTreeSet::new()));
}

#[test]
fn a_compressed_day_reads_as_before_and_can_be_added_to() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    prepare(&state, 5);
    let before = read(&state);
    let first = date("2026-10-01");
    let plain = fs::read(state.hourly(first)).unwrap();
    let lock = state.lock_daily().unwrap();
    let left = carry_out(&lock, step(first, RetentionAction::Compress)).unwrap();
    assert!(!state.hourly(first).exists());
    assert_eq!(left, fs::metadata(state.hourly_compressed(first)).unwrap().len());
    assert_eq!(zstd::decode_all(fs::File::open(state.hourly_compressed(first)).unwrap()).unwrap(), plain);
    // RFC 8878, section 3.1.1.1.1: bit 2 of the byte after the magic number says that there is a checksum.
    assert_eq!(fs::read(state.hourly_compressed(first)).unwrap()[4] & 0b100, 0b100);
    assert_eq!(read(&state), before);
    assert_eq!(planned(&state, config(Some(Age::Days(9)), None), None), []);

    // A bucket that is added later goes into a new file. Then both files become one.
    let (mut journal, recovery) = Journal::open(&state.lock_run().unwrap()).unwrap();
    assert_eq!(recovery.next_seq, 11);
    let mut late = bucket("2026-10-01T12:00:00Z", "two", 0, 7);
    journal.append(&mut late).unwrap();
    let expected = vec![100, 200, 7];
    assert_eq!(read(&state).0[&first], expected);
    carry_out(&lock, step(first, RetentionAction::Compress)).unwrap();
    assert!(!state.hourly(first).exists());
    assert_eq!(read(&state).0[&first], expected);

    carry_out(&lock, step(first, RetentionAction::Delete)).unwrap();
    assert_eq!(read(&state).0.get(&first), None);
}

#[test]
fn an_imported_bucket_that_is_there_in_both_files_counts_once() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    let (mut journal, _) = Journal::open(&state.lock_run().unwrap()).unwrap();
    let mut imported = bucket("2026-10-01T00:00:00Z", "import", 0, 9);
    imported.seal.quality = crate::ledger::record::Quality::Import;
    journal.append(&mut imported).unwrap();
    let first = date("2026-10-01");
    let plain = fs::read(state.hourly(first)).unwrap();
    carry_out(&state.lock_daily().unwrap(), step(first, RetentionAction::Compress)).unwrap();
    fs::write(state.hourly(first), plain).unwrap();
    assert_eq!(read(&state), ([(first, vec![9])].into(), 0));
}

#[test]
fn a_start_finds_the_last_bucket_in_a_compressed_file_where_no_other_is_left() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    prepare(&state, 2);
    let lock = state.lock_daily().unwrap();
    for date in [date("2026-10-01"), date("2026-10-02")] {
        carry_out(&lock, step(date, RetentionAction::Compress)).unwrap();
    }
    let (_, recovery) = Journal::open(&state.lock_run().unwrap()).unwrap();
    assert_eq!((recovery.next_seq, recovery.last().map(total_of)), (5, Some(400)));
    assert!(recovery.damages.is_empty() && recovery.overlap.is_none());
}

#[test]
fn what_of_a_compressed_file_cannot_be_read_is_named_and_the_rest_counts() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    prepare(&state, 3);
    let second = date("2026-10-02");
    carry_out(&state.lock_daily().unwrap(), step(second, RetentionAction::Compress)).unwrap();
    let path = state.hourly_compressed(second);
    let whole = fs::read(&path).unwrap();
    for length in [0, 3, 4, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let (found, damages) = read(&state);
        assert_eq!((found[&date("2026-10-01")].len(), found[&date("2026-10-03")].len()), (2, 2), "{length} bytes");
        assert_eq!(damages, 1, "{length} bytes");
    }
    let mut rotten = whole.clone();
    rotten[whole.len() / 2] ^= 0x55;
    fs::write(&path, rotten).unwrap();
    assert_eq!(read(&state).1, 1);
}

#[test]
fn whatever_fails_every_bucket_is_read_once() {
    let first = date("2026-10-01");
    let operations = at_every_operation(
        |state| prepare(state, 3),
        |state, _| carry_out(&state.lock_daily()?, step(first, RetentionAction::Compress)),
        |aftermath| {
            let (found, damages) = read(&aftermath.state);
            assert_eq!((&found[&first], damages), (&vec![100, 200], 0), "{aftermath:?}");
            if aftermath.fault != Fault::Die && aftermath.cut.is_none() {
                carry_out(&aftermath.state.lock_daily().unwrap(), step(first, RetentionAction::Compress)).ok();
                assert_eq!(read(&aftermath.state).0[&first], [100, 200], "{aftermath:?}");
            }
        },
    );
    // Create, write, sync, rename to the name under which the file is read back, sync the directory; rename to its final
    // name, sync the directory; remove the old file, sync the directory.
    assert_eq!(operations, 9);
}

#[test]
fn a_day_is_left_alone_where_the_next_one_has_to_be_rolled_up() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    prepare(&state, 9);
    // The 4th gets another daily log, made before the day was over.
    fs::remove_file(state.daily("2026-10".parse().unwrap())).unwrap();
    for number in 1..9 {
        let mut made = day(&format!("2026-10-{number:02}"), 7_200, 200);
        made.seal.at = Some(instant(if number == 4 { "2026-10-04T12:00:00Z" } else { "9000-01-01T00:00:00Z" }));
        put_days(&state.lock_daily().unwrap(), vec![made], false).unwrap();
    }
    // The 3rd may extend into the 4th, and the 4th into the 5th.
    let days: Vec<String> =
        planned(&state, config(Some(Age::Days(1)), None), None).into_iter().map(|(day, _)| day).collect();
    assert_eq!(days, ["01", "02", "06"]);
}

#[test]
fn a_start_looks_into_compressed_files_where_the_plain_ones_have_no_seal() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    prepare(&state, 2);
    let lock = state.lock_daily().unwrap();
    for date in [date("2026-10-01"), date("2026-10-02")] {
        carry_out(&lock, step(date, RetentionAction::Compress)).unwrap();
    }
    // The first bucket of the 3rd was never finished.
    let text = bucket("2026-10-03T10:00:00Z", "one", 400, 500).encode();
    fs::write(state.hourly(date("2026-10-03")), &text[..100]).unwrap();
    let (_, recovery) = Journal::open(&state.lock_run().unwrap()).unwrap();
    assert_eq!((recovery.next_seq, recovery.last().map(total_of)), (5, Some(400)));
    assert_eq!(fs::read(state.hourly(date("2026-10-03"))).unwrap(), b"");
}

#[test]
fn a_line_that_is_cut_off_in_a_compressed_day_does_not_take_the_next_bucket_with_it() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    prepare(&state, 5);
    let first = date("2026-10-01");
    let torn = bucket("2026-10-01T12:00:00Z", "one", 0, 1).encode();
    let mut plain = fs::read(state.hourly(first)).unwrap();
    plain.extend(&torn.as_bytes()[..30]);
    fs::write(state.hourly(first), plain).unwrap();
    let lock = state.lock_daily().unwrap();
    carry_out(&lock, step(first, RetentionAction::Compress)).unwrap();
    fs::write(state.hourly(first), bucket("2026-10-01T13:00:00Z", "two", 0, 7).encode()).unwrap();
    assert_eq!(read(&state).0[&first], [100, 200, 7]);
    carry_out(&lock, step(first, RetentionAction::Compress)).unwrap();
    assert!(!state.hourly(first).exists());
    assert_eq!(read(&state).0[&first], [100, 200, 7]);
}

#[test]
fn a_clock_that_is_years_ahead_deletes_nothing_that_the_log_does_not_show_to_be_old() {
    let dir = dir();
    let state = StateDir::new(dir.path());
    prepare(&state, 9);
    let plan = plan(&state, ZONE, date("2036-10-10"), config(None, Some(Age::Days(7))), None).unwrap();
    assert_eq!(plan.steps.iter().map(|step| step.date).collect::<Vec<_>>(), [date("2026-10-01"), date("2026-10-02")]);
}
