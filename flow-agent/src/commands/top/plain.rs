//! PURE: the output of `top` as lines of text, without a terminal.

use super::app::App;
use super::paint::{bytes, rate};

/// The first `limit` rows of the newest answer, each on a line with the time.
pub fn lines(app: &App, limit: usize) -> String {
    let Some(snapshot) = &app.snapshot else { return String::new() };
    let time = snapshot.at.to_rfc3339();
    let mut text = String::new();
    for index in app.order.iter().take(limit) {
        let row = &app.rows()[*index];
        let total =
            |counters: Option<crate::ledger::counters::Counters>| bytes(app, counters.map(|counters| counters.bytes()));
        let owner = if row.owner.is_empty() { String::new() } else { format!(" ({})", row.owner) };
        text += &format!(
            "{time}  {}{owner}  in {}  out {}  today {}  month {}\n",
            row.name,
            rate(app, row.rate_in()),
            rate(app, row.rate_out()),
            total(row.today),
            total(row.month)
        );
    }
    text
}
