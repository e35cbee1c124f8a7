//! `checkpoint.json`: the newest reading, needed if the counters are lost.
//!
//! The first line has the reading in full. With many ports, later readings are appended as what moved since the line
//! before, so that little is written every 30 seconds.

mod moved;

use serde::{Deserialize, Serialize};

use super::append::Appender;
use super::document;
use super::error::StoreError;
use super::layout::StateDir;
use super::lock::RunLock;
use crate::ledger::counters::Others;
use crate::ledger::record::{Checkpoint, Gap, Kind, VERSION};
use crate::ledger::seal;

/// With fewer ports, the file is replaced every time: its size is below that of a block of the disk.
const FEW_PORTS: usize = 48;

/// How large the file may become before it is replaced, for each port: several times what a port takes in full.
const MOST_BYTES_PER_PORT: u64 = 512;

/// Durably replaces the former checkpoint with `checkpoint`.
///
/// # Errors
/// When the file cannot be replaced. The former one may still be there.
pub fn write(lock: &RunLock, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    let state = lock.state();
    document::write(state.disk(), &state.checkpoint(), checkpoint)
}

/// The newest checkpoint; `None` if there is none.
///
/// A line at the end that is not complete was not written to its end; the checkpoint before it applies.
///
/// # Errors
/// [`StoreError::Damaged`] if it cannot be trusted: the caller should report that and continue without it.
/// [`StoreError::Io`].
pub fn read(state: &StateDir) -> Result<Option<Checkpoint>, StoreError> {
    let path = state.checkpoint();
    let Some(bytes) = document::read_bytes(&path)? else { return Ok(None) };
    let damaged = |what| StoreError::Damaged { path: path.clone(), what, source: None };
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').peekable();
    let text = |line| std::str::from_utf8(line).map_err(|_| damaged("not UTF-8"));
    let mut last = text(lines.next().unwrap_or_default())?;
    let mut checkpoint: Checkpoint = document::parse(&path, last)?;
    while let Some(line) = lines.next() {
        let step = text(line).ok().filter(|line| line.ends_with('\n')).and_then(|line| Step::parse(line, last));
        match step {
            Some((line, step)) => {
                step.apply(&mut checkpoint).ok_or_else(|| damaged("a later line does not fit the first"))?;
                last = line;
            }
            None if lines.peek().is_none() => break,
            None => return Err(damaged("a line between others is not complete")),
        }
    }
    Ok(Some(checkpoint))
}

/// The file as this process has written it.
#[derive(Debug, Default)]
pub struct CheckpointFile(Option<Written>);

#[derive(Debug)]
struct Written {
    checkpoint: Checkpoint,
    /// The `check` of the last line.
    check: String,
    file: Appender,
    bytes: u64,
}

impl CheckpointFile {
    /// Durably stores `checkpoint` in the place of the one before.
    ///
    /// # Errors
    /// When the file can neither be appended to nor replaced. The former checkpoint may still be there.
    pub fn keep(&mut self, lock: &RunLock, checkpoint: Checkpoint) -> Result<&Checkpoint, StoreError> {
        let state = lock.state();
        // After a failure, or if somebody changed the file, it is replaced.
        if let Some(mut written) = self.0.take()
            && let Some(line) = written.next_line(&checkpoint)
        {
            match written.file.append(state.disk(), line.as_bytes()) {
                Ok(()) => {
                    let (check, bytes) = (check_of(&line).to_owned(), written.bytes + line.len() as u64);
                    return Ok(&self.0.insert(Written { checkpoint, check, bytes, ..written }).checkpoint);
                }
                Err(error) => tracing::debug!(%error, "the checkpoint is replaced"),
            }
        }
        let line = document::line(&checkpoint);
        document::write_line(state.disk(), &state.checkpoint(), &line)?;
        let bytes = line.len() as u64;
        let file = Appender::new(state.checkpoint(), bytes);
        let check = check_of(&line).to_owned();
        Ok(&self.0.insert(Written { checkpoint, check, file, bytes }).checkpoint)
    }

    /// The file is no longer there, or no longer the same.
    pub fn forget(&mut self) {
        self.0 = None;
    }
}

impl Written {
    /// The line to be appended for `next`; `None` if the file has to be replaced.
    fn next_line(&self, next: &Checkpoint) -> Option<String> {
        if next.totals.len() <= FEW_PORTS {
            return None;
        }
        let step = Step::between(&self.checkpoint, next, &self.check)?;
        let json = serde_json::to_string(&step).expect("a step has only text, integers and text as keys");
        let line = seal::with_check(&json) + "\n";
        let most = MOST_BYTES_PER_PORT * next.totals.len() as u64;
        (self.bytes + line.len() as u64 <= most).then_some(line)
    }
}

/// A later line of the file: what changed since the line before.
#[derive(Debug, Serialize, Deserialize)]
struct Step {
    v: u32,
    kind: Kind,
    /// The `check` of the line before.
    after: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot_ms: Option<u64>,
    #[serde(with = "crate::ledger::record::stamp")]
    at: chrono::DateTime<chrono::FixedOffset>,
    /// See [`moved`].
    moved: String,
    /// Cumulative; absent if nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    other_total: Option<Others>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    gaps: Vec<Gap>,
}

impl Step {
    /// `None` if `next` does not only continue `last`.
    fn between(last: &Checkpoint, next: &Checkpoint, after: &str) -> Option<Self> {
        let identity = |checkpoint: &Checkpoint| (checkpoint.seq, checkpoint.start, checkpoint.start_boot_ms);
        if identity(last) != identity(next) || last.epoch != next.epoch {
            return None;
        }
        Some(Self {
            v: VERSION,
            kind: Kind::Step,
            after: after.to_owned(),
            boot_ms: next.boot_ms,
            at: next.at,
            moved: moved::between(&last.totals, &next.totals)?,
            other_total: (last.other_total != next.other_total).then_some(next.other_total),
            gaps: next.gaps.clone(),
        })
    }

    /// The line and what it says; `None` if it is not a whole line that follows `last`.
    fn parse<'a>(line: &'a str, last: &str) -> Option<(&'a str, Self)> {
        if seal::check_holds(line) != Some(true) {
            return None;
        }
        let step: Self = serde_json::from_str(line).ok()?;
        let follows = step.v == VERSION && step.kind == Kind::Step && step.after == check_of(last);
        follows.then_some((line, step))
    }

    /// Turns the reading of the line before into that of this line; `None` if that is impossible.
    fn apply(self, checkpoint: &mut Checkpoint) -> Option<()> {
        moved::add(&self.moved, &mut checkpoint.totals)?;
        (checkpoint.boot_ms, checkpoint.at, checkpoint.gaps) = (self.boot_ms, self.at, self.gaps);
        if let Some(other_total) = self.other_total {
            checkpoint.other_total = other_total;
        }
        Some(())
    }
}

/// The `check` of a line; empty if it has none.
fn check_of(line: &str) -> &str {
    let check = line.trim_end().strip_suffix("\"}").and_then(|line| line.rsplit_once("\"check\":\""));
    check.map_or("", |(_, check)| check)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
