//! A ledger of single lines. It is append-only, each line has its own checksum, and a line is synced before anything
//! relies on it.

use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::append::Appender;
use super::damage::{Damage, keep_torn};
use super::error::StoreError;
use super::layout::StateDir;
use super::lines::Lines;
use crate::guarded::open_to_read;
use crate::ledger::record::{Kind, VERSION};
use crate::ledger::seal;

/// Maximum length of a line.
const MAX_LINE_BYTES: usize = 64 << 10;

/// A line of a ledger.
pub trait LedgerLine: Serialize + DeserializeOwned {
    /// The kind of this ledger's lines.
    const KIND: Kind;

    /// The version and the kind stated in the line.
    fn identity(&self) -> (u32, Kind);
}

/// The content of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerContent<L> {
    /// The lines in file order.
    pub lines: Vec<L>,
    /// Lines that cannot be read.
    pub damages: Vec<Damage>,
}

/// A ledger opened for writing.
#[derive(Debug)]
pub struct Ledger {
    state: StateDir,
    appender: Appender,
}

impl Ledger {
    /// Opens the ledger at `path`, whose lock the caller holds. An unfinished last line is copied to a separate file
    /// and then cut off. Nothing relied on that line, because lines are synced first.
    ///
    /// # Errors
    /// When the file cannot be read, cut or synced.
    pub(super) fn open<L: LedgerLine>(state: &StateDir, path: PathBuf) -> Result<(Self, LedgerContent<L>), StoreError> {
        let (content, whole, length) = scan(&path)?;
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
        Ok((Self { state: state.clone(), appender }, content))
    }

    /// Writes a line, and waits until it is on disk.
    ///
    /// # Errors
    /// When the line cannot be written. The same line may be tried again.
    pub(super) fn append<L: LedgerLine>(&mut self, line: &L) -> Result<(), StoreError> {
        let json = serde_json::to_string(line).expect("a line of a ledger has only strings and integers");
        let bytes = seal::with_check(&json) + "\n";
        self.appender.append(self.state.disk(), bytes.as_bytes())
    }
}

/// Reads a ledger without the right to write it. An unfinished last line is ignored. A missing file counts as empty.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn read<L: LedgerLine>(path: &Path) -> Result<LedgerContent<L>, StoreError> {
    scan(path).map(|(content, _, _)| content)
}

/// The lines, the number of bytes up to the last newline, and the size of the file.
fn scan<L: LedgerLine>(path: &Path) -> Result<(LedgerContent<L>, u64, u64), StoreError> {
    let mut content = LedgerContent { lines: Vec::new(), damages: Vec::new() };
    let reader = match open_to_read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((content, 0, 0)),
        other => BufReader::new(other.map_err(StoreError::io("open", path))?),
    };
    let mut lines = Lines::new(reader, MAX_LINE_BYTES);
    let mut whole = 0;
    while let Some(line) = lines.next_line().map_err(StoreError::io("read", path))? {
        if !line.is_finished {
            return Ok((content, whole, whole + line.length));
        }
        whole += line.length;
        match line.text.map_or_else(|| Err(format!("more than {MAX_LINE_BYTES} bytes")), parse) {
            Ok(line) => content.lines.push(line),
            Err(what) => {
                let damage = Damage { path: path.to_owned(), line: line.number, lines: 1, span: None, what };
                content.damages.push(damage);
            }
        }
    }
    Ok((content, whole, whole))
}

fn parse<L: LedgerLine>(bytes: &[u8]) -> Result<L, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    if seal::check_holds(text) == Some(false) {
        return Err("its check does not match".into());
    }
    let line: L = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if line.identity() == (VERSION, L::KIND) { Ok(line) } else { Err("of an unknown kind or version".into()) }
}
