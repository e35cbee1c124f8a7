//! A block: lines, and the seal that makes them one. Written at once, believed only whole.

mod decode;
mod fault;
mod kind;
mod scan;
mod waiting;

use serde::Serialize;

pub use decode::{Decoder, Event, Found, MAX_LINE_BYTES, Tail};
pub use fault::{Damage, Fault};
pub use kind::{BlockKind, Daily, Hourly, Monthly, Span};

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

impl<K: BlockKind> Block<K> {
    /// The block as it is written, with its newlines. Counts the lines and sums them up in the seal first.
    pub fn encode(&mut self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            text.push_str(&json(line));
            text.push('\n');
        }
        let lines = u32::try_from(self.lines.len()).expect("a block has a line a port and user, far less than 2^32");
        K::complete(&mut self.seal, lines, sha256_hex(text.as_bytes()));
        text.push_str(&with_check(&json(&self.seal)));
        text.push('\n');
        text
    }
}

fn json(line: &impl Serialize) -> String {
    serde_json::to_string(line).expect("a line has only text, integers, finite fractions, and text as keys")
}

#[cfg(test)]
mod tests;
