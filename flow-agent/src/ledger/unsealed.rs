//! Usage that no bucket has yet, as far as the newest seals, the checkpoint and a reading tell of it.
//!
//! This is what the two readers of the journal share: the agent, whose [`Meter`](super::usage::Meter) goes on from the
//! [`Baseline`] at its start, and `show`, which takes the [`open_bucket`] from it.

mod baseline;
pub(in crate::ledger) mod bucket_times;
pub(in crate::ledger) mod bucket_writer;
mod settings;
mod unseen;
pub(in crate::ledger) mod usage_since_seal;

pub use baseline::{Baseline, LastSeal};
pub use bucket_writer::open_bucket;
pub use settings::{Closing, Settings};
pub use unseen::goes_on_after;
