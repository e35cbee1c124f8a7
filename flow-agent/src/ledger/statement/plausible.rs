//! What the figures of a node may be at most, so that adding them up is safe.

use chrono::NaiveDate;

use crate::ledger::block::DayBlock;
use crate::ledger::counters::Counters;
use crate::ledger::record::DayLine;

/// More than any host can transfer in a day: 2^57 bytes are 13 Tbit/s around the clock. Below this limit the sums of a
/// month over all users and both directions stay far below 2^64.
const MOST_IN_A_DAY: u128 = 1 << 57;

/// A file with more different pairs of a port and a user than this is made up, because a node has only 65,535 ports.
/// This bounds how much memory a main node needs for one node.
pub(super) const MOST_PAIRS: usize = 1 << 16;

/// Why a day cannot be added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SumError {
    #[error("{day}: {figure} is more than any host can move in a day")]
    Implausible { day: NaiveDate, figure: u128 },
    #[error("{day} appears twice")]
    Twice { day: NaiveDate },
    #[error("{day}: with this day it has more than {MOST_PAIRS} different pairs of a port and a user in a month")]
    TooManyPairs { day: NaiveDate },
}

/// Checks that the figures of a day are plausible.
///
/// # Errors
/// [`SumError::Implausible`].
pub fn check_day(block: &DayBlock) -> Result<(), SumError> {
    check_figures(block.seal.day, block.lines.iter().map(DayLine::counters))
}

/// The same for the figures of its lines.
pub(super) fn check_figures(day: NaiveDate, lines: impl Iterator<Item = Counters>) -> Result<(), SumError> {
    let figure: u128 = lines.flat_map(Counters::to_array).map(u128::from).sum();
    if figure > MOST_IN_A_DAY { Err(SumError::Implausible { day, figure }) } else { Ok(()) }
}
