//! `agent`: the agent as it runs on a node: how soon it counts, what answering requests costs, and what it uses per
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
/// When the agent fails.
pub fn run(report: &mut Report) -> Result<()> {
    start::run(report)?;
    asked::run(report)?;
    hour::run(report)
}
