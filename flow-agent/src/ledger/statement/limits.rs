//! Leaves out nodes whose users do not fit into a month: what is written of it must be readable again, and must fit into
//! memory, whatever a node sends.

use std::collections::HashSet;

use super::assemble::NodeOutcome;
use super::owner::{Directory, StatementOwner};
use crate::ledger::block::{BlockKind, MAX_LINES, Monthly};
use crate::ledger::counters::Counters;

/// A line of `monthly/` without its names, ports and nodes: 110 bytes around the numbers, of up to 20 digits each.
const STATEMENT_BYTES: usize = 110 + KEYS_BYTES + 8 * 20;

/// The keys of the 8 numbers, and the punctuation around them.
const KEYS_BYTES: usize = 108 + 32;

/// `65535,`
const PORT_BYTES: usize = 6;

/// A node that was left out of a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeCut {
    pub node: String,
    pub why: String,
}

/// Empties the nodes with the most users until the month can be written and read again. Each says why.
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
            let why = format!("its {} users and ports are more than fit into a month's report", sums.len());
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

/// A quotation mark or backslash in a name takes two bytes.
fn statement_bytes(name: &str) -> usize {
    let escaped = name.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
    STATEMENT_BYTES + 2 + name.len() + escaped
}

/// What one node takes in `by_node`.
fn by_node_bytes(node: &str, counters: Counters) -> usize {
    let digits = |number: u64| number.checked_ilog10().unwrap_or(0) as usize + 1;
    KEYS_BYTES + 6 + node.len() + counters.to_array().into_iter().map(digits).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::block::DayBlock;
    use crate::ledger::record::{DayLine, DaySeal, MonthLine};
    use crate::ledger::statement::NodeMonth;

    fn node<'d>(directory: &'d Directory, name: &str, users: &[String]) -> NodeOutcome<'d> {
        let day = "2026-10-05".parse().unwrap();
        let most = Counters { tcp_in_bytes: 1 << 40, ..Counters::default() };
        let line = |(port, user): (u16, &String)| DayLine::new(day, port, Some(user.clone()), most);
        let seal = r#"{"v":1,"kind":"seal","day":"2026-10-05","node":"","zone":"UTC","ports":0,"seconds_in_day":86400,
            "seconds_covered":86400,"sha256":""}"#;
        let seal: DaySeal = serde_json::from_str(seal).unwrap();
        let seal = DaySeal { node: name.to_owned(), ports: u32::try_from(users.len()).unwrap(), ..seal };
        let block = DayBlock { lines: (1..).zip(users).map(line).collect(), seal };
        let mut figures = NodeMonth::new(name, directory, "2026-10".parse().unwrap(), 1);
        figures.add(&block).unwrap();
        NodeOutcome::taken(figures)
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("u{number}")).collect()
    }

    #[test]
    fn the_node_with_the_most_users_is_left_out_wherever_it_stands() {
        let directory = Directory::default();
        let (few, many) = (names(3), names(8));
        for order in [["a", "big", "b"], ["big", "a", "b"], ["a", "b", "big"]] {
            let users = |name: &str| if name == "big" { many.as_slice() } else { few.as_slice() };
            let mut nodes: Vec<_> = order.iter().map(|name| node(&directory, name, users(name))).collect();
            // 3 + 3 users fit, 3 + 3 + 8 do not.
            let left_out = cut(&directory, &mut nodes, 13, usize::MAX);
            let why = "its 8 users and ports are more than fit into a month's report".to_owned();
            assert_eq!(left_out, [NodeCut { node: "big".to_owned(), why: why.clone() }]);
            for node in &nodes {
                let is_big = node.figures.node == "big";
                assert_eq!(
                    (node.figures.sums.len(), node.why.clone()),
                    if is_big { (0, Some(why.clone())) } else { (3, None) }
                );
            }
            let mut nodes: Vec<_> = order.iter().map(|name| node(&directory, name, users(name))).collect();
            assert_eq!(cut(&directory, &mut nodes, 14, usize::MAX), []);
        }
    }

    #[test]
    fn the_bytes_of_a_line_are_never_more_than_they_are_taken_for() {
        let most = Counters::from_array([u64::MAX; 8]);
        let name = format!("{}/{}", "n".repeat(63), "\"".repeat(128));
        for nodes in [1, 2, 7] {
            let by_node = (0..nodes).map(|index| (format!("{index}{}", "n".repeat(62)), most)).collect();
            let month = "2026-10".parse().unwrap();
            let line = MonthLine::new(
                month,
                Some(name.clone()),
                vec![65_535; 9],
                most,
                by_node,
                Some(0.123_456_789_012_345_67),
            );
            let written = serde_json::to_string(&line).unwrap().len() + 1;
            let taken_for = statement_bytes(&name) + nodes * by_node_bytes(&"n".repeat(63), most) + 9 * PORT_BYTES;
            assert!(written <= taken_for && taken_for < written + 100, "{written} {taken_for}");
        }
    }
}
