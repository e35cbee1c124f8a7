//! PURE: the plain list of ports: one port or range a line, then optionally a user's name; `#` begins a comment.

use super::{Format, FormatError};
use crate::ports::{Claim, Complaint, ListPosition, Listed, spec, without_mark};

/// The plain list.
pub struct List;

impl Format for List {
    /// A line that names no port is left out and complained about, unless no line does.
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
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<Listed, String> {
        List.parse(text).map_err(|error| error.to_string())
    }

    fn owners(listed: &Listed) -> Vec<(u16, Option<&str>)> {
        listed.owners.iter().map(|(port, user)| (*port, user.as_deref())).collect()
    }

    #[test]
    fn ports_ranges_names_and_comments_are_read() {
        let text = "\u{feff}# of this node\r\n443\r\n8388 acct#1 # the first\n\n  9000-9001\tAnna O'Neil  \n";
        let anna = Some("Anna O'Neil");
        let expected = [(443, None), (8388, Some("acct#1")), (9000, anna), (9001, anna)];
        assert_eq!(owners(&parse(text.as_bytes()).unwrap()), expected);
        assert_eq!(parse(b"# none\n"), Ok(Listed::default()));
    }

    #[test]
    fn a_line_that_cannot_be_counted_is_named_and_the_rest_is_taken() {
        let text = b"443 ada\n70000 bob\n0 nobody\ncarl 444\n9000 d\xffd\n440-443 eve\n100-90\n";
        let listed = parse(text).unwrap();
        let eve = Some("eve");
        assert_eq!(owners(&listed), [(440, eve), (441, eve), (442, eve), (443, None), (9000, None)]);
        let complaints: Vec<_> = listed.complaints.iter().map(ToString::to_string).collect();
        let expected = [
            "line 2 is not counted: port 70000 is out of range, expected 1 to 65535",
            "line 3 is not counted: port 0 is out of range, expected 1 to 65535",
            "line 4 is not counted: \"carl\" is not a port, expected 1 to 65535 or a range such as 8000-8100",
            "port 9000 is counted without an owner: the name in line 5 is not UTF-8",
            "port 443 is counted without an owner: it is listed for \"ada\" and for \"eve\"",
            "line 7 is not counted: range 100-90 runs backwards, expected 90-100",
        ];
        assert_eq!(complaints, expected);
    }

    #[test]
    fn a_text_without_any_port_is_not_a_list() {
        let expected = "none of its 2 rows has a port: expected a port or range, then optionally a user's name";
        assert_eq!(parse(b"<html>\n</html>\n"), Err(expected.to_owned()));
    }

    #[test]
    fn a_list_cut_within_a_line_is_torn() {
        for torn in [&b"443\n83"[..], b"443"] {
            assert!(matches!(List.parse(torn), Err(FormatError::TornLine)));
        }
        assert!(matches!(List.parse(b""), Err(FormatError::Empty)));
    }
}
