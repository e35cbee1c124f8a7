//! PURE: the `bind` lines of haproxy's `frontend` and `listen` sections.

use serde_json::Value;

use super::{Format, FormatError, address, tree};
use crate::ports::{Claim, Complaint, Detail, ListPosition, Listed};

/// The keywords that begin a section, and thereby end the one before.
const SECTIONS: [&str; 14] = [
    "global",
    "defaults",
    "frontend",
    "listen",
    "backend",
    "peers",
    "resolvers",
    "mailers",
    "userlist",
    "program",
    "cache",
    "http-errors",
    "ring",
    "log-forward",
];

/// Reads `haproxy.cfg`.
pub struct Haproxy;

impl Format for Haproxy {
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError> {
        let text = tree::whole_lines(text)?;
        let (mut listed, mut section, mut sections) = (Listed::default(), None, 0);
        for (index, line) in text.lines().enumerate() {
            let words = words(line);
            match words.as_slice() {
                [kind, rest @ ..] if SECTIONS.contains(&kind.as_str()) => {
                    sections += 1;
                    let listens = matches!(kind.as_str(), "frontend" | "listen");
                    section = listens.then(|| rest.first().cloned().unwrap_or_default());
                }
                [bind, addresses, ..] if bind == "bind" => {
                    if let Some(name) = &section {
                        for address in addresses.split(',') {
                            add(&mut listed, address, name, index + 1);
                        }
                    }
                }
                _ => {}
            }
        }
        let expected = "haproxy's configuration, with sections such as `frontend`";
        if sections == 0 { Err(FormatError::Shape { expected, found: "no section" }) } else { Ok(listed) }
    }

    fn folder_extensions(&self) -> &'static [&'static str] {
        &["cfg"]
    }
}

fn add(listed: &mut Listed, text: &str, section: &str, line: usize) {
    // `unix@`, `fd@` and `abns@` have no port; `ipv4@`, `quic6@` and the like only qualify the address after them.
    let text = match text.split_once('@') {
        Some(("unix" | "abns" | "abnsz" | "fd" | "sockpair" | "rhttp" | "rev", _)) => return,
        Some((_, rest)) => rest,
        None => text,
    };
    if text.starts_with('/') {
        return;
    }
    let row = ListPosition::Line(line);
    // A variable may be the host, which is then taken for one that others can reach, but not the port.
    let is_host = |variable: &str| variable.split_once('}').is_some_and(|(_, after)| after.starts_with(':'));
    if let Some((_, rest)) = text.rsplit_once("${")
        && !is_host(rest)
    {
        let variable = rest.split('}').next().unwrap_or_default().to_owned();
        return listed.complain(Complaint::Environment { row, variable });
    }
    let address = Value::String(text.to_owned());
    let (host, ports) = address::split(&address);
    if !host.is_some_and(super::is_loopback) {
        let detail = Detail { label: Some(section.to_owned()), ..Detail::default() };
        listed.add_ranges(&row, address::ranges(ports), &Claim { owner: None, detail });
    }
}

/// Splits a line into words as haproxy does: with quotes and backslashes, and with `#` beginning a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut is_word, mut quote) = (Vec::new(), String::new(), false, None);
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, '#') => break,
            (None, character) if character.is_whitespace() => {
                if is_word {
                    words.push(std::mem::take(&mut word));
                }
                is_word = false;
            }
            (None, '"' | '\'') => {
                quote = Some(character);
                is_word = true;
            }
            (Some(open), character) if open == character => quote = None,
            (None | Some('"'), '\\') => {
                word.extend(characters.next());
                is_word = true;
            }
            (_, character) => {
                word.push(character);
                is_word = true;
            }
        }
    }
    if is_word {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests;
