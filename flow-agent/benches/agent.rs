//! `agent`: the agent itself, as it runs on a node: how soon it counts, what it costs to ask it, and what it takes an
//! hour.

mod asked;
mod hour;
mod month;
mod running;
mod start;

use anyhow::Result;

use crate::figures::Report;

/// Measures starts, then answers, then hours.
///
/// # Errors
/// When the agent does not run as it should.
pub fn run(report: &mut Report) -> Result<()> {
    start::run(report)?;
    asked::run(report)?;
    hour::run(report)
}
