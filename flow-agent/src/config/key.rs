//! PURE: which key of a TOML file stands at a place.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The dotted name of the key whose value begins at byte `at` of `text`, or has it inside, such as `count.bucket`. `None`
/// where there is none, and for a text that is not TOML.
pub(super) fn at(text: &str, at: usize) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    in_table(table.get_ref(), at)
}

/// Looks at the inner values first: a table has only its header in its span when it is written as a section.
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
