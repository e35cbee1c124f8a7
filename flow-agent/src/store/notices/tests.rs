use super::*;
use crate::ledger::limits::notice::{NoticeEvent, Subject};
use crate::ledger::record::{MailState, VERSION};
use crate::testing::sweep::at_every_operation;

fn line(channel: &str, state: MailState) -> NoticeLine {
    let month = "2026-10".parse().unwrap();
    let user = Some("ada".to_owned());
    NoticeLine {
        v: VERSION,
        kind: Kind::Notice,
        at: chrono::DateTime::parse_from_rfc3339("2026-10-05T13:00:00+08:00").unwrap(),
        subject: Subject {
            month,
            user,
            event: NoticeEvent::Warn,
            level: Some(80),
            node: None,
            day: None,
            quota_bytes: None,
        },
        channel: channel.to_owned(),
        state,
        reply: None,
    }
}

fn begun(state: &StateDir) {
    let (mut notices, _) = Notices::open(&state.lock_notices().unwrap()).unwrap();
    notices.append(&line("a", MailState::Sending)).unwrap();
}

#[test]
fn after_any_fault_the_steps_before_are_there_and_what_was_acknowledged_too() {
    let operations = at_every_operation(
        begun,
        |state, _| {
            let (mut notices, _) = Notices::open(&state.lock_notices()?)?;
            notices.append(&line("a", MailState::Sent))
        },
        |after| {
            let (mut notices, content) = Notices::open(&after.state.lock_notices().unwrap()).unwrap();
            let states: Vec<MailState> = content.lines.iter().map(|line| line.state).collect();
            assert_eq!(content.damages, [], "{after:?}");
            let is_whole = states == [MailState::Sending, MailState::Sent];
            assert!(is_whole || after.outcome.is_err() && states == [MailState::Sending], "{after:?}: {states:?}");
            notices.append(&line("b", MailState::Sending)).unwrap();
        },
    );
    assert!(operations >= 6, "opening and appending took {operations} operations");
}

#[test]
fn a_long_reply_is_cut_and_the_line_can_be_read_again() {
    let dir = crate::testing::fixtures::dir();
    let state = StateDir::new(dir.path());
    let (mut notices, _) = Notices::open(&state.lock_notices().unwrap()).unwrap();
    let reply = Some("坏".repeat(100_000));
    notices.append(&NoticeLine { reply, ..line("a", MailState::Failed) }).unwrap();
    let content = Notices::read(&state).unwrap();
    assert_eq!(content.lines[0].reply.as_ref().map(|reply| reply.chars().count()), Some(MOST_REPLY_CHARS));
}

#[test]
fn a_ledger_that_is_only_opened_is_not_made() {
    let dir = crate::testing::fixtures::dir();
    let state = StateDir::new(dir.path());
    let (_, content) = Notices::open(&state.lock_notices().unwrap()).unwrap();
    assert!(content.lines.is_empty() && !state.notices().exists());
}
