//! The figures of a day's lines, for readers that only add them up. Nothing is allocated for a line.

use super::decode::parse_json;
use super::fault::Fault;
use super::kind::{BlockKind as _, Daily, check_name};
use super::scan;
use crate::ledger::counters::Counters;
use crate::ledger::record::{DayLine, DaySeal};

/// The figures of one day after another: the memory of one serves the next.
#[derive(Clone, Debug, Default)]
pub struct DayFigures {
    /// The names of all lines.
    names: String,
    lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    port: u16,
    has_user: bool,
    /// Where its name ends in `names`; it begins where that of the line before ends.
    name_end: u32,
    counters: Counters,
}

/// What a day line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayFigure<'a> {
    pub port: u16,
    pub user: Option<&'a str>,
    pub counters: Counters,
}

impl DayFigures {
    /// Replaces what was read before by the lines of another day, which come with their numbers.
    ///
    /// # Errors
    /// The number of a line that does not belong under `seal`, and its fault, exactly as for a reader that keeps the
    /// lines.
    pub fn read<'l>(
        &mut self,
        seal: &DaySeal,
        lines: impl Iterator<Item = (u64, &'l [u8])>,
    ) -> Result<(), (u64, Fault)> {
        self.names.clear();
        self.lines.clear();
        let begin = scan::begin_of_day(seal);
        for (number, line) in lines {
            self.add(seal, begin.as_bytes(), line).map_err(|fault| (number, fault))?;
        }
        Ok(())
    }

    fn add(&mut self, seal: &DaySeal, begin: &[u8], line: &[u8]) -> Result<(), Fault> {
        if let Some((port, user, counters)) = scan::day_figures(begin, line) {
            user.map_or(Ok(()), check_name)?;
            self.push(port, user, counters);
        } else {
            let line: DayLine = parse_json(line)?;
            Daily::check_line(seal, &line)?;
            self.push(line.port, line.user.as_deref(), line.counters());
        }
        Ok(())
    }

    fn push(&mut self, port: u16, user: Option<&str>, counters: Counters) {
        self.names.push_str(user.unwrap_or_default());
        let name_end = u32::try_from(self.names.len()).expect("the lines of a block are far smaller than 2^32 bytes");
        self.lines.push(Line { port, has_user: user.is_some(), name_end, counters });
    }

    /// What the lines say, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = DayFigure<'_>> {
        let mut name_start = 0;
        self.lines.iter().map(move |line| {
            let name = &self.names[name_start..line.name_end as usize];
            name_start = line.name_end as usize;
            DayFigure { port: line.port, user: line.has_user.then_some(name), counters: line.counters }
        })
    }
}

#[cfg(test)]
mod tests;
