use std::collections::BTreeMap;
use std::fs;

use chrono::DateTime;

use super::*;
use crate::ledger::counters::Others;
use crate::ledger::record::VERSION;
use crate::testing::sweep::at_every_operation;

fn checkpoint(seq: u64) -> Checkpoint {
    Checkpoint {
        v: VERSION,
        boot_ms: None,
        start: None,
        start_boot_ms: None,
        seq,
        at: DateTime::parse_from_rfc3339("2026-10-05T13:00:30+08:00").unwrap(),
        epoch: "boot-1".into(),
        totals: BTreeMap::from([(443, [1, 2, 3, 4, 5, 6, 7, 8])]),
        other_total: Others::default(),
        gaps: Vec::new(),
    }
}

#[test]
fn after_any_fault_there_is_the_old_checkpoint_or_the_new_one() {
    let operations = at_every_operation(
        |state| write(&state.lock_run().unwrap(), &checkpoint(1)).unwrap(),
        |state, _| write(&state.lock_run()?, &checkpoint(2)),
        |after| {
            let found = read(&after.state).unwrap().expect("one of them is there");
            let expected = if after.outcome.is_ok() { vec![2] } else { vec![1, 2] };
            assert!(expected.contains(&found.seq), "{after:?}");
            assert_eq!(found, checkpoint(found.seq), "{after:?}");
        },
    );
    // The operations: create the new file, write, sync, rename, sync the directory.
    assert_eq!(operations, 5);
}

#[test]
fn a_changed_digit_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    write(&state.lock_run().unwrap(), &checkpoint(1)).unwrap();
    let text = fs::read_to_string(state.checkpoint()).unwrap();
    fs::write(state.checkpoint(), text.replace("[1,2,", "[9,2,")).unwrap();
    let error = read(&state).unwrap_err();
    assert!(error.to_string().ends_with("checkpoint.json` is damaged: its check does not match"), "{error}");
}

#[test]
fn a_checkpoint_cut_at_any_length_is_noticed_and_none_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    assert_eq!(read(&state).unwrap(), None);
    write(&state.lock_run().unwrap(), &checkpoint(1)).unwrap();
    let bytes = fs::read(state.checkpoint()).unwrap();
    // The last byte is the newline, and without it the line is still complete.
    for length in 0..bytes.len() - 1 {
        fs::write(state.checkpoint(), &bytes[..length]).unwrap();
        assert!(matches!(read(&state), Err(StoreError::Damaged { .. })), "cut at {length}");
    }
}

#[test]
fn a_later_version_is_not_guessed_at() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    fs::write(state.checkpoint(), r#"{"v":2,"sequence":7}"#).unwrap();
    let error = read(&state).unwrap_err();
    assert!(error.to_string().ends_with("of an unknown version"), "{error}");
}

#[test]
fn a_fifo_or_symlink_in_its_place_is_refused_without_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let fifo = state.checkpoint();
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
    read(&state).unwrap_err();
    fs::remove_file(&fifo).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &fifo).unwrap();
    read(&state).unwrap_err();
    // A replacement replaces the link itself and leaves its target alone.
    write(&state.lock_run().unwrap(), &checkpoint(3)).unwrap();
    assert!(fs::symlink_metadata(&fifo).unwrap().is_file());
}

/// A checkpoint with 100 ports, each of which received `bytes`.
fn of_many_ports(seq: u64, bytes: u64) -> Checkpoint {
    let totals = (1..=100).map(|port| (port, [bytes + u64::from(port), 1, 0, 0, 0, 0, 0, bytes])).collect();
    let at = DateTime::parse_from_rfc3339("2026-10-05T13:00:30+08:00").unwrap() + chrono::Duration::seconds(30);
    Checkpoint { totals, at, boot_ms: Some(bytes), ..checkpoint(seq) }
}

#[test]
fn later_checkpoints_are_appended_and_each_is_the_newest() {
    use std::os::unix::fs::MetadataExt as _;
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let lock = state.lock_run().unwrap();
    let inode = || fs::metadata(state.checkpoint()).unwrap().ino();
    let mut file = CheckpointFile::default();
    let first = of_many_ports(1, 10);
    file.keep(&lock, first.clone()).unwrap();
    assert_eq!(read(&state).unwrap(), Some(first.clone()));
    // The first line is what other versions read.
    let text = fs::read_to_string(state.checkpoint()).unwrap();
    assert_eq!(serde_json::from_str::<Checkpoint>(&text).unwrap(), first);
    let base = inode();
    // One port moved 77 bytes, then another appeared, something else was counted, and there was a gap.
    let mut second = Checkpoint { boot_ms: Some(40_000), ..first };
    second.totals.get_mut(&7).unwrap()[0] += 77;
    file.keep(&lock, second.clone()).unwrap();
    assert_eq!((read(&state).unwrap().as_ref(), inode()), (Some(&second), base));
    let appended = fs::read_to_string(state.checkpoint()).unwrap().len() - text.len();
    assert!(appended < 200, "one port takes {appended} bytes");
    let mut third = second;
    third.totals.insert(65_535, [1; 8]);
    third.other_total.non_ip.in_bytes = 9;
    let gap = |why: &str| Gap { start: third.at, end: third.at, interface: "eth0".into(), why: why.into() };
    third.gaps = vec![gap("网线断开"), gap("x")];
    file.keep(&lock, third.clone()).unwrap();
    assert_eq!((read(&state).unwrap().as_ref(), inode()), (Some(&third), base));
    let fourth = Checkpoint { gaps: Vec::new(), ..third };
    file.keep(&lock, fourth.clone()).unwrap();
    assert_eq!((read(&state).unwrap().as_ref(), inode()), (Some(&fourth), base));
    // A bucket was sealed, a counter decreased, a port went: the file is replaced.
    let mut last = inode();
    let mut less = of_many_ports(2, 5);
    less.totals.remove(&3);
    for next in [of_many_ports(2, 10), of_many_ports(2, 9), less] {
        file.keep(&lock, next.clone()).unwrap();
        assert_eq!(read(&state).unwrap().as_ref(), Some(&next));
        assert_ne!(std::mem::replace(&mut last, inode()), last);
    }
}

