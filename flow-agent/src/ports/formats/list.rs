//! PURE: the plain list of ports: one port or range per line, then optionally a user's name; `#` begins a comment.

use super::{Format, FormatError};
use crate::ports::{Claim, Complaint, ListPosition, Listed, spec, without_mark};

/// Reads the plain list.
pub struct List;

impl Format for List {
    /// A line that names no port is left out and reported, unless no line does: then the whole file is rejected.
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError> {
        let text = without_mark(text);
        match text.last() {
            None => return Err(FormatError::Empty),
            Some(b'\n') => {}
            Some(_) => return Err(FormatError::TornLine),
        }
        let mut listed = Listed::default();
        let mut rows = 0;
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = without_comment(line).trim_ascii();
            if !line.is_empty() {
                rows += 1;
                add(&mut listed, &ListPosition::Line(index + 1), line);
            }
        }
        match listed.owners.is_empty() && rows > 0 {
            true => Err(FormatError::NoRowFits { rows, expected: "a port or range, then optionally a user's name" }),
            false => Ok(listed),
        }
    }
}

fn add(listed: &mut Listed, row: &ListPosition, line: &[u8]) {
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (ports, name) = line.split_at(end);
    let ports = match spec::range(&String::from_utf8_lossy(ports)) {
        Ok(ports) => ports,
        Err(error) => return listed.complain(Complaint::Port { row: row.clone(), error }),
    };
    let owner = std::str::from_utf8(name);
    if owner.is_err() {
        listed.complain(Complaint::NameNotUtf8 { port: *ports.start(), row: row.clone() });
    }
    let claim = Claim { owner: owner.ok().map(str::to_owned), ..Claim::default() };
    listed.add_ranges(row, Ok(vec![ports]), &claim);
}

/// A `#` begins a comment at the start of a line or after a space; within a name it is part of the name.
fn without_comment(line: &[u8]) -> &[u8] {
    let begins = |at: &usize| line[*at] == b'#' && (*at == 0 || line[*at - 1].is_ascii_whitespace());
    (0..line.len()).find(begins).map_or(line, |at| &line[..at])
}

#[cfg(test)]
mod tests;
