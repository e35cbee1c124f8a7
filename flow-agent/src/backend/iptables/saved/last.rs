//! PURE: the last known values of a set in one family, and whether the present values continue from them.

use std::collections::{BTreeMap, BTreeSet};

use super::damage::{CounterDoubt, SetDamage};
use super::view::VerifiedSet;
use crate::backend::iptables::model::layout::Dispatch;
use crate::ledger::counters::{Counters, Flow, Others};

/// The last known values of a part of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Last {
    pub ports: BTreeMap<u16, Counters>,
    pub others: Others,
    /// The ports that are cut.
    pub cut: BTreeSet<u16>,
    /// What was refused, by port, of the ports that are or were cut.
    pub blocked: BTreeMap<u16, Flow>,
}

/// Checks that no counter of a family is lower than it was at the last reading.
///
/// # Errors
/// Names one counter that is lower.
pub fn judge(last: &Last, now: &VerifiedSet) -> Result<(), SetDamage> {
    let fell = |port: &u16, before: &Counters| {
        now.counters.get(port).is_some_and(|counters| counters.checked_sub(*before).is_none())
    };
    let why = "has less than at the last reading: somebody zeroed or restored it";
    if let Some((port, _)) = last.ports.iter().find(|(port, before)| fell(port, before)) {
        let doubt = match now.layout.dispatch {
            Dispatch::Ipsets { .. } => CounterDoubt::All,
            Dispatch::FlowClass(_) => CounterDoubt::Rules,
        };
        return Err(SetDamage { part: format!("the counter of port {port}"), why, doubt });
    }
    if now.others.checked_sub(last.others).is_none() {
        return Err(SetDamage { part: "a counter of other traffic".into(), why, doubt: CounterDoubt::Rules });
    }
    Ok(())
}

impl Last {
    /// All values of a set.
    pub fn of(view: &VerifiedSet) -> Self {
        let (ports, cut, blocked) = (view.counters.clone(), view.cut.clone(), view.blocked.clone());
        Self { ports, others: view.others, cut, blocked }
    }

    /// The final values of a part: the present ones where they can be trusted, but never less than before.
    #[must_use]
    pub fn or_newer(&self, now: &Self, doubt: CounterDoubt, by_ipsets: bool) -> Self {
        let mut newest = self.clone();
        if !doubt.covers_others() {
            newest.others = larger(self.others, now.others);
        }
        if !doubt.covers_ports(by_ipsets) {
            for (port, found) in &now.ports {
                // If somebody removed some of a port's counters, each of them keeps at least its former value.
                let before = self.ports.get(port).copied().unwrap_or_default();
                newest.ports.insert(*port, larger_counters(before, *found));
            }
            for (port, found) in &now.blocked {
                let before = newest.blocked.entry(*port).or_default();
                *before = larger_flow(*before, *found);
            }
        }
        newest
    }
}

fn larger_counters(a: Counters, b: Counters) -> Counters {
    let (a, b) = (a.to_array(), b.to_array());
    Counters::from_array(std::array::from_fn(|number| a[number].max(b[number])))
}

/// The larger of each pair. A counter that is missing is zero in what was found.
fn larger(a: Others, b: Others) -> Others {
    let flow = larger_flow;
    Others {
        other_ports: flow(a.other_ports, b.other_ports),
        other_ip: flow(a.other_ip, b.other_ip),
        non_ip: flow(a.non_ip, b.non_ip),
        other_host: flow(a.other_host, b.other_host),
        fragment_unmatched: flow(a.fragment_unmatched, b.fragment_unmatched),
        unparsed: flow(a.unparsed, b.unparsed),
    }
}

fn larger_flow(a: Flow, b: Flow) -> Flow {
    Flow {
        in_bytes: a.in_bytes.max(b.in_bytes),
        in_packets: a.in_packets.max(b.in_packets),
        out_bytes: a.out_bytes.max(b.out_bytes),
        out_packets: a.out_packets.max(b.out_packets),
    }
}

#[cfg(test)]
mod tests;
