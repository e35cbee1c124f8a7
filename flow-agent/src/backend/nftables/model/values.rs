//! PURE: the values of the counters of a set, and whether present values continue from former ones.

use std::collections::{BTreeMap, BTreeSet};

use super::place::NftSet;
use crate::backend::iptables::model::flow::{Direction, FlowClass};
use crate::backend::iptables::saved::damage::{CounterDoubt, SetDamage};
use crate::backend::iptables::saved::sets::eight;
use crate::ledger::blocked::Blocked;
use crate::ledger::counters::{Counters, Flow, Others};

/// The element of every set with counters that shows whether somebody zeroed the set, because its counter starts at
/// [`SENTINEL_START`]. No packet that is counted by it belongs to a watched port or has an address family.
pub const SENTINEL: u16 = 0;

/// More than packets to port zero can add again between two inspections.
pub const SENTINEL_START: BytesPackets = (1 << 40, 1 << 32);

/// A counter's (bytes, packets).
pub type BytesPackets = (u64, u64);

/// The values of all counters: by set, and by port or address family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NftValues {
    pub counts: BTreeMap<NftSet, BTreeMap<u16, BytesPackets>>,
    /// The ports that are cut.
    pub cut: BTreeSet<u16>,
    /// The ports whose counters are frozen. Empty if none should be.
    pub still: BTreeSet<u16>,
    /// The ports with a counter that we did not make.
    pub foreign: BTreeSet<u16>,
}

impl NftValues {
    /// Checks that no counter is lower than it was, each for itself.
    ///
    /// # Errors
    /// Names one counter that is lower, or a set that was zeroed.
    pub fn judge(&self, now: &Self) -> Result<(), SetDamage> {
        let damage = |part, why| SetDamage { part, why, doubt: CounterDoubt::All };
        for (set, counts) in &now.counts {
            if counts
                .get(&SENTINEL)
                .is_some_and(|(bytes, packets)| *bytes < SENTINEL_START.0 || *packets < SENTINEL_START.1)
            {
                return Err(damage(format!("set {set}"), "was zeroed"));
            }
        }
        for (set, before) in &self.counts {
            let Some(counts) = now.counts.get(set) else { continue };
            let fell = |(key, before): &(&u16, &BytesPackets)| {
                counts.get(key).is_some_and(|now| now.0 < before.0 || now.1 < before.1)
            };
            if let Some((key, _)) = before.iter().find(fell) {
                let part = match set.is_of_ports() {
                    true => format!("the counter of port {key}"),
                    false => "a counter of other traffic".to_owned(),
                };
                return Err(damage(part, "has less than at the last reading: somebody zeroed or restored it"));
            }
        }
        Ok(())
    }

    /// The larger of each pair of counters; a counter that is missing is zero.
    #[must_use]
    pub fn or_larger(mut self, other: &Self) -> Self {
        for (set, counts) in &other.counts {
            let mine = self.counts.entry(*set).or_default();
            for (key, (bytes, packets)) in counts {
                let mine = mine.entry(*key).or_default();
                *mine = (mine.0.max(*bytes), mine.1.max(*packets));
            }
        }
        self
    }

    /// The ports that have a counter.
    pub fn held(&self) -> BTreeSet<u16> {
        let counters = FlowClass::ALL.into_iter().filter_map(|class| self.counts.get(&NftSet::Counters(class)));
        counters.flat_map(|counts| counts.keys().copied()).filter(|port| *port != SENTINEL).collect()
    }

    /// The counters of every port. A counter that is missing is zero.
    pub fn ports(&self) -> BTreeMap<u16, Counters> {
        let mut ports: BTreeMap<u16, BTreeMap<FlowClass, BytesPackets>> = BTreeMap::new();
        for class in FlowClass::ALL {
            for (port, count) in self.counts.get(&NftSet::Counters(class)).into_iter().flatten() {
                if *port != SENTINEL {
                    ports.entry(*port).or_default().insert(class, *count);
                }
            }
        }
        ports.into_iter().map(|(port, classes)| (port, eight(&classes))).collect()
    }

