//! Finds the seals of a file without reading the lines between them.
//!
//! All lines of a block have the same beginning, so that the end of a block is found by bisection: a few kilobytes are
//! read of a block of several megabytes. This works only for files that look as this program writes them. Whatever
//! looks different, the caller has to read as a whole.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use chrono::NaiveDate;

use super::blocks::{Blocks, Item};
use super::error::StoreError;
use super::hours;
use super::layout::StateDir;
use crate::guarded::open_to_read;
use crate::ledger::block::{Block, BlockKind, Daily, Hourly, MAX_LINE_BYTES, read_seal};
use crate::ledger::seal::RunningSha256;

/// A seal, and the place of its block in the file. Its lines are not verified.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundSeal<K: BlockKind> {
    pub seal: K::Seal,
    /// The bytes of the block, seal and newline included.
    pub bytes: Range<u64>,
    /// How many of these bytes are the seal with its newline.
    pub seal_bytes: u64,
}

/// How much is read at once. A line that is not a seal is shorter.
const PROBE_BYTES: usize = 4 << 10;

/// The seals of the file in their order. `None` if there is no such file, or if anything in it looks different from
/// what this program writes: damage, an unfinished block, lines of another form.
///
/// # Errors
/// When the file cannot be read.
pub fn find<K: BlockKind>(path: &Path) -> Result<Option<Vec<FoundSeal<K>>>, StoreError> {
    let file = match open_to_read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(StoreError::io("open", path))?,
    };
    find_in(&file).map_err(StoreError::io("read", path))
}

/// The seals of the hourly log of a date; `None` also if a part of it is compressed.
///
/// # Errors
/// When the file cannot be read.
pub fn of_date(state: &StateDir, date: NaiveDate) -> Result<Option<Vec<FoundSeal<Hourly>>>, StoreError> {
    if state.hourly_compressed(date).exists() { Ok(None) } else { find(&state.hourly(date)) }
}

/// The names under which the days of the daily log were made, the oldest first. Files of another form are left out.
///
/// # Errors
/// When a file cannot be read.
pub fn nodes_of_days(state: &StateDir) -> Result<Vec<String>, StoreError> {
    let mut names: Vec<String> = Vec::new();
    for month in hours::tabled_months(state)? {
        for found in find::<Daily>(&state.daily(month))?.into_iter().flatten() {
            if !names.contains(&found.seal.node) {
                names.push(found.seal.node);
            }
        }
    }
    Ok(names)
}

/// The block of a seal that was found in the file at `path`; `None` if it is not whole.
///
/// # Errors
/// When the file cannot be read.
pub fn block<K: BlockKind>(path: &Path, found: &FoundSeal<K>) -> Result<Option<Block<K>>, StoreError> {
    let item = Blocks::<K>::open_at(path, found.bytes.start)?.and_then(|mut blocks| blocks.next()).transpose()?;
    Ok(match item {
        Some(Item::Block(block)) if block.block.seal == found.seal => Some(block.block),
        Some(Item::Block(_) | Item::Damage(_) | Item::Tail(_)) | None => None,
    })
}

