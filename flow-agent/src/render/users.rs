//! The table of users: their quotas, how much of them is used, and what follows.

use comfy_table::CellAlignment;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::figures::FigureRow;
use super::screen::ScreenStyle;
use super::summary::inert;
use super::{numbers, table};
use crate::ledger::limits::state::{Condition, UserMonth};
use crate::ledger::units::{Human, Written};

const LEFT: CellAlignment = CellAlignment::Left;
const RIGHT: CellAlignment = CellAlignment::Right;

/// A user as shown by `flow-agent users`.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct UserRow(pub UserMonth);

/// The table for the terminal. Names and states are cut so that no line is wider than the terminal.
pub fn table(rows: &[UserRow], look: &ScreenStyle) -> String {
    let columns = [
        ("user", LEFT),
        ("quota", RIGHT),
        ("used", RIGHT),
        ("", RIGHT),
        ("left", RIGHT),
        ("forecast", RIGHT),
        ("state", LEFT),
    ];
    let optional = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), |bytes| Human(bytes.into()).to_string());
    let mut cells: Vec<Vec<String>> = rows
        .iter()
        .map(|UserRow(user)| {
            // More may have been used than was measured.
            let at_least = if user.is_incomplete { "≥ " } else { "" };
            vec![
                look.name(&user.user, usize::MAX),
                user.quota_bytes.map_or_else(|| "-".to_owned(), |quota| Written(quota).to_string()),
                format!("{at_least}{}", Human(user.used_bytes.into())),
                user.quota_bytes.map(|quota| numbers::percent(user.used_bytes, quota, 1)).unwrap_or_default(),
                optional(user.left_bytes),
                optional(user.forecast_bytes),
                state(&user.condition),
            ]
        })
        .collect();
    if !look.is_piped {
        fit(&mut cells, &columns.map(|(title, _)| title), look);
    }
    table::build(columns.into_iter(), cells.into_iter())
}

/// Cuts the first column, and the last one if that is not enough, to the width of the terminal.
fn fit(cells: &mut [Vec<String>], titles: &[&str], look: &ScreenStyle) {
    const FEWEST: usize = 8;
    /// The space between two columns.
    const BETWEEN: usize = 2;
    let widest = |column: usize| {
        let texts = cells.iter().map(|row| row[column].as_str()).chain([titles[column]]);
        texts.map(UnicodeWidthStr::width).max().unwrap_or(0)
    };
    let last = titles.len() - 1;
    let others: usize = (1..last).map(widest).sum::<usize>() + BETWEEN * last;
    let room = look.width.saturating_sub(others);
    let name = room.saturating_sub(widest(last)).max(FEWEST.min(widest(0)));
    let state = room.saturating_sub(name.min(widest(0))).max(FEWEST);
    for row in cells {
        row[0] = look.name(&row[0], name);
        row[last] = look.name(&row[last], state);
    }
}

fn state(condition: &Condition) -> String {
    match condition {
        Condition::Open => "open".to_owned(),
        Condition::Warned { level } => format!("{level} % reached"),
        Condition::Cut { since: Some(day), nodes } => format!("cut since {day} on {}", nodes.join(", ")),
        Condition::Cut { since: None, nodes } => format!("cut on {}", nodes.join(", ")),
        Condition::Expired { since } => format!("expired since {since}"),
    }
}

impl FigureRow for UserRow {
    const HEADER: &[&str] = &[
        "user",
        "month",
        "quota_bytes",
        "granted_bytes",
        "counted_bytes",
        "used_before_bytes",
        "used_bytes",
        "left_bytes",
        "forecast_bytes",
        "expires",
        "on_quota",
        "state",
        "level",
        "since",
        "nodes",
        "is_incomplete",
    ];

    fn fields(&self) -> Vec<String> {
        let Self(user) = self;
        let optional = |bytes: Option<u64>| bytes.map(|bytes| bytes.to_string()).unwrap_or_default();
        let (state, level, since, nodes) = match &user.condition {
            Condition::Open => ("open", String::new(), String::new(), String::new()),
            Condition::Warned { level } => ("warned", level.to_string(), String::new(), String::new()),
            Condition::Cut { since, nodes } => {
                ("cut", String::new(), since.map(|day| day.to_string()).unwrap_or_default(), nodes.join(" "))
            }
            Condition::Expired { since } => ("expired", String::new(), since.to_string(), String::new()),
        };
        vec![
            inert(&user.user),
            user.month.to_string(),
            optional(user.quota_bytes),
            user.granted_bytes.to_string(),
            user.counted_bytes.to_string(),
            user.used_before_bytes.to_string(),
            user.used_bytes.to_string(),
            optional(user.left_bytes),
            optional(user.forecast_bytes),
            user.expires.map(|day| day.to_string()).unwrap_or_default(),
            user.on_quota.name().to_owned(),
            state.to_owned(),
            level,
            since,
            nodes,
            user.is_incomplete.to_string(),
        ]
    }
}

#[cfg(test)]
mod tests;
