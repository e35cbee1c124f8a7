//! PURE: checks that a daily file is complete, and that it is of the expected node and month.

use std::io::Read;

use chrono::NaiveDate;

use super::error::Rejected;
use crate::ledger::block::{BlockEvent, Daily, Decoder, FoundBlock, MAX_LINE_BYTES};
use crate::ledger::month::Month;
use crate::ledger::statement::{DistinctPairs, check_day};

const CHUNK_BYTES: usize = 64 << 10;

/// Reads the whole file, one day at a time.
///
/// # Errors
/// At the first violation of these rules: every line is in a sealed block of a known version; days are in order,
/// without duplicates, and in `month`; they were sealed by a node with one of these `names`; and their figures are
/// plausible.
pub(super) fn verify(mut file: impl Read, names: &[&str], month: Month) -> Result<(), Rejected> {
    let mut decoder = Decoder::<Daily>::new();
    let (mut last, mut pairs) = (None, DistinctPairs::default());
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
                    last = Some(check(&found, last, names, month)?);
                    let failed = |source| Rejected::Figures { line: found.line, source };
                    pairs.add(&found.block).map_err(failed)?;
                }
            }
        }
    }
    if let Some(tail) = decoder.finish() {
        return Err(Rejected::Line { line: tail.damage.line, fault: tail.damage.fault });
    }
    if last.is_none() { Err(Rejected::Empty) } else { Ok(()) }
}

fn check(
    found: &FoundBlock<Daily>,
    last: Option<NaiveDate>,
    names: &[&str],
    month: Month,
) -> Result<NaiveDate, Rejected> {
    let FoundBlock { block, line, .. } = found;
    let (seal, line) = (&block.seal, *line);
    if !names.contains(&seal.node.as_str()) {
        return Err(Rejected::OtherNode { line, found: seal.node.clone() });
    }
    if Month::of(seal.day) != month {
        return Err(Rejected::OtherMonth { line, day: seal.day });
    }
    if let Some(last) = last.filter(|last| *last >= seal.day) {
        return Err(Rejected::Order { line, day: seal.day, after: last });
    }
    check_day(block).map_err(|source| Rejected::Figures { line, source })?;
    Ok(seal.day)
}