#[test]
fn a_file_does_not_grow_for_ever_and_with_few_ports_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let lock = state.lock_run().unwrap();
    let mut file = CheckpointFile::default();
    let mut largest = 0;
    for step in 0..200 {
        let next = of_many_ports(1, 1_000_000 * step);
        file.keep(&lock, next.clone()).unwrap();
        assert_eq!(read(&state).unwrap(), Some(next));
        largest = largest.max(fs::metadata(state.checkpoint()).unwrap().len());
    }
    // 512 bytes for each of 100 ports.
    assert!((40_000..=51_200).contains(&largest), "{largest}");
    for _ in 0..3 {
        file.keep(&lock, checkpoint(1)).unwrap();
        assert_eq!(fs::read_to_string(state.checkpoint()).unwrap().lines().count(), 1);
    }
}

#[test]
fn a_line_that_was_cut_off_leaves_the_checkpoint_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let lock = state.lock_run().unwrap();
    let readings = [of_many_ports(1, 10), of_many_ports(1, 20), of_many_ports(1, 30)];
    let mut file = CheckpointFile::default();
    let mut lengths = Vec::new();
    for reading in &readings {
        file.keep(&lock, reading.clone()).unwrap();
        lengths.push(fs::metadata(state.checkpoint()).unwrap().len() as usize);
    }
    let bytes = fs::read(state.checkpoint()).unwrap();
    for length in lengths[0]..=bytes.len() {
        fs::write(state.checkpoint(), &bytes[..length]).unwrap();
        let whole = lengths.iter().filter(|end| **end <= length).count();
        assert_eq!(read(&state).unwrap().as_ref(), Some(&readings[whole - 1]), "cut at {length}");
        // The same with zeros in the place of what was not written.
        let mut zeros = bytes[..length].to_vec();
        zeros.resize(bytes.len(), 0);
        fs::write(state.checkpoint(), zeros).unwrap();
        assert_eq!(read(&state).unwrap().as_ref(), Some(&readings[whole - 1]), "zeros from {length}");
    }
    // Damage before other lines is not the end of the file. A line that belongs to another file is not one of this one.
    let text = String::from_utf8(bytes).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let damaged = [
        format!("{}{}{}", lines[0], lines[1].replace("step", "stop"), lines[2]),
        format!("{}{}{}", lines[0].replace("[11,", "[12,"), lines[1], lines[2]),
        format!("{}{}{}", lines[0], lines[2], lines[1]),
        lines[1].to_owned(),
    ];
    for text in damaged {
        fs::write(state.checkpoint(), &text).unwrap();
        assert!(matches!(read(&state), Err(StoreError::Damaged { .. })), "{text}");
    }
}

#[test]
fn a_file_that_somebody_changed_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let lock = state.lock_run().unwrap();
    let mut file = CheckpointFile::default();
    file.keep(&lock, of_many_ports(1, 10)).unwrap();
    let older = fs::read(state.checkpoint()).unwrap();
    let changes: [&dyn Fn(); 3] =
        [&|| fs::remove_file(state.checkpoint()).unwrap(), &|| fs::write(state.checkpoint(), "").unwrap(), &|| {
            fs::write(state.checkpoint(), [&older[..], b"{"].concat()).unwrap()
        }];
    for (bytes, change) in (20..).zip(changes) {
        change();
        file.keep(&lock, of_many_ports(1, bytes)).unwrap();
        assert_eq!(read(&state).unwrap(), Some(of_many_ports(1, bytes)));
    }
}

