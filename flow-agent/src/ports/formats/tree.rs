//! PURE: reads JSON, JSON5, TOML and YAML into one kind of tree, and takes values from such trees.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::{FormatError, json5_text};
use crate::ports::spec::{self, SpecError};
use crate::ports::{Complaint, ListPosition, without_mark};

/// Reads JSON.
pub fn json(text: &[u8], expected: &'static str) -> Result<Value, FormatError> {
    let text = without_mark(text);
    if text.trim_ascii().is_empty() {
        return Err(FormatError::NoText);
    }
    serde_json::from_slice(text).map_err(|source| match source.is_eof() {
        true => FormatError::Torn { line: source.line() },
        false => FormatError::Json { expected, source },
    })
}

/// Reads JSON, including comments, trailing commas and whatever else JSON5 allows.
pub fn json5(text: &[u8], expected: &'static str) -> Result<Value, FormatError> {
    match json(text, expected) {
        Err(FormatError::Json { .. }) => {}
        done => return done,
    }
    let text = utf8(without_mark(text))?;
    json5_text::refuse_deep(text)?;
    let refused = match json5::from_str(text) {
        Ok(tree) => return Ok(tree),
        Err(refused) => refused,
    };
    // Xray and sing-box also accept comments that begin with `#`, which JSON5 does not. A quote in such a comment hides
    // what follows it from the first check of the nesting, so that is repeated.
    if let Some(text) = json5_text::without_hash_comments(text) {
        json5_text::refuse_deep(&text)?;
        if let Ok(tree) = json5::from_str(&text) {
            return Ok(tree);
        }
    }
    match refused.code() {
        Some(code) if is_end(code) => Err(FormatError::Torn { line: text.lines().count().max(1) }),
        Some(_) | None => Err(FormatError::Json5 { expected, source: refused }),
    }
}

fn is_end(code: json5::ErrorCode) -> bool {
    use json5::ErrorCode as Code;
    matches!(
        code,
        Code::EofParsingArray
            | Code::EofParsingBool
            | Code::EofParsingComment
            | Code::EofParsingEscapeSequence
            | Code::EofParsingIdentifier
            | Code::EofParsingNull
            | Code::EofParsingNumber
            | Code::EofParsingObject
            | Code::EofParsingString
            | Code::EofParsingValue
    )
}

/// Reads TOML, whose library limits nesting. A text that is cut off between two lines cannot be told from a complete
/// one, so the last line must end with a line feed.
pub fn toml(text: &[u8], expected: &'static str) -> Result<Value, FormatError> {
    let text = whole_lines(text)?;
    toml::from_str(text).map_err(|source| FormatError::Toml { expected, source: Box::new(source) })
}

/// Reads YAML, whose library limits aliases and nesting. As in TOML, the last line must end with a line feed.
pub fn yaml(text: &[u8], expected: &'static str) -> Result<Value, FormatError> {
    let text = whole_lines(text)?;
    serde_saphyr::from_str(text).map_err(|source| FormatError::Yaml { expected, source: Box::new(source) })
}

/// Reads JSON5 if the text begins with a bracket or a comment, and otherwise the format that `other` reads.
pub fn json5_or(
    other: fn(&[u8], &'static str) -> Result<Value, FormatError>,
    text: &[u8],
    expected: &'static str,
) -> Result<Value, FormatError> {
    match without_mark(text).trim_ascii_start().first() {
        Some(b'{' | b'/') => json5(text, expected),
        _ => other(text, expected),
    }
}

/// The text, if all of its lines end with a line feed.
pub fn whole_lines(text: &[u8]) -> Result<&str, FormatError> {
    let text = utf8(without_mark(text))?;
    if text.trim().is_empty() {
        return Err(FormatError::NoText);
    }
    if text.ends_with('\n') { Ok(text) } else { Err(FormatError::TornLine) }
}

fn utf8(text: &[u8]) -> Result<&str, FormatError> {
    std::str::from_utf8(text).map_err(|error| FormatError::NotUtf8 {
        line: text[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1,
    })
}

/// The object at the root of a tree.
pub fn object<'t>(tree: &'t Value, expected: &'static str) -> Result<&'t Map<String, Value>, FormatError> {
    tree.as_object().ok_or_else(|| FormatError::Shape { expected, found: kind(tree) })
}

/// The list called `key` in `object`; empty if it is absent.
pub fn list<'t>(object: &'t Map<String, Value>, key: &str, expected: &'static str) -> Result<&'t [Value], FormatError> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(other) => Err(FormatError::Shape { expected, found: kind(other) }),
    }
}

/// The type of a value in the terms of JSON.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The string called `key`, trimmed; `None` if it is absent, empty or not a string.
pub fn text<'t>(object: &'t Value, key: &str) -> Option<&'t str> {
    object.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// The name called `key`. YAML reads a name that consists of digits, such as the id of an account, as a number.
pub fn name(object: &Value, key: &str) -> Option<String> {
    match object.get(key)? {
        Value::Number(number) if number.is_u64() => Some(number.to_string()),
        _ => text(object, key).map(str::to_owned),
    }
}

/// A port, as a number or as a string of digits.
pub fn port(value: &Value) -> Result<u16, SpecError> {
    ranges(value).and_then(|ranges| match ranges.as_slice() {
        [range] if range.start() == range.end() => Ok(*range.start()),
        _ => Err(not_a_port(value)),
    })
}

/// Ports, as a number or as a string such as `443` or `53,1000-2000`.
pub fn ranges(value: &Value) -> Result<Vec<RangeInclusive<u16>>, SpecError> {
    match value {
        Value::Number(number) => {
            let number = number.as_i128().ok_or_else(|| not_a_port(value))?;
            spec::port(number).map(|port| vec![port..=port])
        }
        Value::String(text) => {
            let parts: Vec<_> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
            if parts.is_empty() {
                return Err(SpecError::Empty);
            }
            parts.into_iter().map(spec::range).collect()
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(not_a_port(value)),
    }
}

fn not_a_port(value: &Value) -> SpecError {
    let found = match value {
        Value::Array(_) | Value::Object(_) => kind(value).to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    };
    SpecError::NotAPort { found }
}

/// The port called `key` in a row, or the complaint about it.
pub fn port_of(row: &ListPosition, object: &Value, key: &'static str) -> Result<u16, Complaint> {
    match object.get(key) {
        None | Some(Value::Null) => Err(Complaint::NoPort { row: row.clone(), key }),
        Some(value) => port(value).map_err(|error| Complaint::Port { row: row.clone(), error }),
    }
}

#[cfg(test)]
mod tests;
