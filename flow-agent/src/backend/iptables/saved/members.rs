//! PURE: what `ipset save` prints of an ipset of ours, exactly, and where `ipset restore` had to stop.

use std::collections::BTreeMap;

use super::error::{ParseError, number};

/// Bytes and packets of each port; 0 where its members have no counters.
pub type Members = BTreeMap<u16, (u64, u64)>;

/// Reads the members of the ipset `name`.
///
/// # Errors
/// For a line that such a dump has not; when it is of another ipset, or does not begin.
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
            return Err(error("a member came twice"));
        }
    }
    Ok(members)
}

/// Reads the members of the ipsets `names`, whose dumps follow one another in this order.
///
/// # Errors
/// As [`parse`]; when there are more dumps or fewer.
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

/// At which line `ipset restore` stopped because something in the kernel still uses an ipset, by what it says on stderr;
/// `None` where it stopped for another reason.
pub fn in_use_at(stderr: &str) -> Option<usize> {
    let (_, rest) = stderr.split_once("Error in line ")?;
    let (line, why) = rest.split_once(": ")?;
    why.contains("in use by a kernel component").then(|| line.parse().ok())?
}

/// The commands from a line on, which counts from 1: those before it were done.
pub fn from_line(commands: &str, line: usize) -> Option<&str> {
    let done: usize = commands.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    commands.get(done..).filter(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests;
