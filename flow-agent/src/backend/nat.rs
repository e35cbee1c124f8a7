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

use std::collections::BTreeSet;
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
    // The nf_tables tables that were already read through iptables.
    let mut read = BTreeSet::new();
    for tools in tools::Tools::with_table(path, "nat") {
        let found = tools.dump().map_err(|error| chain(&error)).and_then(|text| {
            let name = format!("{} rule", tools.program());
            saved::rules(&text, &name).map_err(|error| error.to_string())
        });
        match found {
            Ok(found) => {
                rules.extend(found);
                read.insert((tools.variant, tools.family));
            }
            Err(error) => tracing::debug!(error, "failed to read the NAT rules of {tools}"),
        }
    }
    let is_read = |family: &str, table: &str| {
        let family = Family::BOTH.into_iter().find(|known| known.nft_name() == family);
        table == "nat" && family.is_some_and(|family| read.contains(&(tools::Variant::Nft, family)))
    };
    match native(path, is_read) {
        Ok(found) => rules.extend(found),
        Err(error) => tracing::debug!(error, "failed to read the NAT rules of nftables"),
    }
    rules.iter().filter_map(|rule| rule.touches(watched)).collect()
}

/// The NAT rules in native nftables tables, except the tables that `is_read` accepts. Without `nft` there are none.
fn native(path: &OsStr, is_read: impl Fn(&str, &str) -> bool) -> Result<Vec<NatRule>, String> {
    let Some(program) = tools::find_program(path, "nft") else { return Ok(Vec::new()) };
    let list = |what: &[&str]| {
        let output = process::run(&program, &[&["-j", "list"], what].concat(), "");
        let output = output.map_err(|error| chain(&error))?;
        if output.status.success() { Ok(output.stdout) } else { Err(output.stderr) }
    };
    let mut rules = Vec::new();
    for (family, table) in nft::tables(&list(&["chains"])?)? {
        if !is_read(&family, &table) {
            rules.extend(nft::rules(&list(&["table", &family, &table])?)?);
        }
    }
    Ok(rules)
}
