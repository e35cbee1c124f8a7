//! PURE: the plain list of ports: one port or range a line, then optionally a user's name; `#` begins a comment.

use std::collections::BTreeMap;

use crate::ports::spec::{self, SpecError};
use crate::ports::{Listed, without_mark};

/// Why a text is no list of ports. Lines are counted from one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// `8388` that is cut to `83` looks like a port: only a line that ends is whole.
    #[error("its last line does not end: it is being written, or was cut; end it with a line feed")]
    Torn,
    #[error("it is empty: it is being written, or was cut; where no ports are meant, say so in a comment")]
    Empty,
    #[error("line {line} is not UTF-8")]
    NotUtf8 { line: usize },
    #[error("line {line}")]
    Spec {
        line: usize,
        #[source]
        source: SpecError,
    },
    #[error("line {line}: port {port} is there already, in line {first}")]
    Twice { line: usize, port: u16, first: usize },
}

/// The ports of `text` and their users.
///
/// # Errors
/// The first line that is not as it should be, or half a file as far as that can be seen; nothing of it is taken then.
pub fn parse(text: &[u8]) -> Result<Listed, ListError> {
    let text = without_mark(text);
    match text.last() {
        None => return Err(ListError::Empty),
        Some(b'\n') => {}
        Some(_) => return Err(ListError::Torn),
    }
    let mut listed = Listed::default();
    let mut lines = BTreeMap::new();
    for (index, line_bytes) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = index + 1;
        let entry = std::str::from_utf8(line_bytes).map_err(|_| ListError::NotUtf8 { line })?;
        let entry = without_comment(entry).trim();
        if entry.is_empty() {
            continue;
        }
        let (ports, user) = entry.split_once(char::is_whitespace).unwrap_or((entry, ""));
        for port in spec::range(ports).map_err(|source| ListError::Spec { line, source })? {
            if !listed.add(port, Some(user)) {
                return Err(ListError::Twice { line, port, first: lines[&port] });
            }
            lines.insert(port, line);
        }
    }
    Ok(listed)
}

/// A `#` begins a comment at the start of a line or after a space; within a name it is part of the name.
fn without_comment(line: &str) -> &str {
    let begins = |(at, _): &(usize, &str)| *at == 0 || line[..*at].ends_with(char::is_whitespace);
    line.match_indices('#').find(begins).map_or(line, |(at, _)| &line[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_ranges_names_and_comments_are_read() {
        let text = "\u{feff}# of this node\r\n443\r\n8388 acct#1 # the first\n\n  9000-9001\tAnna O'Neil  \n";
        let listed = parse(text.as_bytes()).unwrap();
        let owners: Vec<_> = listed.owners.iter().map(|(port, user)| (*port, user.as_deref())).collect();
        let anna = Some("Anna O'Neil");
        assert_eq!(owners, [(443, None), (8388, Some("acct#1")), (9000, anna), (9001, anna)]);
        assert_eq!(parse(b"# none\n"), Ok(Listed::default()));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let message = |text: &[u8]| {
            let error = parse(text).unwrap_err();
            let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            format!("{error}{source}")
        };
        assert_eq!(message(b"443\n70000\n"), "line 2: port 70000 is out of range, expected 1 to 65535");
        assert_eq!(message(b"0 nobody\n"), "line 1: port 0 is out of range, expected 1 to 65535");
        assert_eq!(
            message(b"acct 443\n"),
            "line 1: \"acct\" is not a port, expected 1 to 65535 or a range such as 8000-8100"
        );
        assert_eq!(message(b"443\n\n440-450 b\n"), "line 3: port 443 is there already, in line 1");
        assert_eq!(message(b"443\n\xff\n"), "line 2 is not UTF-8");
    }

    #[test]
    fn a_list_cut_within_a_line_is_torn() {
        assert_eq!(parse(b"443\n83"), Err(ListError::Torn));
        assert_eq!(parse(b""), Err(ListError::Empty));
    }
}
