//! Compares what the port counters counted with what the devices counted in the same time.
//!
//! A port counter counts the bytes of a packet after the link-layer header. A device also counts that header, once for
//! every packet that *it* counts. Before the comparison, `link_header_bytes` (14 unless the seal says otherwise) times
//! the number of the device's packets is therefore subtracted from the device's bytes. The remaining difference is
//! padding of short frames, VLAN tags and, where the network card segments large buffers, the headers that it repeats
//! in each segment (with `count = "wire"`, port counters include those as well).

use super::block::HourBlock;
use super::counters::{Counters, Device, Others};
use super::record::{DayLine, HourSeal};

/// The Ethernet header: two addresses and a type.
const ETHERNET_HEADER_BYTES: u64 = 14;

/// One direction of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// All counters: those of every port, and those for traffic of no watched port.
    pub cells_bytes: u128,
    /// All devices, without their link-layer headers.
    pub devices_bytes: u128,
}

impl Compared {
    /// How many more bytes the counters have than the devices.
    pub fn difference_bytes(self) -> i128 {
        // Sums of at most 65,536 numbers below 2^64: far from 2^127.
        let signed = |bytes: u128| i128::try_from(bytes).unwrap_or(i128::MAX);
        signed(self.cells_bytes) - signed(self.devices_bytes)
    }

    /// The same in percent of the devices' bytes; `None` if those are zero. For display only, not for further
    /// arithmetic.
    pub fn difference_percent(self) -> Option<f64> {
        (self.devices_bytes > 0).then(|| self.difference_bytes() as f64 * 100.0 / self.devices_bytes as f64)
    }

    fn add(&mut self, other: Self) {
        self.cells_bytes += other.cells_bytes;
        self.devices_bytes += other.devices_bytes;
    }
}

/// The comparison for both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciliation {
    pub incoming: Compared,
    pub outgoing: Compared,
}

impl Reconciliation {
    /// Adds the comparison of another bucket.
    pub fn add(&mut self, other: Self) {
        self.incoming.add(other.incoming);
        self.outgoing.add(other.outgoing);
    }

    fn add_port(&mut self, counters: Counters) {
        self.incoming.cells_bytes += u128::from(counters.tcp_in_bytes) + u128::from(counters.udp_in_bytes);
        self.outgoing.cells_bytes += u128::from(counters.tcp_out_bytes) + u128::from(counters.udp_out_bytes);
    }
}

/// Compares one bucket; `None` if its seal lists no devices.
pub fn reconcile(bucket: &HourBlock) -> Option<Reconciliation> {
    let mut sums = without_ports(&bucket.seal)?;
    bucket.lines.iter().for_each(|line| sums.add_port(line.counters()));
    Some(sums)
}

/// Compares all buckets of a day, given its lines; `None` if no seal lists devices. Either all seals or none must do so,
/// because the lines of a day do not tell what moved in a part of it.
pub fn reconcile_day(seals: &[HourSeal], lines: &[DayLine]) -> Option<Reconciliation> {
    let mut sums = seals.iter().filter_map(without_ports).reduce(|mut sums, more| {
        sums.add(more);
        sums
    })?;
    lines.iter().for_each(|line| sums.add_port(line.counters()));
    Some(sums)
}

/// Compares one bucket as if nothing had moved on its ports.
fn without_ports(seal: &HourSeal) -> Option<Reconciliation> {
    if seal.devices.is_empty() {
        return None;
    }
    let mut sums = Reconciliation::default();
    let Others { other_ports, other_ip, non_ip, other_host, fragment_unmatched, unparsed } = seal.other;
    for flow in [other_ports, other_ip, non_ip, other_host, fragment_unmatched, unparsed] {
        sums.incoming.cells_bytes += u128::from(flow.in_bytes);
        sums.outgoing.cells_bytes += u128::from(flow.out_bytes);
    }
    // What was refused on its way in has passed the device; what was refused on its way out never reached it.
    for (_, refused) in seal.blocked.iter() {
        sums.incoming.cells_bytes += u128::from(refused.in_bytes);
    }
    for device in &seal.devices {
        sums.incoming.devices_bytes += net(device, device.rx_bytes, device.rx_packets);
        sums.outgoing.devices_bytes += net(device, device.tx_bytes, device.tx_packets);
    }
    Some(sums)
}

fn net(device: &Device, bytes: u64, packets: u64) -> u128 {
    let header = device.link_header_bytes.map_or(ETHERNET_HEADER_BYTES, u64::from);
    u128::from(bytes).saturating_sub(u128::from(header) * u128::from(packets))
}

#[cfg(test)]
mod tests;
