//! Reading the counters for the end of a bucket.

use super::Recorder;
use crate::backend::BackendError;
use crate::clock;
use crate::ledger::reading::{Moment, Reading};
use crate::ledger::usage::is_within_one_second;

impl Recorder {
    /// Reads the counters for the end of a bucket, and returns when that was complete. Reading rules runs programs and
    /// takes some time, but a bucket ends with a whole second: if the next second began meanwhile, the counters are
    /// read once more, right after its beginning.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub(super) fn read_within_one_second(&mut self) -> Result<(Reading, Moment), BackendError> {
        let reading = self.backend.read(&clock::now)?;
        let read_until = clock::now();
        if is_within_one_second(reading.at, read_until) {
            return Ok((reading, read_until));
        }
        let reading = self.backend.read(&clock::now)?;
        let read_until = clock::now();
        if !is_within_one_second(reading.at, read_until) {
            let took_ms = read_until.boot_ns.saturating_sub(reading.at.boot_ns) / 1_000_000;
            tracing::warn!(
                took_ms,
                "reading the counters took long: the bucket may end some seconds later than recorded"
            );
        }
        Ok((reading, read_until))
    }
}
