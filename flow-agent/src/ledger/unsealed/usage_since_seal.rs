//! What the counters of one epoch moved since the last seal. Every reading adds the difference to the one before.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::blocked::Blocked;
use crate::ledger::counters::{Counters, Device, Others};
use crate::ledger::reading::Reading;

/// The usage of the open bucket, and the readings between which it was measured.
#[derive(Clone, Debug, Default)]
pub(in crate::ledger) struct UsageSinceSeal {
    /// The counters at the last seal; ports that are not here count from zero.
    sealed: BTreeMap<u16, Counters>,
    /// The counters at the newest reading.
    last: BTreeMap<u16, Counters>,
    /// The usage since the last seal.
    usage: BTreeMap<u16, Counters>,
    /// Ports of the newest reading that are draining: their counters will not grow any more.
    draining: BTreeSet<u16>,
    /// Ports whose closed line is sealed, with their counters. While they are still draining, they hold nothing new.
    closed: BTreeMap<u16, Counters>,
    /// Ports whose closed line is in the last seal, whether or not they are still draining.
    closed_by_seal: BTreeSet<u16>,
    others: Difference<Others>,
    blocked: Difference<Blocked>,
    /// `None` until a reading has the devices' counters.
    devices: Option<Vec<Difference<Device>>>,
    reset: bool,
    changed: bool,
}

/// The newest cumulative value, and what was added since the last seal.
#[derive(Clone, Debug, Default)]
struct Difference<T> {
    last: T,
    usage: T,
}

/// A port's part of a closed bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct PortUsage {
    pub(in crate::ledger) port: u16,
    pub(in crate::ledger) usage: Counters,
    /// `None` for a port whose counters vanished, because nothing can continue from them.
    pub(in crate::ledger) total: Option<Counters>,
    pub(in crate::ledger) closed: bool,
}

/// A closed bucket's figures.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Figures {
    pub(in crate::ledger) ports: Vec<PortUsage>,
    pub(in crate::ledger) others: Others,
    pub(in crate::ledger) other_total: Others,
    pub(in crate::ledger) blocked: Blocked,
    pub(in crate::ledger) blocked_total: Blocked,
    pub(in crate::ledger) devices: Vec<Device>,
    pub(in crate::ledger) device_total: Vec<Device>,
    pub(in crate::ledger) reset: bool,
}

impl UsageSinceSeal {
    /// Continues from a seal; ports that are not in `totals` count from zero.
    pub(in crate::ledger) fn resume(
        totals: BTreeMap<u16, Counters>,
        closed: BTreeSet<u16>,
        others: Others,
        blocked: Blocked,
        devices: Option<Vec<Device>>,
    ) -> Self {
        let goes_on = |device: Device| Difference { usage: zero(&device), last: device };
        Self {
            sealed: totals.clone(),
            last: totals,
            closed: closed.iter().map(|port| (*port, Counters::default())).collect(),
            closed_by_seal: closed,
            others: Difference { last: others, usage: Others::default() },
            blocked: Difference { last: blocked, usage: Blocked::default() },
            devices: devices.map(|devices| devices.into_iter().map(goes_on).collect()),
            ..Self::default()
        }
    }

    /// Adds the increase from the reading before to `reading`.
    pub(in crate::ledger) fn observe(&mut self, reading: &Reading) {
        self.closed.retain(|port, _| reading.draining.contains(port));
        let vanished: Vec<u16> = self.last.keys().copied().filter(|port| !reading.ports.contains_key(port)).collect();
        for port in vanished {
            // It did not drain first: its counters are gone, as if somebody had zeroed them.
            self.last.remove(&port);
            self.reset = true;
            self.changed = true;
        }
        for (port, now) in &reading.ports {
            if let Some(stands) = self.closed.get_mut(port) {
                *stands = *now;
                continue;
            }
            let (added, reset) = now.since(self.last.get(port).copied().unwrap_or_default());
            let usage = self.usage.entry(*port).or_default();
            *usage = usage.saturating_add(added);
            self.reset |= reset;
            self.changed |= reset || !added.is_zero();
            self.last.insert(*port, *now);
        }
        self.draining = reading.draining.clone();
        self.observe_others(reading.others);
        self.blocked.usage.add(&reading.blocked.since(&self.blocked.last));
        self.blocked.last.clone_from(&reading.blocked);
        self.observe_devices(&reading.devices);
    }

    fn observe_others(&mut self, now: Others) {
        let (added, reset) = now.since(self.others.last);
        self.reset |= reset;
        self.changed |= now != self.others.last;
        self.others = Difference { last: now, usage: self.others.usage.saturating_add(added) };
    }

