use super::*;
use crate::ledger::record::VERSION;
use crate::testing::fixtures;
use crate::testing::sweep::at_every_operation;

fn grant(bytes: i64) -> GrantLine {
    let at = chrono::DateTime::parse_from_rfc3339("2026-10-05T13:00:00+08:00").unwrap();
    let month = "2026-10".parse().unwrap();
    GrantLine { v: VERSION, kind: Kind::Grant, at, month, user: "ada".to_owned(), bytes }
}

#[test]
fn what_was_granted_is_read_again_in_its_order() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    assert!(read(&state).unwrap().lines.is_empty());
    let lock = state.lock_grants().unwrap();
    append(&lock, &grant(50)).unwrap();
    append(&lock, &grant(-20)).unwrap();
    assert_eq!(read(&state).unwrap().lines, [grant(50), grant(-20)]);
}

#[test]
fn after_any_fault_former_grants_are_there_and_what_was_acknowledged_too() {
    let operations = at_every_operation(
        |state| append(&state.lock_grants().unwrap(), &grant(50)).unwrap(),
        |state, _| append(&state.lock_grants()?, &grant(70)),
        |after| {
            // A later grant succeeds, whatever happened to the one before.
            append(&after.state.lock_grants().unwrap(), &grant(3)).unwrap();
            let content = read(&after.state).unwrap();
            let bytes: Vec<i64> = content.lines.iter().map(|line| line.bytes).collect();
            assert_eq!(content.damages, [], "{after:?}");
            assert!(bytes == [50, 70, 3] || after.outcome.is_err() && bytes == [50, 3], "{after:?}: {bytes:?}");
        },
    );
    assert!(operations >= 6, "opening and appending took {operations} operations");
}

#[test]
fn a_damaged_line_is_named_and_the_others_count() {
    let dir = fixtures::dir();
    let state = StateDir::new(dir.path());
    let lock = state.lock_grants().unwrap();
    append(&lock, &grant(50)).unwrap();
    let mut file = std::fs::File::options().append(true).open(state.grants()).unwrap();
    std::io::Write::write_all(&mut file, b"?\n").unwrap();
    append(&lock, &grant(-20)).unwrap();
    let content = read(&state).unwrap();
    assert_eq!(content.lines, [grant(50), grant(-20)]);
    let [damage] = &content.damages[..] else { panic!("{:?}", content.damages) };
    assert_eq!((&damage.path, damage.line, damage.lines), (&state.grants(), 2, 1));
    assert_eq!(damage.what, "expected value at line 1 column 1");
}
