//! Leaves out nodes with more users than fit into a month, because what is written must be readable again and must fit
//! into memory, whatever a node sends.

use std::collections::HashSet;

use super::assemble::NodeOutcome;
use super::owner::{Directory, StatementOwner};
use crate::ledger::block::{BlockKind, MAX_LINES, Monthly};
use crate::ledger::counters::Counters;

/// The size of a line of `monthly/` apart from its names, ports and nodes: 110 bytes, and the eight numbers of up to 20
/// digits each with their keys.
const STATEMENT_BYTES: usize = 110 + KEYS_BYTES + 8 * 20;

/// The keys of the 8 numbers, and the punctuation around them.
const KEYS_BYTES: usize = 108 + 32;

/// The size of `65535,`.
const PORT_BYTES: usize = 6;

/// A node that was left out of a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCut {
    pub node: String,
    pub why: String,
}

/// Empties the nodes with the most users until the month can be written and read again. Returns them, each with the
/// reason.
pub fn cut_to_limits(directory: &Directory, nodes: &mut [NodeOutcome<'_>]) -> Vec<NodeCut> {
    cut(directory, nodes, MAX_LINES, Monthly::MAX_BYTES)
}

fn cut(directory: &Directory, nodes: &mut [NodeOutcome<'_>], most_lines: usize, most_bytes: usize) -> Vec<NodeCut> {
    let mut left_out = Vec::new();
    let users = directory.users();
    let mut owners: HashSet<StatementOwner> =
        users.iter().map(|user| StatementOwner::User(user.name.clone())).collect();
    let mut bytes: usize = users.iter().map(|user| statement_bytes(&user.name)).sum();
    let mut fewest_first: Vec<&mut NodeOutcome<'_>> = nodes.iter_mut().collect();
    fewest_first.sort_by_key(|node| node.figures.sums.len());
    for node in fewest_first {
        node.figures.stop_adding();
        let sums = &node.figures.sums;
        let new: Vec<&StatementOwner> =
            sums.iter().map(|sum| &sum.owner).filter(|owner| !owners.contains(owner)).collect();
        let statements = new.iter().map(|owner| statement_bytes(name(owner))).sum::<usize>();
        let shares = sums.iter().map(|sum| by_node_bytes(&node.figures.node, sum.total) + sum.ports.len() * PORT_BYTES);
        let added = statements + shares.sum::<usize>();
        if owners.len() + new.len() <= most_lines && bytes + added <= most_bytes {
            bytes += added;
            owners.extend(new.into_iter().cloned().collect::<Vec<_>>());
        } else {
            let why = format!("its {} users and ports do not fit in a month's report", sums.len());
            left_out.push(NodeCut { node: node.figures.node.clone(), why: why.clone() });
            node.why = Some(why);
            node.figures.clear();
        }
    }
    left_out
}

fn name(owner: &StatementOwner) -> &str {
    match owner {
        StatementOwner::User(name) => name,
        StatementOwner::Port(_) => "",
    }
}

/// The largest size of the line of `name`. A quotation mark or backslash in the name takes two bytes.
fn statement_bytes(name: &str) -> usize {
    let escaped = name.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
    STATEMENT_BYTES + 2 + name.len() + escaped
}

/// The size of the entry of one node in `by_node`.
fn by_node_bytes(node: &str, counters: Counters) -> usize {
    let digits = |number: u64| number.checked_ilog10().unwrap_or(0) as usize + 1;
    KEYS_BYTES + 6 + node.len() + counters.to_array().into_iter().map(digits).sum::<usize>()
}

#[cfg(test)]
mod tests;
