//! The tables that are printed at the end.

use std::time::Duration;

use crate::kernels::lines;

/// The result of one step on one release.
pub struct StepRow {
    pub step: &'static str,
    pub took: Duration,
    /// The total since the beginning, for all ports in both directions.
    pub observed_bytes: u64,
    pub logged_bytes: u64,
    /// The sum of the differences over all ports and directions.
    pub difference_bytes: u64,
    /// The bytes that the main node had after gathering.
    pub gathered_bytes: u64,
}

/// Formats the steps, with one row for each.
pub fn table(release: &str, rows: &[StepRow]) -> String {
    let title = format!("Debian {release}");
    let mut table = vec![
        [&title, "observed", "in the logs", "difference", "gathered by scp", "seconds"].map(str::to_owned).to_vec(),
    ];
    for row in rows {
        table.push(vec![
            row.step.to_owned(),
            row.observed_bytes.to_string(),
            row.logged_bytes.to_string(),
            row.difference_bytes.to_string(),
            row.gathered_bytes.to_string(),
            row.took.as_secs().to_string(),
        ]);
    }
    lines(&table)
}

/// Extracts `2.0` from `→ Overall exposure level for flow-agent.service: 2.0 OK 🙂`.
pub fn exposure(said: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.contains("Overall exposure level"))?;
    line.rsplit_once(": ")?.1.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests;
