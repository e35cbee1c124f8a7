//! PURE: checks that a daily file is complete, and that it is of the expected node and month.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;

use chrono::{DateTime, FixedOffset, NaiveDate};

use super::error::Rejected;
use crate::ledger::block::{BlockEvent, Daily, Decoder, FoundBlock, MAX_LINE_BYTES};
use crate::ledger::month::Month;
use crate::ledger::statement::{DistinctPairs, check_day};

const CHUNK_BYTES: usize = 64 << 10;

/// A day of a verified file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VerifiedDay {
    /// When the node made it; `None` from versions that do not say so.
    pub(super) at: Option<DateTime<FixedOffset>>,
    /// Its bytes in the file, seal and newline included.
    pub(super) bytes: Range<u64>,
}

/// What was found in a file.
#[derive(Debug, Default)]
pub(super) struct Verified {
    pub(super) days: BTreeMap<NaiveDate, VerifiedDay>,
    /// Where the last day ends. What follows are lines without a seal, which only a caller who expects them accepts.
    pub(super) end: u64,
    pub(super) unsealed: Option<Rejected>,
}

/// Reads the whole file, one day at a time.
///
/// # Errors
/// At the first violation of these rules: every line, except unsealed ones at the end, is in a sealed block of a known
/// version; days are in order, without duplicates, and in `month` if it is given; they were sealed by a node with one of
/// these `names`; and their figures are plausible.
pub(super) fn verify(mut file: impl Read, names: &[&str], month: Option<Month>) -> Result<Verified, Rejected> {
    let mut decoder = Decoder::<Daily>::new();
    let (mut verified, mut pairs) = (Verified::default(), DistinctPairs::default());
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut line_bytes = 0;
    loop {
        let read = match file.read(&mut chunk) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            other => other.map_err(Rejected::Io)?,
        };
        if read == 0 {
            break;
        }
        // A line that is too long is rejected before its end is read, because nothing after it can make the file valid.
        line_bytes = match chunk[..read].iter().rposition(|byte| *byte == b'\n') {
            Some(newline) => read - newline - 1,
            None => line_bytes + read,
        };
        if line_bytes > MAX_LINE_BYTES {
            return Err(Rejected::LongLine);
        }
        for event in decoder.feed(&chunk[..read]) {
            match event {
                BlockEvent::Damage(damage) => return Err(Rejected::Line { line: damage.line, fault: damage.fault }),
                BlockEvent::Block(found) => {
                    let last = verified.days.last_key_value().map(|(day, _)| *day);
                    check(&found, last, names, month)?;
                    let failed = |source| Rejected::Figures { line: found.line, source };
                    pairs.add(&found.block).map_err(failed)?;
                    verified.end = found.bytes.end;
                    let seal = found.block.seal;
                    verified.days.insert(seal.day, VerifiedDay { at: seal.at, bytes: found.bytes });
                }
            }
        }
    }
    let tail = decoder.finish().map(|tail| Rejected::Line { line: tail.damage.line, fault: tail.damage.fault });
    match (verified.days.is_empty(), tail) {
        (true, Some(tail)) => Err(tail),
        (true, None) => Err(Rejected::Empty),
        (false, unsealed) => Ok(Verified { unsealed, ..verified }),
    }
}

fn check(
    found: &FoundBlock<Daily>,
    last: Option<NaiveDate>,
    names: &[&str],
    month: Option<Month>,
) -> Result<(), Rejected> {
    let FoundBlock { block, line, .. } = found;
    let (seal, line) = (&block.seal, *line);
    if !names.contains(&seal.node.as_str()) {
        return Err(Rejected::OtherNode { line, found: seal.node.clone() });
    }
    if month.is_some_and(|month| Month::of(seal.day) != month) {
        return Err(Rejected::OtherMonth { line, day: seal.day });
    }
    if let Some(last) = last.filter(|last| *last >= seal.day) {
        return Err(Rejected::Order { line, day: seal.day, after: last });
    }
    check_day(block).map_err(|source| Rejected::Figures { line, source })
}
