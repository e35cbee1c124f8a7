//! EDGE kernel: NAT rules that affect a watched port, so that a person can be told what they mean for the counted
//! bytes.
//!
//! The submodules are pure: `rule` knows what a rule does to a port, `saved` parses `iptables-save`, and `nft` parses
//! `nft -j`.

mod nft;
mod ports;
mod rule;
mod saved;

pub use rule::Touch;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

use self::rule::NatRule;
use super::iptables::host::search_path::search_path;
use super::iptables::host::tools;
use super::iptables::model::family::Family;
use crate::errors::chain;
use crate::process;

/// The rules of this network namespace that affect one of `watched`. What cannot be inspected is left out and logged.
pub fn look(watched: &BTreeSet<u16>) -> Vec<Touch> {
    look_with(watched, &search_path())
}

fn look_with(watched: &BTreeSet<u16>, path: &OsStr) -> Vec<Touch> {
    let mut rules = Vec::new();
    // The rules of nf_tables that iptables shows, by family: `nft` shows them again.
    let mut shown: BTreeMap<Family, Vec<NatRule>> = BTreeMap::new();
    for tools in tools::Tools::with_table(path, "nat") {
        let found = tools.dump().map_err(|error| chain(&error)).and_then(|text| {
            let name = format!("{} rule", tools.program());
            saved::rules(&text, &name).map_err(|error| error.to_string())
        });
        match found {
            Ok(found) => {
                if tools.variant == tools::Variant::Nft {
                    shown.entry(tools.family).or_default().extend(found.iter().cloned());
                }
                rules.extend(found);
            }
            Err(error) => tracing::debug!(error, "failed to read the NAT rules of {tools}"),
        }
    }
    match native(path) {
        Ok(found) => {
            let tables = found.into_iter();
            rules.extend(tables.flat_map(|(family, table, rules)| without_shown(&family, &table, rules, &shown)));
        }
        Err(error) => tracing::debug!(error, "failed to read the NAT rules of nftables"),
    }
    rules.iter().filter_map(|rule| rule.touches(watched)).collect()
}

/// The rules of a table that `nft` shows, without those that iptables has `shown` already. What iptables shows of a table
/// named `nat` may be a part of it, or nothing: it leaves out native chains and rules.
fn without_shown(
    family: &str,
    table: &str,
    rules: Vec<NatRule>,
    shown: &BTreeMap<Family, Vec<NatRule>>,
) -> Vec<NatRule> {
    let family = Family::BOTH.into_iter().find(|known| known.nft_name() == family).filter(|_| table == "nat");
    let shown = family.and_then(|family| shown.get(&family)).map_or(&[][..], Vec::as_slice);
    rules.into_iter().filter(|rule| !shown.iter().any(|other| rule.does_the_same_as(other))).collect()
}

/// The family and name of every table with NAT rules, and those rules, as `nft` lists them. Without `nft` there are none.
fn native(path: &OsStr) -> Result<Vec<(String, String, Vec<NatRule>)>, String> {
    let Some(program) = tools::find_program(path, "nft") else { return Ok(Vec::new()) };
    let list = |what: &[&str]| {
        let output = process::run(&program, &[&["-j", "list"], what].concat(), "");
        let output = output.map_err(|error| chain(&error))?;
        if output.status.success() { Ok(output.stdout) } else { Err(output.stderr) }
    };
    let tables = nft::tables(&list(&["chains"])?)?.into_iter();
    let rules = |(family, table): (String, String)| {
        let rules = nft::rules(&list(&["table", &family, &table])?)?;
        Ok((family, table, rules))
    };
    tables.map(rules).collect()
}

#[cfg(test)]
mod tests;
