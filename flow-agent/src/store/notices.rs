//! `notices.jsonl`: the ledger of notices, synced before and after each is handed over.

use super::error::StoreError;
use super::layout::StateDir;
use super::ledger::{self, Ledger, LedgerContent, LedgerLine};
use super::lock::NoticesLock;
use crate::ledger::limits::notice::NoticeLine;
use crate::ledger::record::Kind;

/// Maximum length of a reply in characters, so that a line stays far below the limit of the reader.
const MOST_REPLY_CHARS: usize = 1 << 10;

impl LedgerLine for NoticeLine {
    const KIND: Kind = Kind::Notice;

    fn identity(&self) -> (u32, Kind) {
        (self.v, self.kind)
    }
}

/// The ledger, open for writing.
#[derive(Debug)]
pub struct Notices {
    ledger: Ledger,
}

impl Notices {
    /// Opens the ledger, and gives what it holds.
    ///
    /// # Errors
    /// When the file cannot be read, cut or synced.
    pub fn open(lock: &NoticesLock) -> Result<(Self, LedgerContent<NoticeLine>), StoreError> {
        let (ledger, content) = Ledger::open(lock.state(), lock.state().notices())?;
        Ok((Self { ledger }, content))
    }

    /// Reads the ledger without the right to write it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(state: &StateDir) -> Result<LedgerContent<NoticeLine>, StoreError> {
        ledger::read(&state.notices())
    }

    /// Writes one step of one notice, and waits until it is on disk.
    ///
    /// # Errors
    /// If it cannot be written; then the notice must not be handed over.
    pub fn append(&mut self, line: &NoticeLine) -> Result<(), StoreError> {
        let mut line = line.clone();
        if let Some(reply) = &mut line.reply
            && let Some((end, _)) = reply.char_indices().nth(MOST_REPLY_CHARS)
        {
            reply.truncate(end);
        }
        self.ledger.append(&line)
    }
}

#[cfg(test)]
mod tests {
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
}
