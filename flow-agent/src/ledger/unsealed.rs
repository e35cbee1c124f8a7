//! Usage that is in no sealed bucket yet, as far as the newest seals, the checkpoint and a reading show it.
//!
//! Two readers of the journal share this: the agent, whose [`Meter`](super::usage::Meter) continues from the
//! [`Baseline`] when it starts, and `show`, which gets the [`open_bucket`] from it.

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
