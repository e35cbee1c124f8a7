//! PURE: finds the key of a TOML file at a position.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The dotted name of the key, such as `count.bucket`, whose value begins at byte `at` of `text` or contains it. `None`
/// if there is none, or if the text is not TOML.
pub(super) fn at(text: &str, at: usize) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    in_table(table.get_ref(), at)
}

/// Looks at the inner values first, because the span of a table that is written as a section covers only its header.
fn in_table(table: &DeTable<'_>, at: usize) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let key = key.get_ref();
        match in_value(value, at) {
            Some(inner) => Some(format!("{key}.{inner}")),
            None => holds(value, at).then(|| key.to_string()),
        }
    })
}

fn in_value(value: &Spanned<DeValue<'_>>, at: usize) -> Option<String> {
    match value.get_ref() {
        DeValue::Table(table) => in_table(table, at),
        DeValue::Array(items) => items.iter().find_map(|item| in_value(item, at)),
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {
            None
        }
    }
}

fn holds(value: &Spanned<DeValue<'_>>, at: usize) -> bool {
    value.span().contains(&at)
        || matches!(value.get_ref(), DeValue::Array(items) if items.iter().any(|item| holds(item, at)))
}

#[cfg(test)]
mod tests;
