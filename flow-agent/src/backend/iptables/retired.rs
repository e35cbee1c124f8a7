//! A set of counters that stands still: read a last time, then deleted.

use std::collections::BTreeMap;

use super::error::IptablesError;
use super::found::{self, Piece};
use super::names::SetName;
use super::set::{Last, Numbers};
use super::tools::{Quiet, Tools};
use crate::backend::{BackendError, Identity, Retired};
use crate::ledger::counters::{Counters, Flow, Others};
use crate::ledger::reading::{Moment, Reading};
use crate::ledger::record::{BackendKind, CountMode};

/// A set that no packet enters any more; parts of it may be gone.
pub struct RetiredSet {
    pub name: SetName,
    pub epoch: String,
    pub interfaces: Vec<String>,
    /// Where its parts lie, or lay, and the last that is known of each.
    pub parts: Vec<(Tools, Last)>,
}

impl RetiredSet {
    /// A set of which nothing is known but what is found.
    pub fn found(name: SetName, epoch: String, pieces: &[Piece]) -> Self {
        let whole = pieces.iter().find_map(|piece| piece.view.as_ref().ok());
        let interfaces = whole.map(|view| view.layout.interfaces.clone()).unwrap_or_default();
        let parts = pieces.iter().map(|piece| (piece.tools.clone(), Last::default())).collect();
        Self { name, epoch, interfaces, parts }
    }

    fn pieces(&self) -> Result<Vec<Option<Piece>>, IptablesError> {
        let quiet = Quiet::wait(&self.parts.iter().map(|(tools, _)| tools).collect::<Vec<_>>())?;
        let find = |(tools, _): &(Tools, Last)| {
            let pieces = found::pieces(tools, &quiet, self.name.instance())?;
            Ok(pieces.into_iter().find(|piece| piece.name == self.name))
        };
        self.parts.iter().map(find).collect()
    }
}

impl Retired for RetiredSet {
    fn identity(&self) -> Identity {
        identity(self.epoch.clone())
    }

    fn interfaces(&self) -> Vec<String> {
        self.interfaces.clone()
    }

    fn read(&mut self, now: &dyn Fn() -> Moment) -> Result<Reading, BackendError> {
        let mut numbers = Numbers { at: now(), ports: BTreeMap::new(), others: Others::default() };
        for (piece, (_, last)) in self.pieces()?.into_iter().zip(&self.parts) {
            numbers.add(&last.or_newer(piece.as_ref()));
        }
        let draining = numbers.ports.keys().copied().collect();
        let Numbers { at, ports, others } = numbers;
        Ok(Reading { epoch: self.epoch.clone(), at, ports: ports.into(), draining, others, devices: Vec::new() })
    }

    fn delete(self: Box<Self>) -> Result<(), BackendError> {
        for piece in self.pieces()?.into_iter().flatten() {
            piece.delete()?;
        }
        Ok(())
    }
}

/// What a seal says of counters in rules: the kernel keeps them, whether an agent runs or not.
pub fn identity(epoch: String) -> Identity {
    Identity { kind: BackendKind::Iptables, count: CountMode::Ip, epoch, pinned: true }
}

impl Last {
    /// What is there now, and where that is gone, what was there before.
    fn or_newer(&self, piece: Option<&Piece>) -> Self {
        let mut newest = self.clone();
        let Some(piece) = piece else { return newest };
        newest.others = larger(self.others, piece.others);
        for (port, found) in &piece.remains {
            let last = self.ports.get(port).copied().filter(|_| !piece.is_whole()).unwrap_or_default();
            let pairs = last.to_array().into_iter().zip(found.to_array());
            // Of a port that somebody took counters from, each goes on from what was there before.
            let mut larger = pairs.map(|(last, found)| last.max(found));
            let counters = Counters::from_array(std::array::from_fn(|_| larger.next().unwrap_or_default()));
            newest.ports.insert(*port, counters);
        }
        newest
    }
}

/// Counters that are gone are zero in what is found.
fn larger(a: Others, b: Others) -> Others {
    let flow = |a: Flow, b: Flow| Flow {
        in_bytes: a.in_bytes.max(b.in_bytes),
        in_packets: a.in_packets.max(b.in_packets),
        out_bytes: a.out_bytes.max(b.out_bytes),
        out_packets: a.out_packets.max(b.out_packets),
    };
    Others {
        other_ports: flow(a.other_ports, b.other_ports),
        other_ip: flow(a.other_ip, b.other_ip),
        non_ip: flow(a.non_ip, b.non_ip),
        other_host: flow(a.other_host, b.other_host),
        fragment_unmatched: flow(a.fragment_unmatched, b.fragment_unmatched),
        unparsed: flow(a.unparsed, b.unparsed),
    }
}
