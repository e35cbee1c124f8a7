//! PURE: reads `users_file`, a CSV of users, including variants that spreadsheets save.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::check::divide;
use super::error::{ConfigError, FilePosition, Positions};
use super::mail::Address;
use super::shape::UserNodes;
use super::users::Declared;
use super::value::{ByteCount, Day, NodeName, UsedBytes, UserName, Value, ValueError};
use crate::ledger::language::Language;
use crate::ledger::month::Month;
use crate::ledger::user::{OnQuota, UsedBefore, User};
use crate::ports::spec;

const COLUMNS: [&str; 10] =
    ["name", "ports", "email", "language", "quota", "on_quota", "expires", "used", "used_in", "nodes"];

/// A row of the CSV; its header names the columns, in any order.
#[derive(Deserialize)]
struct Row {
    name: String,
    #[serde(default)]
    ports: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    language: String,
    #[serde(default)]
    quota: String,
    #[serde(default)]
    on_quota: String,
    #[serde(default)]
    expires: String,
    #[serde(default)]
    used: String,
    #[serde(default)]
    used_in: String,
    #[serde(default)]
    nodes: String,
}

/// Reads `text`, the content of `path`: a header with some of [`COLUMNS`], then one user per line. A field may be
/// empty. Ports are in one field, separated by spaces, semicolons, or (in quotes) commas. `#` begins a comment line.
///
/// Fields are separated by commas, semicolons or tabs, according to the header or to a first line such as `sep=;`.
/// Empty rows and columns are ignored.
pub(super) fn from_csv(path: &Path, text: &str) -> Result<Vec<Declared>, ConfigError> {
    let positions = Positions::new(path, text);
    let refuse_at = |at: usize, message: String| Err(ConfigError::Value { place: positions.of(at), message });
    // `18388` cut off after `183` still looks like a port, so only a line that ends is complete.
    if !text.is_empty() && !text.ends_with(['\n', '\r']) {
        let last_line = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
        let message = "its last line has no line feed: it is being written or was truncated; end it with a line feed";
        return refuse_at(last_line, message.to_owned());
    }
    let (body_at, separator) = separator(text);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .comment(Some(b'#'))
        .delimiter(separator)
        .flexible(true)
        .from_reader(&text.as_bytes()[body_at..]);
    let place = |position: Option<&csv::Position>| first_line(&positions, text, body_at, position);
    let refuse =
        |error: csv::Error| ConfigError::Value { place: place(error.position()), message: csv_message(&error) };
    let headers = reader.headers().map_err(refuse)?.clone();
    check_header(&headers).map_err(|message| ConfigError::Value { place: place(None), message })?;
    let mut users = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(refuse)? {
        if record.iter().all(str::is_empty) {
            continue;
        }
        let at = place(record.position());
        let refuse = |message: String| ConfigError::Value { place: at.clone(), message };
        let row = row(&record, &headers).map_err(refuse)?;
        users.push(declare(row, &at)?);
    }
    Ok(users)
}

/// The separator of fields, and the position at which the header, or what precedes it, begins.
fn separator(text: &str) -> (usize, u8) {
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut at = mark;
    for line in text[mark..].split_inclusive('\n') {
        let words = line.trim_end_matches(['\n', '\r']);
        // Excel's own line, which may be in quotes or padded with separators.
        if at == mark
            && let Some(separator) = words.trim_matches('"').strip_prefix("sep=")
        {
            let separator = match separator.as_bytes().first() {
                Some(separator) if separator.is_ascii() => *separator,
                Some(_) | None => b',',
            };
            return (at + line.len(), separator);
        }
        if !words.trim().is_empty() && !words.starts_with('#') {
            let count = |separator: u8| words.bytes().filter(|byte| *byte == separator).count();
            // If several are equally frequent, the last is taken, which is the comma.
            let separator = [b'\t', b';', b','].into_iter().max_by_key(|separator| count(*separator));
            return (mark, separator.unwrap_or(b','));
        }
        at += line.len();
    }
    (mark, b',')
}

/// The position of the row that was read from `position` on: the reader skips empty lines and comments first.
fn first_line(positions: &Positions<'_>, text: &str, body_at: usize, position: Option<&csv::Position>) -> FilePosition {
    let mut at = body_at + position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(0);
    while let Some(line) = text.get(at..).and_then(|rest| rest.split_inclusive('\n').next()) {
        if !line.trim_start_matches('\u{feff}').trim().is_empty() && !line.starts_with('#') {
            break;
        }
        at += line.len();
    }
    positions.of(at)
}

