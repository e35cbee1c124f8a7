//! A block: lines and the seal that completes them. It is written in one go, and read only if it is whole.

mod decode;
mod fault;
mod figures;
mod kind;
mod print;
mod scan;
mod waiting;

use std::borrow::Borrow;
use std::ops::Range;

use serde::Serialize;

pub use decode::{BlockEvent, Decoder, FoundBlock, MAX_LINE_BYTES, MAX_LINES, Sink, Tail, read_seal};
pub use fault::Span;
pub use fault::{BlockDamage, Fault};
pub use figures::{DayFigure, DayFigures};
pub use kind::{BlockKind, Daily, Hourly, Monthly};

use super::record::DaySeal;
use super::seal::{sha256_hex, with_check};

/// Lines and their seal.
#[derive(Clone, Debug, PartialEq)]
pub struct Block<K: BlockKind> {
    pub lines: Vec<K::Line>,
    pub seal: K::Seal,
}

/// `hourly/DATE.jsonl`: one bucket.
pub type HourBlock = Block<Hourly>;
/// `daily/MONTH.jsonl`: one day.
pub type DayBlock = Block<Daily>;
/// `monthly/YEAR.jsonl`: one billing month.
pub type MonthBlock = Block<Monthly>;

/// The seal of a day, and where its block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedDay {
    pub seal: DaySeal,
    /// The bytes of the block in its file, seal and newline included.
    pub bytes: Range<u64>,
}

impl<K: BlockKind> Block<K> {
    /// The text of the block, with newlines. First writes the number of lines and their checksum into the seal.
    pub fn encode(&mut self) -> String {
        encode::<K>(&self.lines, &mut self.seal)
    }
}

/// Encodes the block of `lines` as it is written. The lines are streamed, so they need not all be in memory at once.
/// Writes their number and checksum into the seal before the seal is encoded.
pub fn encode<K: BlockKind>(lines: impl IntoIterator<Item: Borrow<K::Line>>, seal: &mut K::Seal) -> String {
    let mut text = String::new();
    let mut count: u32 = 0;
    let print = K::printer(seal);
    for line in lines {
        let line = line.borrow();
        if !print(line, &mut text) {
            text.push_str(&json(line));
        }
        text.push('\n');
        count = count.checked_add(1).expect("a block has one line per port and user, far fewer than 2^32");
    }
    let (sealed_count, sha256) = K::digest_mut(seal);
    (*sealed_count, *sha256) = (count, sha256_hex(text.as_bytes()));
    text.push_str(&with_check(&json(seal)));
    text.push('\n');
    text
}

/// A block that no reader would accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    #[error("{found} lines are more than the {MAX_LINES} that a reader takes")]
    Lines { found: usize },
    #[error("{found} bytes are more than the {limit} that a reader takes")]
    Bytes { found: usize, limit: usize },
    #[error("a line of {found} bytes is longer than the {MAX_LINE_BYTES} that a reader takes")]
    Line { found: usize },
}

/// Checks that readers accept an encoded block: the writer obeys the limits that they enforce.
///
/// # Errors
/// [`TooLarge`].
pub fn check_size<K: BlockKind>(encoded: &str) -> Result<(), TooLarge> {
    let (mut lines, mut longest, mut last) = (0, 0, 0);
    for line in encoded.split_inclusive('\n') {
        last = line.len();
        longest = longest.max(last);
        lines += 1;
    }
    let (lines, bytes) = (lines - 1, encoded.len() - last);
    if lines > MAX_LINES {
        Err(TooLarge::Lines { found: lines })
    } else if bytes > K::MAX_BYTES {
        Err(TooLarge::Bytes { found: bytes, limit: K::MAX_BYTES })
    } else if longest > MAX_LINE_BYTES {
        Err(TooLarge::Line { found: longest })
    } else {
        Ok(())
    }
}

fn json(line: &impl Serialize) -> String {
    serde_json::to_string(line)
        .expect("a line has only text, integers and finite fractions as values, and text as keys")
}

#[cfg(test)]
mod tests;