    /// The counters that belong to no port.
    pub fn others(&self) -> Others {
        let mut other_ports = self.flow(NftSet::OtherPorts);
        for class in FlowClass::ALL {
            // What came to port zero, without what the element started with.
            let zero = self.counts.get(&NftSet::Counters(class)).and_then(|counts| counts.get(&SENTINEL));
            let (bytes, packets) = zero.map_or((0, 0), |(bytes, packets)| {
                (bytes.saturating_sub(SENTINEL_START.0), packets.saturating_sub(SENTINEL_START.1))
            });
            let (all_bytes, all_packets) = match class.direction {
                Direction::Ingress => (&mut other_ports.in_bytes, &mut other_ports.in_packets),
                Direction::Egress => (&mut other_ports.out_bytes, &mut other_ports.out_packets),
            };
            *all_bytes = all_bytes.saturating_add(bytes);
            *all_packets = all_packets.saturating_add(packets);
        }
        let (in_bytes, in_packets) = self.sum(NftSet::LateFragments);
        Others {
            other_ports,
            other_ip: self.flow(NftSet::OtherIp),
            fragment_unmatched: Flow { in_bytes, in_packets, ..Flow::default() },
            ..Others::default()
        }
    }

    /// What was refused, by port.
    pub fn blocked(&self) -> Blocked {
        let mut blocked: BTreeMap<u16, Flow> = BTreeMap::new();
        for direction in Direction::BOTH {
            let counts = self.counts.get(&NftSet::Blocked(direction)).into_iter().flatten();
            for (port, (bytes, packets)) in counts.filter(|(port, _)| **port != SENTINEL) {
                let flow = blocked.entry(*port).or_default();
                match direction {
                    Direction::Ingress => (flow.in_bytes, flow.in_packets) = (*bytes, *packets),
                    Direction::Egress => (flow.out_bytes, flow.out_packets) = (*bytes, *packets),
                }
            }
        }
        blocked.into_iter().collect()
    }

    /// The ports of which something was or could have been refused.
    pub fn refused(&self) -> BTreeSet<u16> {
        Direction::BOTH.into_iter().flat_map(|direction| self.refused_in(direction)).collect()
    }

    /// Like [`Self::refused`], for one direction.
    pub fn refused_in(&self, direction: Direction) -> BTreeSet<u16> {
        let counts = self.counts.get(&NftSet::Blocked(direction)).into_iter();
        counts.flat_map(|counts| counts.keys().copied()).filter(|port| *port != SENTINEL).collect()
    }

    /// Forgets the counters of these ports, because they were removed.
    pub fn forget(&mut self, ports: &BTreeSet<u16>) {
        for (set, counts) in &mut self.counts {
            if set.is_of_ports() {
                counts.retain(|port, _| !ports.contains(port));
            }
        }
        self.cut.retain(|port| !ports.contains(port));
        self.still.retain(|port| !ports.contains(port));
    }

    /// Whether nothing was counted.
    pub fn is_zero(&self) -> bool {
        self.ports().values().all(|counters| counters.is_zero()) && self.others() == Others::default()
    }

    fn flow(&self, set: fn(Direction) -> NftSet) -> Flow {
        let [(in_bytes, in_packets), (out_bytes, out_packets)] =
            Direction::BOTH.map(|direction| self.sum(set(direction)));
        Flow { in_bytes, in_packets, out_bytes, out_packets }
    }

    /// The sum over the address families.
    fn sum(&self, set: NftSet) -> BytesPackets {
        let families = self.counts.get(&set).into_iter().flatten().filter(|(family, _)| **family != SENTINEL);
        families
            .fold((0, 0), |sum, (_, (bytes, packets))| (sum.0.saturating_add(*bytes), sum.1.saturating_add(*packets)))
    }
}

#[cfg(test)]
mod tests;
