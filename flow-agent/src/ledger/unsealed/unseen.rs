//! Whether a time that was not measured belongs to more than one bucket.

use crate::ledger::reading::Unseen;
use crate::ledger::record::HourSeal;

/// Whether `unseen` extends beyond the bucket of `seal`, even if only by a fraction of a second.
pub fn goes_on_after(unseen: &Unseen, seal: &HourSeal) -> bool {
    match seal.boot_ms {
        Some(boot_ms) => unseen.end.boot_ns > boot_ms.saturating_mul(1_000_000),
        None => unseen.end.wall > seal.end,
    }
}