    /// A device that appears counts from now on, because it is not known whether what it moved before lies in this
    /// bucket.
    fn observe_devices(&mut self, now: &[Device]) {
        let before = self.devices.take().unwrap_or_default();
        let observe = |now: &Device| {
            let Some(before) = before.iter().find(|before| before.last.name == now.name) else {
                return Difference { last: now.clone(), usage: zero(now) };
            };
            // A device that was created anew begins at zero.
            let add = |usage: u64, now: u64, then: u64| usage.saturating_add(now.checked_sub(then).unwrap_or(now));
            let usage = Device {
                name: now.name.clone(),
                rx_bytes: add(before.usage.rx_bytes, now.rx_bytes, before.last.rx_bytes),
                rx_packets: add(before.usage.rx_packets, now.rx_packets, before.last.rx_packets),
                tx_bytes: add(before.usage.tx_bytes, now.tx_bytes, before.last.tx_bytes),
                tx_packets: add(before.usage.tx_packets, now.tx_packets, before.last.tx_packets),
                link_header_bytes: now.link_header_bytes,
            };
            Difference { last: now.clone(), usage }
        };
        self.devices = Some(now.iter().map(observe).collect());
    }

    /// The counters of a port at the last seal, as far as they are still the same counters; zero for a port that was
    /// added since.
    pub(in crate::ledger) fn sealed_counters(&self, port: u16) -> Counters {
        let counters = |of: &BTreeMap<u16, Counters>| of.get(&port).copied().unwrap_or_default();
        counters(&self.last).since(counters(&self.usage)).0
    }

    /// Whether one of `ports` was closed by the last seal.
    pub(in crate::ledger) fn has_closed(&self, ports: &BTreeSet<u16>) -> bool {
        !ports.is_disjoint(&self.closed_by_seal)
    }

    /// Whether a counter was zeroed since the last seal.
    pub(in crate::ledger) fn was_reset(&self) -> bool {
        self.reset
    }

    /// Whether anything moved since the last seal or since the last checkpoint that was kept.
    pub(in crate::ledger) fn has_changed(&self) -> bool {
        self.changed
    }

    /// Notes that everything up to now is on disk.
    pub(in crate::ledger) fn forget_changes(&mut self) {
        self.changed = false;
    }

    /// The counters of the newest reading that differ from the last seal's, and those of other traffic.
    pub(in crate::ledger) fn unsealed_totals(&self) -> (BTreeMap<u16, [u64; 8]>, Others) {
        let differs = |(port, now): &(&u16, &Counters)| self.sealed.get(port).copied().unwrap_or_default() != **now;
        let totals = self.last.iter().filter(differs).map(|(port, now)| (*port, now.to_array())).collect();
        (totals, self.others.last)
    }

    /// Whether no line could say anything new: the only ports left are those that were closed before.
    pub(in crate::ledger) fn is_spent(&self) -> bool {
        self.usage.is_empty() && self.last.is_empty() && self.others.usage == Others::default()
    }

    /// Closes the bucket at the newest reading, and begins the next there.
    pub(in crate::ledger) fn close(&mut self) -> Figures {
        let usage = std::mem::take(&mut self.usage);
        let mut ports: Vec<PortUsage> = usage
            .into_iter()
            .filter(|(port, usage)| self.last.contains_key(port) || !usage.is_zero())
            .map(|(port, usage)| {
                let total = self.last.get(&port).copied();
                PortUsage { port, usage, total, closed: total.is_some() && self.draining.contains(&port) }
            })
            .collect();
        // As long as closed counters exist, the newest seal must list them, or a successor would count them from zero.
        ports.extend(self.closed.iter().map(|(port, stands)| PortUsage {
            port: *port,
            usage: Counters::default(),
            total: Some(*stands),
            closed: true,
        }));
        ports.sort_by_key(|port| port.port);
        self.closed_by_seal = ports.iter().filter(|port| port.closed).map(|port| port.port).collect();
        for port in ports.iter().filter(|port| port.closed) {
            self.closed.extend(port.total.map(|total| (port.port, total)));
            self.last.remove(&port.port);
        }
        self.sealed = self.last.clone();
        let devices = self.devices.iter().flatten();
        let figures = Figures {
            ports,
            others: self.others.usage,
            other_total: self.others.last,
            blocked: std::mem::take(&mut self.blocked.usage),
            blocked_total: self.blocked.last.clone(),
            devices: devices.clone().map(|device| device.usage.clone()).collect(),
            device_total: devices.map(|device| device.last.clone()).collect(),
            reset: self.reset,
        };
        self.others.usage = Others::default();
        self.devices.iter_mut().flatten().for_each(|device| device.usage = zero(&device.last));
        self.reset = false;
        self.changed = false;
        figures
    }
}

/// The same device with nothing counted.
fn zero(device: &Device) -> Device {
    Device { name: device.name.clone(), link_header_bytes: device.link_header_bytes, ..Device::default() }
}
