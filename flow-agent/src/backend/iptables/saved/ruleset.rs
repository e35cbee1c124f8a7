//! PURE: parses the output of `iptables-save -c` exactly.
//!
//! Both variants print the same lines. Truncated output is an error and never a smaller ruleset.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::error::{ParseError, number};
use super::members::Members;
use crate::backend::iptables::model::ipset::Ipset;
use crate::backend::iptables::model::set_name::RuleSetName;

/// A table with its chains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table<'a> {
    pub chains: BTreeMap<&'a str, Vec<SavedRule<'a>>>,
    /// Our ipsets in the table's family, which are not part of the dump.
    pub ipsets: BTreeMap<(RuleSetName, Ipset), Members>,
    /// The handle of the nf_tables table, read after the dump. `None` in the legacy variant.
    pub handle: Option<u64>,
}

/// One rule, ours or somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedRule<'a> {
    pub packets: u64,
    pub bytes: u64,
    /// The text after `-A CHAIN`.
    pub text: &'a str,
}

impl<'a> SavedRule<'a> {
    /// The words of the rule without quotes. `None` if a quote is not closed.
    pub fn words(&self) -> Option<Vec<Cow<'a, str>>> {
        split(self.text)
    }
}

/// Parses all tables of a dump.
///
/// # Errors
/// When a line does not belong in such a dump, or when the text ends before a table's `COMMIT`.
pub fn parse(text: &str) -> Result<BTreeMap<&str, Table<'_>>, ParseError> {
    let mut tables = BTreeMap::new();
    let mut open: Option<(&str, Table<'_>)> = None;
    let mut lines = 0;
    for (index, line) in text.lines().enumerate() {
        lines = index + 1;
        let error = |why| ParseError { line: lines, why };
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('*') {
            if open.replace((name, Table::default())).is_some() {
                return Err(error("a table begins inside a table"));
            }
            continue;
        }
        let Some((name, table)) = &mut open else { return Err(error("outside a table")) };
        if line == "COMMIT" {
            if tables.insert(*name, std::mem::take(table)).is_some() {
                return Err(error("a table appears twice"));
            }
            open = None;
        } else if let Some(chain) = line.strip_prefix(':') {
            let name =
                chain.split(' ').next().filter(|name| !name.is_empty()).ok_or(error("a chain without a name"))?;
            if table.chains.insert(name, Vec::new()).is_some() {
                return Err(error("a chain appears twice"));
            }
        } else {
            let (chain, rule) = rule(line).map_err(error)?;
            table.chains.get_mut(chain).ok_or(error("a rule of a chain that does not exist"))?.push(rule);
        }
    }
    match open {
        Some(_) => Err(ParseError { line: lines, why: "truncated: the table has no COMMIT" }),
        None => Ok(tables),
    }
}

/// Parses `[packets:bytes] -A CHAIN words…`.
fn rule(line: &str) -> Result<(&str, SavedRule<'_>), &'static str> {
    let (counters, rest) =
        line.strip_prefix('[').and_then(|line| line.split_once("] -A ")).ok_or("neither a chain nor a counted rule")?;
    let (packets, bytes) = counters.split_once(':').ok_or("a rule without counters")?;
    let (packets, bytes) = (number(packets)?, number(bytes)?);
    let (chain, text) = rest.split_once(' ').unwrap_or((rest, ""));
    Ok((chain, SavedRule { packets, bytes, text }))
}

/// Splits text into words at spaces. Within double quotes, spaces are kept and a backslash escapes the next character.
fn split(text: &str) -> Option<Vec<Cow<'_, str>>> {
    if !text.contains('"') {
        return Some(text.split(' ').filter(|word| !word.is_empty()).map(Cow::Borrowed).collect());
    }
    let (mut words, mut word, mut quoted) = (Vec::new(), None, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_with(String::new);
            }
            ' ' if !quoted => words.extend(word.take().map(Cow::Owned)),
            '\\' if quoted => word.get_or_insert_with(String::new).push(chars.next()?),
            c => word.get_or_insert_with(String::new).push(c),
        }
    }
    words.extend(word.map(Cow::Owned));
    (!quoted).then_some(words)
}

#[cfg(test)]
mod tests;
