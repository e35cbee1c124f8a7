//! The mail ledger under faults and flipped bits.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::fs;

use chrono::DateTime;

use super::*;
use crate::ledger::record::MailState;
use crate::testing::crash_disk::Fault;
use crate::testing::sweep::at_every_operation;

fn line(user: &str, state: MailState) -> MailLine {
    MailLine {
        v: VERSION,
        kind: Kind::Mail,
        at: DateTime::parse_from_rfc3339("2026-11-01T00:11:00+08:00").unwrap(),
        month: "2026-10".into(),
        user: Some(user.into()),
        rev: 0,
        message_id: format!("<2026-10.{user}.0@hk-1>"),
        state,
        reply: None,
        permanent: false,
    }
}

/// A ledger of two lines.
fn two(state: &StateDir) {
    let (mut sent, _) = Sent::open(&state.lock_report().unwrap()).unwrap();
    sent.append(&line("a", MailState::Sending)).unwrap();
    sent.append(&line("a", MailState::Sent)).unwrap();
}

fn users(history: &History) -> Vec<&str> {
    history.lines.iter().map(|line| line.user.as_deref().unwrap()).collect()
}

#[test]
fn after_any_fault_the_lines_before_are_there_and_what_was_acknowledged_too() {
    let operations = at_every_operation(
        two,
        |state, _| {
            let (mut sent, _) = Sent::open(&state.lock_report()?)?;
            sent.append(&line("b", MailState::Sending))
        },
        |after| {
            let (mut sent, history) = Sent::open(&after.state.lock_report().unwrap()).unwrap();
            assert_eq!(history.damages, [], "{after:?}");
            let found = users(&history);
            assert!(found == ["a", "a", "b"] || after.outcome.is_err() && found == ["a", "a"], "{after:?}: {found:?}");
            sent.append(&line("c", MailState::Sending)).unwrap();
            assert_eq!(users(&Sent::read(&after.state).unwrap()).last(), Some(&"c"));
        },
    );
    assert!(operations >= 6, "opening and appending took {operations} operations");
}

#[test]
fn a_line_that_failed_is_there_once_when_it_was_tried_again() {
    at_every_operation(
        two,
        |state, disk| {
            let lock = state.lock_report()?;
            let (mut sent, _) = match Sent::open(&lock) {
                Err(_) => {
                    disk.heal();
                    Sent::open(&lock)?
                }
                opened => opened?,
            };
            for state in [MailState::Sending, MailState::Sent] {
                if sent.append(&line("b", state)).is_err() {
                    disk.heal();
                    sent.append(&line("b", state))?;
                }
            }
            Ok(())
        },
        |after| {
            let (_, history) = Sent::open(&after.state.lock_report().unwrap()).unwrap();
            assert_eq!(history.damages, [], "{after:?}");
            // Only a process that dies does not succeed.
            assert!(after.outcome.is_ok() || after.fault == Fault::Die, "{after:?}");
            if after.outcome.is_ok() {
                assert_eq!(users(&history), ["a", "a", "b", "b"], "{after:?}");
            }
        },
    );
}

#[test]
fn a_ledger_cut_at_any_length_keeps_every_finished_line_and_the_rest_aside() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    two(&state);
    let bytes = fs::read(state.sent()).unwrap();
    let first = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for length in 0..bytes.len() {
        fs::write(state.sent(), &bytes[..length]).unwrap();
        let (_, history) = Sent::open(&state.lock_report().unwrap()).unwrap();
        let (lines, whole) = if length < first { (0, 0) } else { (1, first) };
        assert_eq!((history.lines.len(), history.damages.len()), (lines, 0), "cut at {length}");
        assert_eq!(fs::read(state.sent()).unwrap(), &bytes[..whole], "cut at {length}");
        let aside = dir.path().join("sent.jsonl.torn");
        assert_eq!(fs::read(&aside).unwrap_or_default(), &bytes[whole..length], "cut at {length}");
        if aside.exists() {
            fs::remove_file(aside).unwrap();
        }
    }
}

#[test]
fn a_flipped_bit_never_changes_who_was_mailed() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    two(&state);
    let bytes = fs::read(state.sent()).unwrap();
    let whole = Sent::read(&state).unwrap().lines;
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(state.sent(), &flipped).unwrap();
        let history = Sent::read(&state).unwrap();
        assert!(history.lines.iter().all(|line| whole.contains(line)), "bit {bit}: {:?}", history.lines);
        assert!(history.lines.len() == 2 || !history.damages.is_empty() || bit / 8 == bytes.len() - 1, "bit {bit}");
    }
}

#[test]
fn a_line_that_is_too_long_is_named_and_takes_no_memory_and_none_such_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::new(dir.path());
    two(&state);
    let file = fs::OpenOptions::new().append(true).open(state.sent()).unwrap();
    // 64 MiB of zeros in a sparse file, and a newline.
    let length = file.metadata().unwrap().len();
    file.set_len(length + (64 << 20)).unwrap();
    io::Write::write_all(&mut &file, b"\n").unwrap();
    let (mut sent, history) = Sent::open(&state.lock_report().unwrap()).unwrap();
    assert_eq!(users(&history), ["a", "a"]);
    assert_eq!((history.damages.len(), history.damages[0].line), (1, 3), "{:?}", history.damages);
    assert!(history.damages[0].what.contains("more than 65536 bytes"), "{:?}", history.damages);

    let reply = Some("\u{1}".repeat(1 << 20));
    sent.append(&MailLine { reply, ..line("b", MailState::Failed) }).unwrap();
    let history = Sent::read(&state).unwrap();
    assert_eq!((users(&history), history.damages.len()), (vec!["a", "a", "b"], 1));
}

#[test]
fn a_line_of_another_kind_or_version_is_named_and_not_taken_for_a_letter() {
    for other in [
        MailLine { v: VERSION + 1, ..line("b", MailState::Sent) },
        MailLine { kind: Kind::Notice, ..line("b", MailState::Sent) },
    ] {
        let dir = crate::testing::fixtures::dir();
        let state = StateDir::new(dir.path());
        two(&state);
        let (mut sent, _) = Sent::open(&state.lock_report().unwrap()).unwrap();
        sent.append(&other).unwrap();
        let history = Sent::read(&state).unwrap();
        assert_eq!(users(&history), ["a", "a"]);
        let [damage] = &history.damages[..] else { panic!("{:?}", history.damages) };
        assert_eq!((damage.line, damage.lines, &*damage.what), (3, 1, "of an unknown kind or version"));
    }
}

#[test]
fn a_ledger_that_is_only_opened_is_not_made() {
    let dir = crate::testing::fixtures::dir();
    let state = StateDir::new(dir.path());
    let (_, history) = Sent::open(&state.lock_report().unwrap()).unwrap();
    assert!(history == History::default() && !state.sent().exists());
}
