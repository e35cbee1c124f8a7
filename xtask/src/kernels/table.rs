//! The table of kernels, in the form that it has in CONTRIBUTING.md.

use std::collections::BTreeMap;
use std::time::Duration;

use super::verdict::Outcome;

/// The result for one kernel.
pub struct KernelRow {
    pub series: &'static str,
    pub outcome: Outcome,
    /// The reason why it did not pass; `None` if it passed.
    pub objection: Option<String>,
    pub took: Duration,
}

/// The names of the facts in which a test reports the number of verified instructions by program.
const VERIFIED: [&str; 2] = ["verified_insns", "verified_insns at most"];

/// A table with one row for each kernel, and one with the verified instructions of each program: for the cheapest and
/// for the most expensive settings.
pub fn table(rows: &[KernelRow]) -> String {
    let mut table = vec![["series", "kernel", "attaches by", "tests", "result", "seconds"].map(str::to_owned).to_vec()];
    for row in rows {
        let fact = |name| row.outcome.fact(name).unwrap_or("-").to_owned();
        let (passed, failed) = (row.outcome.passed.len(), row.outcome.failed.len());
        let result = row.objection.as_deref().unwrap_or("passed").to_owned();
        let seconds = row.took.as_secs().to_string();
        table.push(vec![
            row.series.into(),
            fact("kernel"),
            fact("place"),
            (passed + failed).to_string(),
            result,
            seconds,
        ]);
    }
    let mut text = lines(&table);
    let measured: Vec<_> = rows.iter().filter_map(|row| Some((row.series, verified(&row.outcome)?))).collect();
    if let Some((_, programs)) = measured.first() {
        let mut table = vec![vec!["verified_insns".to_owned()]];
        table[0].extend(programs.keys().cloned());
        for (series, programs) in &measured {
            table.push([(*series).to_owned()].into_iter().chain(programs.values().cloned()).collect());
        }
        text.push('\n');
        text.push_str(&lines(&table));
    }
    text
}

/// The text `least to most` for each program; `None` if it was not measured.
fn verified(outcome: &Outcome) -> Option<BTreeMap<String, String>> {
    let [least, most] = VERIFIED.map(|name| outcome.fact(name).map(by_program));
    let (least, most) = (least?, most?);
    let range = |(program, least): (String, String)| {
        let most = most.get(&program).map_or("-", String::as_str);
        (program, format!("{least} to {most}"))
    };
    Some(least.into_iter().map(range).collect())
}

/// Parses `ingress_eth 812, egress_eth 798`.
fn by_program(fact: &str) -> BTreeMap<String, String> {
    let pairs = fact.split(", ").filter_map(|pair| pair.split_once(' '));
    pairs.map(|(program, count)| (program.to_owned(), count.to_owned())).collect()
}

/// Formats a Markdown table with aligned columns.
pub fn lines(table: &[Vec<String>]) -> String {
    let width = |column: usize| table.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let line = |cells: &[String]| {
        let cells = cells.iter().enumerate().map(|(column, cell)| format!(" {cell:<0$} ", width(column)));
        format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
    };
    let Some((head, rows)) = table.split_first() else { return String::new() };
    let rule = (0..head.len()).map(|column| "-".repeat(width(column) + 2)).collect::<Vec<_>>().join("|");
    let rows: String = rows.iter().map(|row| line(row)).collect();
    format!("{}|{rule}|\n{rows}", line(head))
}

#[cfg(test)]
mod tests;
