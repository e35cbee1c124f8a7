//! What rules count is what passed, to the byte and packet.

use std::net::UdpSocket;

use flow_agent::clock;

use super::Variant;
use crate::common::netns::{HOST4, HOST6, PEER4, PEER6, Pair, inside};
use crate::support::{options, read_all, send};

#[test]
fn datagrams_count_their_ip_bytes_in_both_families_and_directions() {
    for variant in Variant::both() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let mut backend = variant.start(&options(&pair, &[443, 4433])).unwrap().backend;
            let hosts = [HOST4, HOST6].map(|ip| UdpSocket::bind((ip, 443)).unwrap());
            let _others = [HOST4, HOST6].map(|ip| [4433, 9999].map(|port| UdpSocket::bind((ip, port)).unwrap()));
            let _sinks = inside(&pair.peer, || [PEER4, PEER6].map(|ip| UdpSocket::bind((ip, 7)).unwrap()));
            for (from, to) in [(PEER4, HOST4), (PEER6, HOST6)] {
                inside(&pair.peer, || {
                    send(from, (to, 443), 100, 10);
                    send(from, (to, 4433), 1_000, 7);
                    send(from, (to, 9999), 300, 5);
                });
            }
            for (socket, to) in hosts.iter().zip([PEER4, PEER6]) {
                for _ in 0..3 {
                    socket.send_to(&[b'x'; 50], (to, 7)).unwrap();
                }
            }
            let reading = read_all(&mut *backend);
            // 28 bytes of headers with IPv4, 48 with IPv6.
            let both = |count: u64, payload: u64| count * (payload + 28) + count * (payload + 48);
            assert_eq!(reading.ports[&443].to_array(), [0, 0, 0, 0, both(10, 100), 20, both(3, 50), 6]);
            assert_eq!(reading.ports[&4433].to_array(), [0, 0, 0, 0, both(7, 1_000), 14, 0, 0]);
            let others = reading.others.other_ports;
            assert_eq!((others.in_bytes, others.in_packets), (both(5, 300), 10));
            assert_eq!(backend.inspect(clock::now()).unwrap().unseen, []);
        });
    }
}
