//! PURE: checks that a daily file is complete, and that it is of the expected node and month, and adds it up meanwhile.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::Range;

use chrono::NaiveDate;

use super::error::Rejected;
use crate::ledger::block::{BlockDamage, Daily, DayFigures, Decoder, Fault, MAX_LINE_BYTES, SealedDay, Sink};
use crate::ledger::month::Month;
use crate::ledger::record::DaySeal;
use crate::ledger::statement::{FileSums, MonthDays};

const CHUNK_BYTES: usize = 128 << 10;

/// What was found in a file.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) days: BTreeMap<NaiveDate, SealedDay>,
    pub(super) sums: FileSums,
    /// Where the last day ends. What follows are lines without a seal, which only a caller who expects them accepts.
    pub(super) end: u64,
    pub(super) unsealed: Option<Rejected>,
    /// The CRC-32C of the whole file.
    pub(super) crc32c: u32,
}

/// Which days are expected in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    /// The names under which the node may have made them.
    pub(super) names: &'a [&'a str],
    /// The calendar month, if they are all of the same.
    pub(super) month: Option<Month>,
    /// The days that are added up.
    pub(super) add_up: MonthDays,
}

impl Verified {
    /// What there is without a file.
    pub(super) fn nothing(add_up: MonthDays) -> Self {
        Self { days: BTreeMap::new(), sums: FileSums::new(add_up), end: 0, unsealed: None, crc32c: 0 }
    }
}

/// Reads the whole file once, one day at a time.
///
/// # Errors
/// At the first violation of these rules: every line, except unsealed ones at the end, is in a sealed block of a known
/// version; days are in order, without duplicates, and in the expected month; they were sealed by a node with one of the
/// expected names; and their figures are plausible.
pub(super) fn verify(file: impl Read, expected: Expected<'_>) -> Result<Verified, Rejected> {
    verify_with(Decoder::new(), file, expected)
}

/// The same for a file that was verified before. The caller compares its CRC-32C with the one that it had then, which
/// takes the place of the SHA-256 of its days.
///
/// # Errors
/// Like [`verify`].
pub(super) fn verify_again(file: impl Read, expected: Expected<'_>) -> Result<Verified, Rejected> {
    verify_with(Decoder::trusting(), file, expected)
}

fn verify_with(mut decoder: Decoder<Daily>, mut file: impl Read, expected: Expected<'_>) -> Result<Verified, Rejected> {
    let verified = Verified::nothing(expected.add_up);
    let mut verifier = Verifier { expected, figures: DayFigures::default(), verified, rejected: None };
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
        line_bytes = match memchr::memrchr(b'\n', &chunk[..read]) {
            Some(newline) => read - newline - 1,
            None => line_bytes + read,
        };
        if line_bytes > MAX_LINE_BYTES {
            return Err(Rejected::LongLine);
        }
        verifier.verified.crc32c = crc32c::crc32c_append(verifier.verified.crc32c, &chunk[..read]);
        decoder.feed_to(&chunk[..read], &mut verifier);
        if let Some(rejected) = verifier.rejected {
            return Err(rejected);
        }
    }
    let tail = decoder.finish().map(|tail| Rejected::Line { line: tail.damage.line, fault: tail.damage.fault });
    let verified = verifier.verified;
    match (verified.days.is_empty(), tail) {
        (true, Some(tail)) => Err(tail),
        (true, None) => Err(Rejected::Empty),
        (false, unsealed) => Ok(Verified { unsealed, ..verified }),
    }
}

struct Verifier<'e> {
    expected: Expected<'e>,
    figures: DayFigures,
    verified: Verified,
    /// The first violation. Nothing after it counts.
    rejected: Option<Rejected>,
}

impl Sink<Daily> for Verifier<'_> {
    fn parse<'l>(&mut self, seal: &DaySeal, lines: impl Iterator<Item = (u64, &'l [u8])>) -> Result<(), (u64, Fault)> {
        self.figures.read(seal, lines)
    }

    fn block(&mut self, seal: DaySeal, line: u64, bytes: Range<u64>) {
        if self.rejected.is_none() {
            self.rejected = self.take(seal, line, bytes).err();
        }
    }

    fn damage(&mut self, damage: BlockDamage) {
        self.rejected.get_or_insert(Rejected::Line { line: damage.line, fault: damage.fault });
    }
}

impl Verifier<'_> {
    fn take(&mut self, seal: DaySeal, line: u64, bytes: Range<u64>) -> Result<(), Rejected> {
        if !self.expected.names.contains(&seal.node.as_str()) {
            return Err(Rejected::OtherNode { line, found: seal.node });
        }
        if self.expected.month.is_some_and(|month| Month::of(seal.day) != month) {
            return Err(Rejected::OtherMonth { line, day: seal.day });
        }
        let last = self.verified.days.last_key_value().map(|(day, _)| *day);
        if let Some(last) = last.filter(|last| *last >= seal.day) {
            return Err(Rejected::Order { line, day: seal.day, after: last });
        }
        self.verified.sums.add(&seal, &self.figures).map_err(|source| Rejected::Figures { line, source })?;
        self.verified.end = bytes.end;
        self.verified.days.insert(seal.day, SealedDay { seal, bytes });
        Ok(())
    }
}
