use super::*;
use crate::ledger::counters::{Counters, Flow};
use crate::ledger::usage::tests::bucket_of;

#[test]
fn devices_count_a_header_more_in_every_packet() {
    // 10 packets of 1,000 bytes in and 4 of 500 out on the port, over both protocols; 2 ARP packets of 28 bytes.
    let port = Counters {
        tcp_in_bytes: 7_000,
        udp_in_bytes: 3_000,
        tcp_out_bytes: 500,
        udp_out_bytes: 1_500,
        ..Counters::default()
    };
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

    // A tunnel device has no link-layer header. It saw 500 bytes that no counter has.
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
