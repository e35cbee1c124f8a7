//! What can be wrong with a line or a block.

use std::ops::Range;

use super::kind::Span;
use crate::ledger::name::NameError;

/// A line that is not what it should be; it costs its own block and no other.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("not JSON")]
    NotJson(#[source] serde_json::Error),
    #[error("version {found} is not known here")]
    Version { found: u64 },
    #[error("a line of kind {found:?} does not belong here")]
    Kind { found: String },
    /// A field is missing, of another type, or a number out of range.
    #[error("a field is missing or out of range")]
    Field(#[source] serde_json::Error),
    #[error("a name that may not be one")]
    Name(#[source] NameError),
    /// Line and seal are of different times, or a time ends before it begins.
    #[error("it contradicts itself or its seal")]
    Contradiction,
    #[error("the seal's check does not hold")]
    Check,
    #[error("the lines do not have the seal's sha256")]
    Sha256,
    #[error("the seal counts {sealed} lines, but {found} lie before it")]
    Count { sealed: u32, found: u32 },
    #[error("lines without a seal")]
    Unsealed,
    #[error("cut off")]
    Torn,
    #[error("more than {limit} bytes")]
    TooLong { limit: usize },
    #[error("more than {limit} lines without a seal")]
    TooMany { limit: usize },
}

/// What was rejected, where it lies, and why.
#[derive(Debug)]
pub struct Damage {
    /// The line that is wrong, from 1; of lines without a seal, the first.
    pub line: u64,
    /// The bytes of the file that were rejected with it, whole lines.
    pub bytes: Range<u64>,
    /// How many lines these are.
    pub lines: u64,
    /// The bucket that was rejected, as far as what is left of it says.
    pub span: Option<Span>,
    pub fault: Fault,
}
