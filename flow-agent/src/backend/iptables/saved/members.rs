//! PURE: parses `ipset save` of our ipsets exactly, and finds out where `ipset restore` stopped.

use std::collections::BTreeMap;

use super::error::{ParseError, number};

/// The bytes and packets of each port; zero if the ipset has no counters.
pub type Members = BTreeMap<u16, (u64, u64)>;

/// Parses the members of the ipset `name`.
///
/// # Errors
/// When a line does not belong in such a dump, or when the text is empty or the dump of another ipset.
pub fn parse(text: &str, name: &str) -> Result<Members, ParseError> {
    let mut members = Members::new();
    let mut lines = text.lines().enumerate();
    let is_it = |line: &str| line.strip_prefix("create ").is_some_and(|rest| rest.split(' ').next() == Some(name));
    if !lines.next().is_some_and(|(_, line)| is_it(line)) {
        return Err(ParseError { line: 1, why: "another ipset, or none" });
    }
    for (index, line) in lines {
        let error = |why| ParseError { line: index + 1, why };
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let (port, packets, bytes) = match words.as_slice() {
            ["add", of, port] if *of == name => (*port, 0, 0),
            ["add", of, port, "packets", packets, "bytes", bytes] if *of == name => {
                (*port, number(packets).map_err(error)?, number(bytes).map_err(error)?)
            }
            _ => return Err(error("not a member of this ipset")),
        };
        let port = number(port).ok().and_then(|port| u16::try_from(port).ok()).ok_or(error("not a port"))?;
        if members.insert(port, (bytes, packets)).is_some() {
            return Err(error("a member appears twice"));
        }
    }
    Ok(members)
}

/// Parses the members of the ipsets `names`, whose dumps follow one another in this order.
///
/// # Errors
/// Like [`parse`]; also when there are more or fewer dumps.
pub fn parse_all(text: &str, names: &[&str]) -> Result<Vec<Members>, ParseError> {
    let mut rest = text;
    let mut all = Vec::new();
    for name in names {
        let end = rest.match_indices("\ncreate ").next().map_or(rest.len(), |(at, _)| at + 1);
        let (dump, behind) = rest.split_at(end);
        all.push(parse(dump, name)?);
        rest = behind;
    }
    if rest.is_empty() { Ok(all) } else { Err(ParseError { line: 1, why: "another ipset, or none" }) }
}

/// The line at which `ipset restore` stopped because the kernel still uses an ipset, according to its stderr. `None` if
/// it stopped for another reason.
pub fn in_use_at(stderr: &str) -> Option<usize> {
    let (_, rest) = stderr.split_once("Error in line ")?;
    let (line, why) = rest.split_once(": ")?;
    why.contains("in use by a kernel component").then(|| line.parse().ok())?
}

/// The commands from a line onwards. Lines count from 1, and those before it have been executed.
pub fn from_line(commands: &str, line: usize) -> Option<&str> {
    let done: usize = commands.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    commands.get(done..).filter(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests;
