//! From readings to buckets: what happened between two readings, under which name, and how well it is known.
//!
//! A [`Meter`] is resumed from a [`Baseline`] (the last seals and the checkpoint), is shown readings, and gives buckets.
//! The agent's loop, in its order:
//!
//! 1. [`Baseline::take`] every bucket of the journal, [`Baseline::set_checkpoint`]; while [`Baseline::is_ahead_of`] the
//!    clock, wait for it, five minutes at most.
//! 2. Start the backend; read its retired sets and its first reading; [`Meter::resume`]. Append and sync the buckets that
//!    it gives, delete the retired sets, then write the first [`Meter::checkpoint`].
//! 3. Whenever [`Meter::due`], and before continuity breaks (ports drained, users changed, leaving): inspect, read,
//!    [`Meter::close`], append and sync. Ports whose closed line is synced are released **before** any is added again,
//!    and before one is added that [`Meter::has_closed`], another bucket is closed.
//! 4. Every 30 seconds: read, [`Meter::checkpoint`], write what it gives, [`Meter::checkpoint_kept`]. Not while a bucket waits to be synced: a
//!    checkpoint says what came after a seal, so that seal must be there.
//! 5. When counters were replaced: [`Meter::replace`], and on as in 2.
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