#[test]
fn after_any_fault_while_appending_there_is_the_old_checkpoint_or_the_new_one() {
    let readings = [of_many_ports(1, 10), of_many_ports(1, 20), of_many_ports(1, 30), of_many_ports(2, 30)];
    at_every_operation(
        |_| {},
        |state, _| {
            let mut file = CheckpointFile::default();
            let lock = state.lock_run()?;
            let mut kept = None;
            for reading in &readings {
                // If it fails, the next one is tried as usual.
                if file.keep(&lock, reading.clone()).is_ok() {
                    kept = Some(reading.clone());
                }
            }
            Ok::<_, StoreError>(kept)
        },
        |after| {
            let Ok(kept) = &after.outcome else { return };
            let found = read(&after.state).unwrap();
            let position = |reading: &Option<Checkpoint>| {
                reading.as_ref().map(|reading| readings.iter().position(|one| one == reading).expect("one of them"))
            };
            assert!(position(&found) >= position(kept), "{after:?}: {found:?}");
        },
    );
}

#[test]
fn steps_that_another_program_wrote_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let corpus = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/state").join(name);
        // The first byte is the fuzzer's.
        fs::write(state.checkpoint(), &fs::read(path).unwrap()[1..]).unwrap();
        read(&state)
    };
    // Port n begins with 10 n bytes in one packet. Port 8 moved 1,500 bytes in one packet; port 60 300 bytes, and its
    // last number increased by 2^40.
    let found = corpus("checkpoint-steps").unwrap().unwrap();
    assert_eq!(found.totals[&7], [70, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(found.totals[&8], [1_580, 2, 0, 0, 0, 0, 0, 0]);
    assert_eq!(found.totals[&60], [900, 1, 0, 0, 0, 0, 0, 1 << 40]);
    assert_eq!((found.totals.len(), found.gaps.len(), found.seq), (60, 1, 7));
    assert_eq!(found.at.to_rfc3339(), "2026-10-05T13:01:30+08:00");
    let torn = corpus("checkpoint-step-torn").unwrap().unwrap();
    assert_eq!((torn.totals[&8][0], torn.at.to_rfc3339().as_str()), (80, "2026-10-05T13:00:30+08:00"));
    // A last line that does not belong here is like one that is not complete.
    assert_eq!(corpus("checkpoint-step-of-another").unwrap().unwrap(), torn);
    assert!(matches!(corpus("checkpoint-step-overflow"), Err(StoreError::Damaged { .. })));
}

fn lines(state: &StateDir) -> Vec<String> {
    fs::read_to_string(state.checkpoint()).unwrap().lines().map(|line| format!("{line}\n")).collect()
}

#[test]
fn what_does_not_only_continue_the_last_checkpoint_replaces_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let lock = state.lock_run().unwrap();
    let first = of_many_ports(1, 10);
    let start = Some(first.at - chrono::Duration::hours(1));
    for next in [
        Checkpoint { seq: 2, ..first.clone() },
        Checkpoint { epoch: "boot-2".into(), ..first.clone() },
        Checkpoint { start, ..first.clone() },
        Checkpoint { start_boot_ms: Some(7), ..first.clone() },
    ] {
        let mut file = CheckpointFile::default();
        file.keep(&lock, first.clone()).unwrap();
        file.keep(&lock, next.clone()).unwrap();
        assert_eq!((read(&state).unwrap(), lines(&state).len()), (Some(next), 1));
    }
}

#[test]
fn a_file_that_is_forgotten_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let lock = state.lock_run().unwrap();
    let mut file = CheckpointFile::default();
    file.keep(&lock, of_many_ports(1, 10)).unwrap();
    file.keep(&lock, of_many_ports(1, 20)).unwrap();
    assert_eq!(lines(&state).len(), 2);
    file.forget();
    file.keep(&lock, of_many_ports(1, 30)).unwrap();
    assert_eq!(lines(&state).len(), 1);
}

#[test]
fn lines_are_appended_from_forty_nine_ports_on() {
    for (ports, expected) in [(48, 1), (49, 2)] {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::new(dir.path());
        let lock = state.lock_run().unwrap();
        let of_ports = |bytes| {
            let mut checkpoint = of_many_ports(1, bytes);
            checkpoint.totals.retain(|port, _| *port <= ports);
            checkpoint
        };
        let mut file = CheckpointFile::default();
        file.keep(&lock, of_ports(10)).unwrap();
        file.keep(&lock, of_ports(20)).unwrap();
        assert_eq!(lines(&state).len(), expected, "{ports}");
    }
}

#[test]
fn a_later_line_of_another_version_or_kind_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    let lock = state.lock_run().unwrap();
    let mut file = CheckpointFile::default();
    file.keep(&lock, of_many_ports(1, 10)).unwrap();
    file.keep(&lock, of_many_ports(1, 20)).unwrap();
    let written = lines(&state);
    for (from, to, bytes) in [
        (r#"{"v":1,"#, r#"{"v":1,"#, 20),
        (r#"{"v":1,"#, r#"{"v":2,"#, 10),
        (r#""kind":"step""#, r#""kind":"seal""#, 10),
    ] {
        let (body, _) = written[1].rsplit_once(",\"check\":").unwrap();
        let changed = seal::with_check(&format!("{}}}", body.replacen(from, to, 1)));
        fs::write(state.checkpoint(), format!("{}{changed}\n", written[0])).unwrap();
        assert_eq!(read(&state).unwrap(), Some(of_many_ports(1, bytes)), "{to}");
    }
}
