//! The table of users: their quotas, how much of them is used, and what follows.

use comfy_table::CellAlignment;
use serde::Serialize;

use super::figures::FigureRow;
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

/// The table for the terminal.
pub fn table(rows: &[UserRow]) -> String {
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
    table::build(
        columns.into_iter(),
        rows.iter().map(|UserRow(user)| {
            // More may have been used than was measured.
            let at_least = if user.is_incomplete { "≥ " } else { "" };
            vec![
                user.user.clone(),
                user.quota_bytes.map_or_else(|| "-".to_owned(), |quota| Written(quota).to_string()),
                format!("{at_least}{}", Human(user.used_bytes.into())),
                user.quota_bytes.map(|quota| numbers::percent(user.used_bytes, quota, 1)).unwrap_or_default(),
                optional(user.left_bytes),
                optional(user.forecast_bytes),
                state(&user.condition),
            ]
        }),
    )
}

fn state(condition: &Condition) -> String {
    match condition {
        Condition::Open => "open".to_owned(),
        Condition::Warned { level } => format!("warned: {level} % reached"),
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