/// Checks the header: without one, the first user would be lost, and the meaning of all columns with it.
fn check_header(headers: &csv::StringRecord) -> Result<(), String> {
    let expected = COLUMNS.join(",");
    if let Some(unknown) = headers.iter().find(|column| !column.is_empty() && !COLUMNS.contains(column)) {
        return Err(format!("unknown column {unknown:?}, expected a header of {expected}"));
    }
    if let Some(twice) = COLUMNS.iter().find(|name| headers.iter().filter(|column| column == *name).count() > 1) {
        return Err(format!("column {twice:?} appears twice, expected a header of {expected}"));
    }
    if headers.iter().all(|column| column != "name") {
        return Err(format!("no column \"name\", expected a header of {expected}"));
    }
    Ok(())
}

/// The fields of a row, without those in columns that have neither a name nor content.
fn row(record: &csv::StringRecord, headers: &csv::StringRecord) -> Result<Row, String> {
    // Even if the surplus fields are empty: an unquoted comma among the ports shifts all fields after it by a column.
    if record.len() != headers.len() {
        return Err(format!("{} fields, expected {} as in the header", record.len(), headers.len()));
    }
    let (mut names, mut fields) = (csv::StringRecord::new(), csv::StringRecord::new());
    for (index, field) in record.iter().enumerate() {
        match headers.get(index) {
            Some("") if !field.is_empty() => {
                return Err(format!("{field:?} is in column {}, which has no name", index + 1));
            }
            Some("") => {}
            None => {}
            Some(name) => {
                names.push_field(name);
                fields.push_field(field);
            }
        }
    }
    fields.deserialize(Some(&names)).map_err(|error| csv_message(&error))
}

fn declare(row: Row, at: &FilePosition) -> Result<Declared, ConfigError> {
    let refuse = |error: ValueError| ConfigError::Value { place: at.clone(), message: error.to_string() };
    let ports =
        if row.ports.is_empty() { BTreeSet::new() } else { spec::set(&row.ports).map_err(|e| refuse(e.into()))? };
    let name = UserName::parse(&row.name).map_err(refuse)?.0;
    let nodes = nodes(&row.nodes).map_err(refuse)?;
    let quota = optional::<ByteCount>(&row.quota).map_err(refuse)?.map(|quota| quota.0);
    let (quota_bytes, shares) = divide(&name, quota, &nodes, Some(at.clone()))?;
    let month = optional::<Month>(&row.used_in).map_err(refuse)?;
    if month.is_some() && row.used.is_empty() {
        return Err(ConfigError::Without { place: at.clone(), given: "used_in", missing: "used" });
    }
    let used = optional::<UsedBytes>(&row.used).map_err(refuse)?;
    let user = User {
        name,
        email: optional::<Address>(&row.email).map_err(refuse)?.map(|address| address.0),
        language: optional::<Language>(&row.language).map_err(refuse)?.unwrap_or_default(),
        quota_bytes,
        on_quota: optional::<OnQuota>(&row.on_quota).map_err(refuse)?.unwrap_or_default(),
        expires: optional::<Day>(&row.expires).map_err(refuse)?.map(|day| day.0),
        used: used.map(|used| UsedBefore { bytes: used.0, month }),
        ports,
        nodes: nodes.names.into_iter().collect(),
        shares,
    };
    Ok(Declared { at: at.clone(), ports: user.ports.iter().map(|port| (*port..=*port, at.clone())).collect(), user })
}

/// The names of nodes, separated by spaces, semicolons or commas, or shares such as `hk-1=300 GiB; us-1=200 GiB`.
fn nodes(text: &str) -> Result<UserNodes, ValueError> {
    let mut nodes = UserNodes::default();
    if !text.contains('=') {
        let names = text.split([' ', ';', ',']).filter(|name| !name.is_empty());
        nodes.names = names.map(|name| NodeName::parse(name).map(|name| name.0)).collect::<Result<_, _>>()?;
        return Ok(nodes);
    }
    for part in text.split([';', ',']).filter(|part| !part.trim().is_empty()) {
        let (name, share) = part.split_once('=').unwrap_or((part, ""));
        let name = NodeName::parse(name.trim())?.0;
        if nodes.names.contains(&name) {
            return Err(ValueError::NodeTwice { name });
        }
        nodes.names.push(name);
        nodes.shares.push(ByteCount::parse(share.trim())?.0);
    }
    Ok(nodes)
}

fn optional<T: Value>(text: &str) -> Result<Option<T>, ValueError> {
    if text.is_empty() { Ok(None) } else { T::parse(text).map(Some) }
}

/// The library's message without the position, which is printed before it already.
fn csv_message(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => err.kind().to_string(),
        csv::ErrorKind::Io(_)
        | csv::ErrorKind::Utf8 { .. }
        | csv::ErrorKind::UnequalLengths { .. }
        | csv::ErrorKind::Seek
        | csv::ErrorKind::Serialize(_)
        | _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
