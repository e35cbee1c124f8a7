//! `sent.jsonl`: the mail ledger. It is append-only, and synced before and after each letter is handed over.

use std::io::{self, BufReader};

use super::append::Appender;
use super::damage::{Damage, keep_torn};
use super::error::StoreError;
use super::layout::StateDir;
use super::lines::Lines;
use super::lock::ReportLock;
use crate::guarded::open_to_read;
use crate::ledger::record::{Kind, MailLine, VERSION};
use crate::ledger::seal;

/// Maximum length of a line.
const MAX_LINE_BYTES: usize = 64 << 10;

/// Maximum length of a reply in characters. JSON needs up to six bytes per character and the rest of a line is short,
/// so that lines stay below the limit of the reader.
const MOST_REPLY_CHARS: usize = 4 << 10;

/// The ledger, opened for writing.
#[derive(Debug)]
pub struct Sent {
    state: StateDir,
    appender: Appender,
}

/// The content of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The lines in file order. The last line about a letter applies.
    pub lines: Vec<MailLine>,
    /// Lines that can no longer be read. It is unknown which letters they are about, so no letter may be sent again
    /// without asking.
    pub damages: Vec<Damage>,
}

impl Sent {
    /// Opens the ledger. An unfinished last line is copied to a separate file and then cut off: either its letter was
    /// not handed over, or its `sending` line is still there without an outcome.
    ///
    /// # Errors
    /// When the file cannot be read, cut or synced.
    pub fn open(lock: &ReportLock) -> Result<(Self, History), StoreError> {
        let state = lock.state();
        let path = state.sent();
        let (history, whole, length) = scan(state)?;
        if length > whole {
            let aside = keep_torn(state.disk(), &path, whole..length)?;
            tracing::warn!(
                path = %path.display(), aside = %aside.display(),
                "the last line was unfinished and was cut off"
            );
            let mut handle = state.disk().open(&path).map_err(StoreError::io("open", &path))?;
            handle.truncate(whole).map_err(StoreError::io("cut", &path))?;
        }
        let mut appender = Appender::new(path, whole);
        if whole > 0 {
            appender.settle(state.disk())?;
        }
        Ok((Self { state: state.clone(), appender }, history))
    }

    /// Reads the ledger without the right to write it. An unfinished last line is ignored.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(state: &StateDir) -> Result<History, StoreError> {
        scan(state).map(|(history, _, _)| history)
    }

    /// Writes one step of one letter, and waits until it is on disk.
    ///
    /// # Errors
    /// When the step cannot be written. The letter must not be handed over then. The same line may be tried again.
    pub fn append(&mut self, line: &MailLine) -> Result<(), StoreError> {
        let mut line = line.clone();
        if let Some(reply) = &mut line.reply
            && let Some((end, _)) = reply.char_indices().nth(MOST_REPLY_CHARS)
        {
            reply.truncate(end);
        }
        let json = serde_json::to_string(&line).expect("a mail line has only strings and integers");
        let bytes = seal::with_check(&json) + "\n";
        self.appender.append(self.state.disk(), bytes.as_bytes())
    }
}

/// The lines, the number of bytes up to the last newline, and the size of the file.
fn scan(state: &StateDir) -> Result<(History, u64, u64), StoreError> {
    let path = state.sent();
    let mut history = History::default();
    let reader = match open_to_read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((history, 0, 0)),
        other => BufReader::new(other.map_err(StoreError::io("open", &path))?),
    };
    let mut lines = Lines::new(reader, MAX_LINE_BYTES);
    let mut whole = 0;
    while let Some(line) = lines.next_line().map_err(StoreError::io("read", &path))? {
        if !line.is_finished {
            return Ok((history, whole, whole + line.length));
        }
        whole += line.length;
        match line.text.map_or_else(|| Err(format!("more than {MAX_LINE_BYTES} bytes")), parse) {
            Ok(line) => history.lines.push(line),
            Err(what) => {
                history.damages.push(Damage { path: path.clone(), line: line.number, lines: 1, span: None, what });
            }
        }
    }
    Ok((history, whole, whole))
}

fn parse(bytes: &[u8]) -> Result<MailLine, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    if seal::check_holds(text) == Some(false) {
        return Err("its check does not match".into());
    }
    let line: MailLine = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if line.v == VERSION && line.kind == Kind::Mail { Ok(line) } else { Err("of an unknown kind or version".into()) }
}

#[cfg(test)]
mod tests;
