//! Reads the beginning and the end of an hourly file without the rest.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;

use crate::guarded::open_to_read;
use crate::ledger::block::MAX_LINE_BYTES;
use crate::ledger::record::{Kind, Quality};
use crate::ledger::seal::check_holds;

/// What the last line claims. The lines before it are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tail {
    Empty,
    /// The seal of an imported bucket, which has no number.
    Imported,
    /// A seal with its number.
    Seal(u64),
    /// Neither: a crash has left an unfinished end, or the line is damaged.
    Doubtful,
}

/// Reads the last line of `path`.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn last(path: &Path) -> io::Result<Tail> {
    let mut file = open_to_read(path)?;
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(Tail::Empty);
    }
    Ok(match last_line(&mut file, length)?.and_then(|line| claim(&line)) {
        Some(Claim { seq: Some(seq), .. }) => Tail::Seal(seq),
        Some(Claim { quality: Some(Quality::Import), .. }) => Tail::Imported,
        Some(_) | None => Tail::Doubtful,
    })
}

/// The `seq` that the first seal in `path` claims. `None` if there is no seal or it has none.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn first_seq(path: &Path) -> io::Result<Option<u64>> {
    let mut reader = BufReader::new(open_to_read(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = MAX_LINE_BYTES as u64;
        if reader.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if let Some(claim) = claim(&line) {
            return Ok(claim.seq);
        }
    }
}

/// The last line. `None` if it is unfinished, or longer than any line of ours.
fn last_line(file: &mut File, length: u64) -> io::Result<Option<Vec<u8>>> {
    for reach in [4 << 10, 64 << 10, MAX_LINE_BYTES as u64] {
        let from = length.saturating_sub(reach);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(reach).read_to_end(&mut bytes)?;
        if bytes.pop() != Some(b'\n') {
            return Ok(None);
        }
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => return Ok(Some(bytes.split_off(newline + 1))),
            None if from == 0 => return Ok(Some(bytes)),
            None => {}
        }
    }
    Ok(None)
}

#[derive(Deserialize)]
struct Claim {
    kind: Kind,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default)]
    quality: Option<Quality>,
}

/// The claims of a seal, unless it has a checksum and that is wrong. `None` if the line is not a seal.
fn claim(line: &[u8]) -> Option<Claim> {
    let text = std::str::from_utf8(line).ok().filter(|text| check_holds(text) != Some(false))?;
    serde_json::from_str(text).ok().filter(|claim: &Claim| claim.kind == Kind::Seal)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "edge: files")]
mod tests;
