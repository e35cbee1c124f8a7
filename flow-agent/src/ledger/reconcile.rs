//! Compares what the port counters counted with what the devices counted in the same time.
//!
//! A port counter counts the bytes of a packet after the link-layer header. A device also counts that header, once for
//! every packet that *it* counts. Before the comparison, `link_header_bytes` (14 unless the seal says otherwise) times
//! the number of the device's packets is therefore subtracted from the device's bytes. The remaining difference is
//! padding of short frames, VLAN tags and, where the network card segments large buffers, the headers that it repeats
//! in each segment (with `count = "wire"`, port counters include those as well).

use super::block::HourBlock;
use super::counters::{Device, Others};

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
}

/// Compares one bucket; `None` if its seal lists no devices.
pub fn reconcile(bucket: &HourBlock) -> Option<Reconciliation> {
    let seal = &bucket.seal;
    if seal.devices.is_empty() {
        return None;
    }
    let mut sums = Reconciliation::default();
    for line in &bucket.lines {
        sums.incoming.cells_bytes += u128::from(line.tcp_in_bytes) + u128::from(line.udp_in_bytes);
        sums.outgoing.cells_bytes += u128::from(line.tcp_out_bytes) + u128::from(line.udp_out_bytes);
    }
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
mod tests {
    use super::*;
    use crate::ledger::counters::{Counters, Flow};
    use crate::ledger::usage::tests::bucket_of;

    #[test]
    fn devices_count_a_header_more_in_every_packet() {
        // 10 packets of 1,000 bytes in and 4 of 500 out on the port; 2 ARP packets of 28 bytes.
        let port = Counters { tcp_in_bytes: 10_000, udp_out_bytes: 2_000, ..Counters::default() };
        let mut bucket = bucket_of(&[(443, port)]);
        bucket.seal.other.non_ip = Flow { in_bytes: 28, out_bytes: 28, ..Flow::default() };
        bucket.seal.devices = vec![Device {
            name: "eth0".into(),
            rx_bytes: 10_000 + 28 + 11 * 14,
            rx_packets: 11,
            tx_bytes: 2_000 + 28 + 5 * 14,
            tx_packets: 5,
            link_header_bytes: None,
        }];
        let even = reconcile(&bucket).unwrap();
        assert_eq!(even.incoming, Compared { cells_bytes: 10_028, devices_bytes: 10_028 });
        assert_eq!((even.outgoing.difference_bytes(), even.outgoing.difference_percent()), (0, Some(0.0)));

        // A tunnel has no such header. 500 bytes that only it saw.
        bucket.seal.devices.push(Device {
            name: "wg0".into(),
            rx_bytes: 500,
            rx_packets: 5,
            link_header_bytes: Some(0),
            ..Device::default()
        });
        let odd = reconcile(&bucket).unwrap();
        assert_eq!(odd.incoming.difference_bytes(), -500);
        assert!((odd.incoming.difference_percent().unwrap() - -4.7492).abs() < 0.0001);
        let mut both = even;
        both.add(odd);
        assert_eq!(both.incoming, Compared { cells_bytes: 20_056, devices_bytes: 20_556 });
    }

    #[test]
    fn what_was_refused_on_its_way_in_has_passed_the_device() {
        let mut bucket = bucket_of(&[(443, Counters { tcp_in_bytes: 1_000, ..Counters::default() })]);
        let refused = Flow { in_bytes: 300, in_packets: 3, out_bytes: 70, out_packets: 1 };
        bucket.seal.blocked = [(443, refused)].into_iter().collect();
        bucket.seal.devices =
            vec![Device { name: "eth0".into(), rx_bytes: 1_300 + 4 * 14, rx_packets: 4, ..Device::default() }];
        let even = reconcile(&bucket).unwrap();
        assert_eq!((even.incoming.difference_bytes(), even.outgoing.difference_bytes()), (0, 0));
    }

    #[test]
    fn without_devices_there_is_nothing_to_compare() {
        assert_eq!(reconcile(&bucket_of(&[])), None);
        let nothing = Compared::default();
        assert_eq!((nothing.difference_bytes(), nothing.difference_percent()), (0, None));
    }
}
