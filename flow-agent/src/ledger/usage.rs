//! Turns readings into buckets: what happened between two readings, which bucket it belongs to, and how well it is
//! known.
//!
//! A [`Meter`] is resumed from a [`Baseline`] (the last seals and the checkpoint), is given readings, and returns
//! buckets. The agent uses it in this order:
//!
//! 1. [`Baseline::take`] every bucket of the journal, and [`Baseline::set_checkpoint`]. While [`Baseline::is_ahead_of`]
//!    the clock, wait for it, but at most five minutes.
//! 2. Start the backend; read its retired sets, and take its first reading; [`Meter::resume`]. Append and sync the
//!    buckets that it returns, delete the retired sets, then write the first [`Meter::checkpoint`].
//! 3. Whenever a bucket is [`Meter::due`], and before continuity breaks (ports drained, users changed, the agent
//!    leaves): inspect, read, [`Meter::close`], append and sync. Ports whose closed line is synced are released
//!    **before** any port is added again. Before a port is added that [`Meter::has_closed`], another bucket is closed.
//! 4. Every 30 seconds: read, [`Meter::checkpoint`], write what it returns, [`Meter::checkpoint_kept`]. Not while a
//!    bucket waits to be synced: a checkpoint says what came after a seal, so that seal must be on disk.
//! 5. When counters were replaced: [`Meter::replace`], then continue as in 2.
//!
//! [`Baseline`]: super::unsealed::Baseline
//! [`Baseline::take`]: super::unsealed::Baseline::take
//! [`Baseline::set_checkpoint`]: super::unsealed::Baseline::set_checkpoint
//! [`Baseline::is_ahead_of`]: super::unsealed::Baseline::is_ahead_of

mod bucket_clock;
mod counted;
mod meter;
mod open;
mod restore;

pub use bucket_clock::is_within_one_second;
pub use counted::Counted;
pub use meter::Meter;
pub use open::ForeignEpoch;
pub use restore::SealedBuckets;

#[cfg(test)]
pub(crate) mod tests;
