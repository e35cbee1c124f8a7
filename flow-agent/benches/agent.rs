//! `agent`: the agent itself, as it runs on a node: how soon it counts, what it takes an hour, and what it costs to ask it.

mod asked;
mod hour;
mod month;
mod running;
mod start;

use anyhow::Result;

use crate::figures::Report;

/// Measures starts, then hours, then answers.
///
/// # Errors
/// When the agent does not run as it should.
pub fn run(report: &mut Report) -> Result<()> {
    start::run(report)?;
    hour::run(report)?;
    asked::run(report)
}
