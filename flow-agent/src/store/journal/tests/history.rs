//! What the files show about history: epochs, numbers, and whether an older log was restored or two logs were mixed.

use super::*;
use crate::ledger::counters::Others;
use crate::ledger::record::{Checkpoint, VERSION};
use crate::store::checkpoint;

#[test]
fn an_epoch_of_yesterday_is_known_and_an_imported_bucket_is_nobodys_counters() {
    let log = Log::of_two();
    let (mut journal, _) = open(&log.state).unwrap();
    journal.append(&mut bucket(NEXT_DAY, "b", 0, 50)).unwrap();
    let mut imported = bucket("2020-01-01T00:00:00+08:00", "legacy", 0, 7);
    imported.seal.quality = Quality::Import;
    journal.append(&mut imported).unwrap();
    let (journal, recovery) = open(&log.state).unwrap();
    let known: Vec<(&str, u64)> =
        recovery.epochs.iter().map(|(epoch, bucket)| (epoch.as_str(), total_of(bucket))).collect();
    assert_eq!(known, [("a", 300), ("b", 50)]);
    assert_eq!((recovery.last_epoch.as_deref(), journal.next_seq()), (Some("b"), 4));
    assert_eq!(read(&log.state).0[0], (0, 7));
}

#[test]
fn the_last_seal_is_the_one_with_the_highest_number_wherever_the_clock_was() {
    let log = Log::of_two();
    let (mut journal, _) = open(&log.state).unwrap();
    journal.append(&mut bucket("2038-01-19T03:00:00+08:00", "a", 300, 310)).unwrap();
    journal.append(&mut bucket("2026-10-05T21:00:00+08:00", "a", 310, 360)).unwrap();
    journal.append(&mut bucket(NEXT_DAY, "a", 360, 400)).unwrap();
    let (_, recovery) = open(&log.state).unwrap();
    assert_eq!((last_total(&recovery), recovery.next_seq), (400, 6));
    assert_eq!(recovery.overlap, None);
    // What a crash then leaves in that file is cut off as well.
    let path = log.path("2026-10-06");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, [bytes.as_slice(), &bytes[..100]].concat()).unwrap();
    let (_, recovery) = open(&log.state).unwrap();
    assert_eq!((last_total(&recovery), recovery.kept.len()), (400, 1));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

fn checkpoint_after(state: &StateDir, seq: u64) {
    let checkpoint = Checkpoint {
        v: VERSION,
        seq,
        boot_ms: None,
        start: None,
        start_boot_ms: None,
        at: instant(NEXT_DAY),
        epoch: "a".into(),
        totals: [(443, [999, 1, 0, 0, 0, 0, 0, 0])].into(),
        other_total: Others::default(),
        gaps: Vec::new(),
    };
    checkpoint::write(&state.lock_run().unwrap(), &checkpoint).unwrap();
}

#[test]
fn a_log_older_than_its_checkpoint_is_told_from_one_whose_last_seal_rotted() {
    let log = Log::of_two();
    checkpoint_after(&log.state, 2);
    assert_eq!(open(&log.state).unwrap().1.overlap, None);
    let path = log.path("2026-10-05");
    let text = fs::read_to_string(&path).unwrap();
    let first = text.split_inclusive('\n').take(3).collect::<String>();
    // An older copy of the file, in which the second bucket is missing.
    fs::write(&path, &first).unwrap();
    let (_, recovery) = open(&log.state).unwrap();
    assert_eq!(recovery.overlap, Some(DoubleCountRisk::Behind { checkpoint: 2, log: 1 }));
    assert_eq!(recovery.next_seq, 3);
    assert_eq!(
        recovery.overlap.unwrap().to_string(),
        "the checkpoint was written after bucket 2, but the hourly log ends with bucket 1: an older log was restored, \
         and what it lacks would be counted again"
    );
    // A copy in which the second bucket is damaged.
    fs::write(&path, text.replacen("\"seq\":2", "\"seq\":6", 1)).unwrap();
    let (_, recovery) = open(&log.state).unwrap();
    assert_eq!((recovery.overlap, recovery.next_seq), (None, 3));
}

#[test]
fn two_mixed_histories_are_noticed() {
    let log = Log::of_two();
    let path = log.path("2026-10-05");
    let newer = fs::read_to_string(&path).unwrap();
    // A copy made after the first bucket is restored and continued. Then the newer file is restored, too.
    fs::write(&path, newer.split_inclusive('\n').take(3).collect::<String>()).unwrap();
    open(&log.state).unwrap().0.append(&mut bucket(LAST, "a", 100, 500)).unwrap();
    fs::write(&path, newer).unwrap();
    let (_, recovery) = open(&log.state).unwrap();
    let expected = DoubleCountRisk::Twice { seq: 2, one: log.path("2026-10-05"), other: log.path("2026-10-06") };
    let overlap = recovery.overlap.unwrap();
    let swapped = DoubleCountRisk::Twice { seq: 2, one: log.path("2026-10-06"), other: log.path("2026-10-05") };
    assert!(overlap == expected || overlap == swapped, "{overlap}");
    assert!(
        read(&log.state).1[0]
            .ends_with("bucket 2 of this epoch was already read, with other figures (3 lines do not count)")
    );
}

