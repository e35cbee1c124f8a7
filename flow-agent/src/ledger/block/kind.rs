//! The differences between the blocks of hours, days and months.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fault::{Fault, Span};
use super::print::{self, Printer};
use super::scan::{self, Scanner};
use crate::ledger::name;
use crate::ledger::record::{DayLine, DaySeal, HourLine, HourSeal, Kind, MonthLine, MonthSeal};

/// A kind of block.
pub trait BlockKind: Clone + Debug + PartialEq {
    type Line: Serialize + DeserializeOwned + Clone + Debug + PartialEq;
    type Seal: Serialize + DeserializeOwned + Clone + Debug + PartialEq;

    /// The kind of its lines.
    const LINE: Kind;

    /// The beginning of such a line as this program writes it.
    const BEGIN: &[u8];

    /// Maximum size of the lines of one block; a reader never keeps more in memory.
    const MAX_BYTES: usize;

    /// The number of lines and their checksum according to the seal.
    fn digest(seal: &Self::Seal) -> (u32, &str);

    /// The same fields, to be filled in.
    fn digest_mut(seal: &mut Self::Seal) -> (&mut u32, &mut String);

    /// Checks that the seal is consistent and that its names are allowed.
    fn check_seal(seal: &Self::Seal) -> Result<(), Fault>;

    /// The same for a line under this seal.
    fn check_line(seal: &Self::Seal, line: &Self::Line) -> Result<(), Fault>;

    /// What all lines under this seal begin with as this program writes them; `None` if they have no such beginning.
    fn common_begin(_seal: &Self::Seal) -> Option<String> {
        None
    }

    /// A fast parser for the lines of this seal, where there are many of them.
    fn scanner(_seal: &Self::Seal) -> Scanner<'_, Self::Line> {
        Box::new(|_| None)
    }

    /// A fast writer of the lines of this seal, where there are many of them.
    fn printer(_seal: &Self::Seal) -> Printer<Self::Line> {
        Box::new(|_, _| false)
    }

    /// The time of the bucket, if the line belongs to one.
    fn span(_line: &Self::Line) -> Option<Span> {
        None
    }

    /// The time of the bucket, if the seal belongs to one.
    fn seal_span(_seal: &Self::Seal) -> Option<Span> {
        None
    }
}

/// The kind of `hourly/DATE.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hourly {}

impl BlockKind for Hourly {
    type Line = HourLine;
    type Seal = HourSeal;
    const LINE: Kind = Kind::Hour;
    const BEGIN: &[u8] = br#"{"v":1,"kind":"hour","#;
    const MAX_BYTES: usize = 64 << 20;

    fn digest(seal: &HourSeal) -> (u32, &str) {
        (seal.ports, &seal.sha256)
    }

    fn digest_mut(seal: &mut HourSeal) -> (&mut u32, &mut String) {
        (&mut seal.ports, &mut seal.sha256)
    }

    fn check_seal(seal: &HourSeal) -> Result<(), Fault> {
        check_name(&seal.node)?;
        if seal.start <= seal.end { Ok(()) } else { Err(Fault::Contradiction) }
    }

    fn check_line(seal: &HourSeal, line: &HourLine) -> Result<(), Fault> {
        line.user.as_deref().map_or(Ok(()), check_name)?;
        if (line.start, line.end) == (seal.start, seal.end) { Ok(()) } else { Err(Fault::Contradiction) }
    }

    fn common_begin(seal: &HourSeal) -> Option<String> {
        Some(scan::begin_of_hour(seal))
    }

    fn scanner(seal: &HourSeal) -> Scanner<'_, HourLine> {
        scan::hour(seal)
    }

    fn printer(seal: &HourSeal) -> Printer<HourLine> {
        print::hour(seal)
    }

    fn span(line: &HourLine) -> Option<Span> {
        Some((line.start, line.end))
    }

    fn seal_span(seal: &HourSeal) -> Option<Span> {
        Some((seal.start, seal.end))
    }
}

/// The kind of `daily/MONTH.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daily {}

impl BlockKind for Daily {
    type Line = DayLine;
    type Seal = DaySeal;
    const LINE: Kind = Kind::Day;
    const BEGIN: &[u8] = br#"{"v":1,"kind":"day","#;
    /// Daily files also come from other machines, which must not decide how much memory is used.
    const MAX_BYTES: usize = 40 << 20;

    fn digest(seal: &DaySeal) -> (u32, &str) {
        (seal.ports, &seal.sha256)
    }

    fn digest_mut(seal: &mut DaySeal) -> (&mut u32, &mut String) {
        (&mut seal.ports, &mut seal.sha256)
    }

    fn check_seal(seal: &DaySeal) -> Result<(), Fault> {
        check_name(&seal.node)?;
        check_name(&seal.zone)?;
        if seal.seconds_covered <= seal.seconds_in_day { Ok(()) } else { Err(Fault::Contradiction) }
    }

    fn check_line(seal: &DaySeal, line: &DayLine) -> Result<(), Fault> {
        line.user.as_deref().map_or(Ok(()), check_name)?;
        if line.day == seal.day { Ok(()) } else { Err(Fault::Contradiction) }
    }

    fn common_begin(seal: &DaySeal) -> Option<String> {
        Some(scan::begin_of_day(seal))
    }

    fn scanner(seal: &DaySeal) -> Scanner<'_, DayLine> {
        scan::day(seal)
    }

    fn printer(seal: &DaySeal) -> Printer<DayLine> {
        print::day(seal)
    }
}

/// The kind of `monthly/YEAR.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Monthly {}

impl BlockKind for Monthly {
    type Line = MonthLine;
    type Seal = MonthSeal;
    const LINE: Kind = Kind::Month;
    const BEGIN: &[u8] = br#"{"v":1,"kind":"month","#;
    const MAX_BYTES: usize = 64 << 20;

    fn digest(seal: &MonthSeal) -> (u32, &str) {
        (seal.lines, &seal.sha256)
    }

    fn digest_mut(seal: &mut MonthSeal) -> (&mut u32, &mut String) {
        (&mut seal.lines, &mut seal.sha256)
    }

    fn check_seal(_seal: &MonthSeal) -> Result<(), Fault> {
        Ok(())
    }

    fn check_line(seal: &MonthSeal, line: &MonthLine) -> Result<(), Fault> {
        line.user.as_deref().map_or(Ok(()), name::check_owner).map_err(Fault::Name)?;
        line.by_node.names().try_for_each(check_name)?;
        if line.month == seal.month { Ok(()) } else { Err(Fault::Contradiction) }
    }
}

pub(super) fn check_name(text: &str) -> Result<(), Fault> {
    // Nearly every name is plain ASCII, which needs no check of each character.
    let plain = (1..=name::MAX_BYTES).contains(&text.len()) && text.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    if plain { Ok(()) } else { name::check(text).map_err(Fault::Name) }
}
