//! The laws that the readers of the small files in the state directory obey for every text. The fuzzer searches for a
//! text that breaks one, and a test checks all texts in the corpus.

use std::fs;
use std::path::Path;

use flow_agent::ledger::month::Month;
use flow_agent::ledger::record::Checkpoint;
use flow_agent::ledger::statement::MonthlyReport;
use flow_agent::store::checkpoint::CheckpointFile;
use flow_agent::store::notices::Notices;
use flow_agent::store::sent::Sent;
use flow_agent::store::{StateDir, StoreError, checkpoint, grants, instance, ports, reports, ship};

/// Checks the laws for the file selected by the first byte, and panics if one is broken. `root` is an empty directory.
pub fn hold(root: &Path, input: &[u8]) {
    let Some((first, text)) = input.split_first() else { return };
    let state = StateDir::new(root);
    let month: Month = "2026-10".parse().expect("a month");
    match first % 8 {
        0 => {
            document(&state, &state.checkpoint(), text, checkpoint::read, |state, value| {
                checkpoint::write(&state.lock_run()?, value)
            });
            if let Some(value) = refused_or_read(checkpoint::read(&state)).flatten() {
                appended(&state, value);
            }
        }
        1 => {
            document(&state, &state.ports(), text, ports::read, |state, value| ports::write(&state.lock_run()?, value))
        }
        2 => {
            let path = state.reports(month).join("report.json");
            fs::create_dir_all(state.reports(month)).expect("the directory is ours");
            let read = |state: &StateDir| reports::read_report(state, month);
            document::<MonthlyReport>(&state, &path, text, read, |state, report| {
                reports::write_report(&state.lock_report()?, report)
            });
        }
        3 => {
            put(&state.sent(), text);
            let history = Sent::read(&state).expect("a damaged ledger is read as far as it goes");
            // Opening it for writing gives the same content, and removes an unfinished line.
            let (_, opened) = Sent::open(&state.lock_report().expect("nobody else")).expect("it can be repaired");
            assert_eq!(opened, history);
            assert_eq!(Sent::read(&state).expect("it was repaired"), history);
        }
        4 => {
            put(&state.notices(), text);
            let content = Notices::read(&state).expect("a damaged ledger is read as far as it goes");
            let lines = text.iter().filter(|byte| **byte == b'\n').count();
            assert!(content.lines.len() + content.damages.len() <= lines + 1);
        }
        5 => {
            put(&state.grants(), text);
            let content = grants::read(&state).expect("a damaged ledger is read as far as it goes");
            let lines = text.iter().filter(|byte| **byte == b'\n').count();
            assert!(content.lines.len() + content.damages.len() <= lines + 1);
        }
        6 => {
            fs::create_dir_all(state.ship_dir()).expect("the directory is ours");
            put(&state.ship(), text);
            refused_or_read(ship::read(&state));
        }
        _ => {
            put(&state.instance(), text);
            refused_or_read(instance::read(&state));
        }
    }
}

/// A later reading that is stored after `value` is read as that reading, whether it is appended or replaces the file.
fn appended(state: &StateDir, value: Checkpoint) {
    let mut next = value.clone();
    next.totals.values_mut().step_by(2).for_each(|total| total[0] = total[0].saturating_add(300));
    next.totals.entry(443).or_default()[7] = u64::MAX;
    let lock = state.lock_run().expect("nobody else");
    let mut file = CheckpointFile::default();
    for reading in [value, next] {
        file.keep(&lock, reading.clone()).expect("it can be written");
        assert_eq!(checkpoint::read(state).expect("it was just written"), Some(reading));
    }
}

fn put(path: &Path, text: &[u8]) {
    fs::write(path, text).expect("the directory is ours");
}

/// The only error permitted for an existing file of ours is that its content is damaged.
fn refused_or_read<T>(read: Result<T, StoreError>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(StoreError::Damaged { .. }) => None,
        Err(other) => panic!("{other}"),
    }
}

/// A value that was read and is written again is read as the same value.
fn document<T: PartialEq + std::fmt::Debug>(
    state: &StateDir,
    path: &Path,
    text: &[u8],
    read: impl Fn(&StateDir) -> Result<Option<T>, StoreError>,
    write: impl Fn(&StateDir, &T) -> Result<(), StoreError>,
) {
    put(path, text);
    if let Some(value) = refused_or_read(read(state)) {
        let value = value.expect("the file is there");
        write(state, &value).expect("it can be written");
        assert_eq!(read(state).expect("it was just written"), Some(value));
    }
}