/// Whether the lines of every block are those that its seal was made for. They are summed but not parsed, which takes a
/// fraction of the time that reading the blocks takes.
///
/// # Errors
/// When the file cannot be read.
pub fn are_intact<K: BlockKind>(path: &Path, found: &[FoundSeal<K>]) -> Result<bool, StoreError> {
    const CHUNK_BYTES: usize = 256 << 10;
    let sum = || -> io::Result<bool> {
        let file = open_to_read(path)?;
        for block in found {
            let (mut at, mut sum, mut last) = (block.bytes.start, RunningSha256::default(), Vec::new());
            // The seal is the last line, and is not summed.
            let lines_end = block.bytes.end - block.seal_bytes;
            while at < lines_end {
                let length = usize::try_from(lines_end - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
                last = read_at(&file, at, length)?;
                if last.is_empty() {
                    return Ok(false);
                }
                sum.add(&last);
                at += last.len() as u64;
            }
            let (_, sealed) = K::digest(&block.seal);
            if sum.hex() != sealed || last.last().is_some_and(|byte| *byte != b'\n') {
                return Ok(false);
            }
        }
        Ok(true)
    };
    sum().map_err(StoreError::io("read", path))
}

fn find_in<K: BlockKind>(file: &File) -> io::Result<Option<Vec<FoundSeal<K>>>> {
    let length = file.metadata()?.len();
    let (mut found, mut start, mut usual) = (Vec::new(), 0, PROBE_BYTES as u64);
    while start < length {
        let first = read_at(file, start, PROBE_BYTES)?;
        let Some(begin) = begin_of_lines::<K>(&first) else { return Ok(None) };
        let at = if begin.is_empty() { start } else { end_of_lines(file, begin, start..length, usual)? };
        let Some(line) = line_at(file, at)? else { return Ok(None) };
        let Ok(seal) = read_seal::<K>(&line) else { return Ok(None) };
        let has_lines = K::digest(&seal).0 > 0;
        let is_of_these = K::common_begin(&seal).is_some_and(|common| common.as_bytes() == begin);
        if has_lines == begin.is_empty() || has_lines && !is_of_these {
            return Ok(None);
        }
        let end = at + line.len() as u64;
        usual = (at - start).max(PROBE_BYTES as u64);
        found.push(FoundSeal { seal, bytes: start..end, seal_bytes: line.len() as u64 });
        start = end;
    }
    Ok(Some(found))
}

/// What the lines of a block have in common, if `text` begins with one of them; empty if it begins with something else,
/// which is a seal without lines or nothing known; `None` if it is a line of another form.
fn begin_of_lines<K: BlockKind>(text: &[u8]) -> Option<&[u8]> {
    const PORT: &[u8] = br#","port":"#;
    if !text.starts_with(K::BEGIN) {
        return Some(&[]);
    }
    let line = &text[..memchr::memchr(b'\n', text)?];
    memchr::memmem::find(line, PORT).map(|at| &line[..at + PORT.len()])
}

/// The end of the last line in `range` that begins with `begin`, given that the first one does and that they follow
/// each other. `usual` is the length of the block before, which is probably similar.
fn end_of_lines(file: &File, begin: &[u8], range: Range<u64>, usual: u64) -> io::Result<u64> {
    // The next line after `inside` belongs to the block, the one after `outside` does not.
    let (mut inside, mut outside) = (range.start, range.end);
    let (mut step, mut next_step) = (usual - usual / 16, usual / 8);
    while outside - inside > step {
        if !goes_on(file, begin, inside + step)? {
            outside = inside + step;
            break;
        }
        inside += step;
        step = next_step.max(PROBE_BYTES as u64);
        next_step = 2 * step;
    }
    while outside - inside > PROBE_BYTES as u64 {
        let middle = inside + (outside - inside) / 2;
        if goes_on(file, begin, middle)? {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    let mut at = inside;
    if inside > range.start {
        at += next_line(&read_at(file, inside, PROBE_BYTES)?) as u64;
    }
    loop {
        let text = read_at(file, at, 4 * PROBE_BYTES)?;
        let mut end = 0;
        while text[end..].starts_with(begin) {
            let Some(line_feed) = memchr::memchr(b'\n', &text[end..]) else { break };
            end += line_feed + 1;
        }
        at += end as u64;
        // What was read may end within a line of the block, or right before one.
        if end == 0 || text.len() - end >= begin.len() && !text[end..].starts_with(begin) {
            return Ok(at);
        }
    }
}

/// Whether the line after the one that holds `at` begins with `begin`.
fn goes_on(file: &File, begin: &[u8], at: u64) -> io::Result<bool> {
    let text = read_at(file, at, PROBE_BYTES)?;
    Ok(text[next_line(&text)..].starts_with(begin))
}

/// The beginning of the second line in `text`; its end if none begins there.
fn next_line(text: &[u8]) -> usize {
    memchr::memchr(b'\n', text).map_or(text.len(), |line_feed| line_feed + 1)
}

/// The line that begins at `at`, with its line feed; `None` if it is not complete or too long.
fn line_at(file: &File, at: u64) -> io::Result<Option<Vec<u8>>> {
    let mut length = PROBE_BYTES;
    loop {
        let mut text = read_at(file, at, length)?;
        if let Some(line_feed) = memchr::memchr(b'\n', &text) {
            text.truncate(line_feed + 1);
            return Ok(Some(text));
        }
        if text.len() < length || length >= MAX_LINE_BYTES {
            return Ok(None);
        }
        length = (length * 16).min(MAX_LINE_BYTES);
    }
}

/// Up to `length` bytes from `at` on; fewer only at the end of the file.
fn read_at(file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut text = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut text[filled..], at + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    text.truncate(filled);
    Ok(text)
}

#[cfg(test)]
mod tests;
