//! What a file was found to have when it was verified.

use super::verify::Verified;
use crate::ledger::block::SealedDay;
use crate::ledger::statement::FileSums;

/// What verifying a daily file has found in it: nothing but these days.
#[derive(Debug)]
pub struct VerifiedDays {
    /// In order.
    pub days: Vec<SealedDay>,
    /// Their sums.
    pub sums: FileSums,
    /// The CRC-32C of the file.
    pub crc32c: u32,
}

impl VerifiedDays {
    pub(super) fn of(mut file: Verified) -> Self {
        file.sums.stop_adding();
        Self { days: file.days.into_values().collect(), sums: file.sums, crc32c: file.crc32c }
    }
}
