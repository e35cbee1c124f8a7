//! `notices.jsonl`: the ledger of notices. It is synced before and after each notice is handed over.

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

/// The ledger, opened for writing.
#[derive(Debug)]
pub struct Notices {
    ledger: Ledger,
}

impl Notices {
    /// Opens the ledger and returns its content.
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
    /// When the step cannot be written. The notice must not be handed over then.
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
mod tests;
