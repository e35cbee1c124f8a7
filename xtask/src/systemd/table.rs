//! The tables that a run ends with.

use std::time::Duration;

use crate::kernels::lines;

/// What came of one step on one release.
pub struct StepRow {
    pub step: &'static str,
    pub took: Duration,
    /// Since the beginning, all ports, both directions.
    pub observed_bytes: u64,
    pub logged_bytes: u64,
    /// Port by port and direction by direction.
    pub difference_bytes: u64,
    /// What the main node had after it gathered.
    pub gathered_bytes: u64,
}

/// One line a step.
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

/// `2.0` of `→ Overall exposure level for flow-agent.service: 2.0 OK 🙂`.
pub fn exposure(said: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.contains("Overall exposure level"))?;
    line.rsplit_once(": ")?.1.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests;
