//! What can be wrong with a line or a block.

use std::ops::Range;

use chrono::{DateTime, FixedOffset};

use crate::ledger::name::NameError;

/// Start and end of a bucket.
pub type Span = (DateTime<FixedOffset>, DateTime<FixedOffset>);

/// A fault in a line. It invalidates the block of that line and no other.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("not JSON")]
    NotJson(#[source] serde_json::Error),
    #[error("unknown version {found}")]
    Version { found: u64 },
    #[error("a line of kind {found:?} does not belong here")]
    Kind { found: String },
    /// A field is missing, of another type, or a number out of range.
    #[error("a field is missing or out of range")]
    Field(#[source] serde_json::Error),
    #[error("an invalid name")]
    Name(#[source] NameError),
    /// Line and seal have different times, or a time ends before it begins.
    #[error("it contradicts itself or its seal")]
    Contradiction,
    #[error("the seal's check does not match")]
    Check,
    #[error("the lines do not match the seal's sha256")]
    Sha256,
    #[error("the seal counts {sealed} lines, but {found} precede it")]
    Count { sealed: u32, found: u32 },
    #[error("lines without a seal")]
    Unsealed,
    #[error("cut off")]
    Torn,
    #[error("it cannot be decompressed from here on")]
    Compression,
    #[error("more than {limit} bytes")]
    TooLong { limit: usize },
    #[error("more than {limit} lines without a seal")]
    TooMany { limit: usize },
}

/// Rejected lines, with their place and the reason.
#[derive(Debug)]
pub struct BlockDamage {
    /// The number of the faulty line, from 1; for lines without a seal, that of the first.
    pub line: u64,
    /// The bytes of all whole lines that were rejected.
    pub bytes: Range<u64>,
    /// The number of these lines.
    pub lines: u64,
    /// The time of the rejected bucket, if its remains show it.
    pub span: Option<Span>,
    pub fault: Fault,
}
