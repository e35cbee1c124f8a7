//! PURE: what a backend leaves to another one.

use super::Retired;

/// The counters of a backend that another one replaces.
#[derive(Default)]
pub struct LeftCounters {
    /// The sets of counters, which no packet enters any more.
    pub retired: Vec<Box<dyn Retired>>,
    /// What happened to them, if they were removed or changed while no agent ran.
    pub why_damaged: Option<String>,
    /// What happened to the counting of single interfaces while no agent ran, by name.
    pub detached: Vec<(String, &'static str)>,
}

/// The reason for a gap if nothing is found of the counters that the newest reading on disk came from.
pub const COUNTERS_GONE: &str = "the counters were removed while no agent ran";
