//! PURE: users, from `[[users]]` and from the CSV of `users_file`, and that each port is one user's on every node.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::Path;

use serde::Deserialize;

use super::error::{ConfigError, Overlap, Place};
use super::mail::Address;
use super::value::{ByteCount, UserName, Value, ValueError};
use crate::ledger::language::Language;
use crate::ledger::user::User;
use crate::ports::spec;

/// A user, and where it was declared.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Declared {
    pub(super) at: Place,
    pub(super) ports: Vec<(RangeInclusive<u16>, Place)>,
    pub(super) user: User,
}

/// All users of both sources, in their order.
pub(super) fn merge(declared: &[Declared], from_file: &[Declared]) -> Result<Vec<User>, ConfigError> {
    let all = || declared.iter().chain(from_file);
    let mut names: BTreeMap<&str, &Place> = BTreeMap::new();
    for Declared { at, user, .. } in all() {
        if let Some(first) = names.insert(&user.name, at) {
            let (place, name, first) = (at.clone(), user.name.clone(), first.clone());
            return Err(ConfigError::Twice { place, what: "user", name, first });
        }
    }
    let mut owners: BTreeMap<u16, Vec<(&Declared, &Place)>> = BTreeMap::new();
    for user in all() {
        for (range, place) in &user.ports {
            for port in range.clone() {
                let owners = owners.entry(port).or_default();
                if let Some(overlap) = owners.iter().find_map(|other| overlap(port, (user, place), *other)) {
                    return Err(Box::new(overlap).into());
                }
                owners.push((user, place));
            }
        }
    }
    Ok(all().map(|declared| declared.user.clone()).collect())
}

fn overlap(port: u16, one: (&Declared, &Place), other: (&Declared, &Place)) -> Option<Overlap> {
    let (user, other_user) = (&one.0.user, &other.0.user);
    // A range of a user that holds a port twice takes nothing from anybody.
    if user.name == other_user.name {
        return None;
    }
    let node = common_node(&user.nodes, &other_user.nodes)?;
    Some(Overlap {
        place: one.1.clone(),
        port,
        user: user.name.clone(),
        other: other_user.name.clone(),
        other_place: other.1.clone(),
        node: node.map(str::to_owned),
    })
}

/// `Some(None)` where both are on every node, `Some(Some(name))` for the first node that both are on.
fn common_node<'a>(left: &'a BTreeSet<String>, right: &'a BTreeSet<String>) -> Option<Option<&'a str>> {
    match (left.is_empty(), right.is_empty()) {
        (true, true) => Some(None),
        (true, false) => Some(right.first().map(String::as_str)),
        (false, true) => Some(left.first().map(String::as_str)),
        (false, false) => left.intersection(right).next().map(|node| Some(node.as_str())),
    }
}

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
}

/// Reads `text`, the content of `path`: a header `name,ports,email,language,quota`, then a user a line. A field may be
/// empty; ports stand in one field, between spaces, semicolons, or (quoted) commas. `#` begins a comment line.
pub(super) fn from_csv(path: &Path, text: &str) -> Result<Vec<Declared>, ConfigError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).comment(Some(b'#')).from_reader(text.as_bytes());
    let place = |position: Option<&csv::Position>| first_line(path, text, position);
    let refuse =
        |error: csv::Error| ConfigError::Value { place: place(error.position()), message: csv_message(&error) };
    let headers = reader.headers().map_err(refuse)?.clone();
    check_header(&headers).map_err(|message| ConfigError::Value { place: place(None), message })?;
    let mut users = Vec::new();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(refuse)? {
        let row: Row = record.deserialize(Some(&headers)).map_err(refuse)?;
        let at = place(record.position());
        users.push(declare(row, &at).map_err(|error| ConfigError::Value { place: at, message: error.to_string() })?);
    }
    Ok(users)
}

/// Where the row begins that was read from `position` on: the reader passes over empty lines and comments first.
fn first_line(path: &Path, text: &str, position: Option<&csv::Position>) -> Place {
    let mut at = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(0);
    while let Some(line) = text.get(at..).and_then(|rest| rest.split_inclusive('\n').next()) {
        if !line.trim_start_matches('\u{feff}').trim().is_empty() && !line.starts_with('#') {
            break;
        }
        at += line.len();
    }
    Place::of(path, text, &(at..at))
}

/// A file without its header would lose its first user, and all others with it.
fn check_header(headers: &csv::StringRecord) -> Result<(), String> {
    const COLUMNS: [&str; 5] = ["name", "ports", "email", "language", "quota"];
    let expected = COLUMNS.join(",");
    if let Some(unknown) = headers.iter().find(|column| !COLUMNS.contains(column)) {
        return Err(format!("unknown column {unknown:?}, expected a header of {expected}"));
    }
    if headers.iter().all(|column| column != "name") {
        return Err(format!("no column \"name\", expected a header of {expected}"));
    }
    Ok(())
}

fn declare(row: Row, at: &Place) -> Result<Declared, ValueError> {
    let ports = if row.ports.is_empty() { BTreeSet::new() } else { spec::set(&row.ports)? };
    let user = User {
        name: UserName::parse(&row.name)?.0,
        email: optional::<Address>(&row.email)?.map(|address| address.0),
        language: optional::<Language>(&row.language)?.unwrap_or_default(),
        quota_bytes: optional::<ByteCount>(&row.quota)?.map(|quota| quota.0),
        ports,
        nodes: BTreeSet::new(),
    };
    Ok(Declared { at: at.clone(), ports: user.ports.iter().map(|port| (*port..=*port, at.clone())).collect(), user })
}

fn optional<T: Value>(text: &str) -> Result<Option<T>, ValueError> {
    if text.is_empty() { Ok(None) } else { T::parse(text).map(Some) }
}

/// The library's words without the position, which stands before them already.
fn csv_message(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields, expected {expected_len} as in the header")
        }
        csv::ErrorKind::Deserialize { err, .. } => err.kind().to_string(),
        csv::ErrorKind::Io(_)
        | csv::ErrorKind::Utf8 { .. }
        | csv::ErrorKind::Seek
        | csv::ErrorKind::Serialize(_)
        | _ => error.to_string(),
    }
}