#[test]
fn mixed_histories_far_back_are_noticed_by_their_numbers() {
    let log = Log::of_two();
    let (mut journal, _) = open(&log.state).unwrap();
    let days = ["2026-10-06", "2026-10-07", "2026-10-08", "2026-10-09"];
    for (day, before) in days.iter().zip([300, 400, 500, 600]) {
        journal.append(&mut bucket(&format!("{day}T00:00:00+08:00"), "a", before, before + 100)).unwrap();
    }
    // The bucket with the number of the 6th, as a second history numbers it, on a later date.
    let other = Log::of_two();
    open(&other.state).unwrap().0.append(&mut bucket("2026-10-10T00:00:00+08:00", "a", 300, 900)).unwrap();
    fs::copy(other.path("2026-10-10"), log.path("2026-10-10")).unwrap();
    let (_, recovery) = open(&log.state).unwrap();
    let Some(DoubleCountRisk::Twice { seq: 3, .. }) = recovery.overlap else { panic!("{:?}", recovery.overlap) };
}

#[test]
fn a_file_that_was_copied_onto_itself_counts_once() {
    let log = Log::of_two();
    let path = log.path("2026-10-05");
    let text = fs::read(&path).unwrap();
    fs::write(&path, text.repeat(2)).unwrap();
    assert_eq!(read(&log.state), (vec![(1, 100), (2, 200)], vec![]));
    assert_eq!(open(&log.state).unwrap().1.overlap, None);
}

#[test]
fn a_damaged_checkpoint_is_named_and_gone_on_without() {
    let log = Log::of_two();
    fs::write(log.state.checkpoint(), "{\"v\":1,").unwrap();
    let (_, recovery) = open(&log.state).unwrap();
    assert_eq!((recovery.checkpoint, recovery.next_seq), (None, 3));
    assert!(recovery.damages[0].to_string().contains("checkpoint.json"), "{:?}", recovery.damages);
    assert_eq!((recovery.damages[0].line, recovery.damages[0].lines), (1, 1));
}

#[test]
fn the_epochs_of_the_newest_two_files_are_known() {
    let log = Log::new();
    let (mut journal, _) = open(&log.state).unwrap();
    for (day, epoch) in [("2026-10-05", "a"), ("2026-10-06", "b"), ("2026-10-07", "c"), ("2026-10-08", "d")] {
        journal.append(&mut bucket(&format!("{day}T10:00:00+08:00"), epoch, 0, 100)).unwrap();
    }
    let (_, recovery) = open(&log.state).unwrap();
    assert_eq!(recovery.epochs.keys().collect::<Vec<_>>(), ["c", "d"]);
    assert_eq!((recovery.last_epoch.as_deref(), recovery.next_seq), (Some("d"), 5));
}

#[test]
fn the_last_bucket_of_a_file_has_its_highest_number_or_without_numbers_is_its_last() {
    for (numbers, total) in [([Some(2), Some(1)], 100), ([Some(1), Some(2)], 300), ([None, None], 300)] {
        let log = Log::new();
        fs::create_dir_all(log.state.hourly_dir()).unwrap();
        let mut buckets = [bucket(ONE, "a", 0, 100), bucket(TWO, "a", 100, 300)];
        let text = buckets.iter_mut().zip(numbers).map(|(bucket, seq)| {
            bucket.seal.seq = seq;
            bucket.encode()
        });
        fs::write(log.path("2026-10-05"), text.collect::<String>()).unwrap();
        assert_eq!(last_total(&open(&log.state).unwrap().1), total, "{numbers:?}");
    }
}

#[test]
fn a_second_history_of_the_oldest_file_is_noticed() {
    let log = Log::of_two();
    let (mut journal, _) = open(&log.state).unwrap();
    for (day, before) in ["2026-10-06", "2026-10-07", "2026-10-08", "2026-10-09"].iter().zip([300, 400, 500, 600]) {
        journal.append(&mut bucket(&format!("{day}T00:00:00+08:00"), "a", before, before + 100)).unwrap();
    }
    // A history that has only the first bucket of the oldest file numbers its next one 2.
    let other = Log::new();
    let (mut journal, _) = open(&other.state).unwrap();
    journal.append(&mut bucket(ONE, "a", 0, 100)).unwrap();
    journal.append(&mut bucket("2026-10-10T00:00:00+08:00", "a", 100, 900)).unwrap();
    fs::copy(other.path("2026-10-10"), log.path("2026-10-10")).unwrap();
    let (_, recovery) = open(&log.state).unwrap();
    let Some(DoubleCountRisk::Twice { seq: 2, .. }) = recovery.overlap else { panic!("{:?}", recovery.overlap) };
}
