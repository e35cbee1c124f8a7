//! Attaching: what passes is counted, exactly, in both directions, and the program outlives the agent.

use crate::common::netns::{HOST4, HOST6, PEER4, PEER6, Pair, inside};
use crate::support::{options, read, send, start};

#[test]
fn datagrams_are_counted_to_the_byte_in_both_families() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let started = start(&options(&pair, &[443, 4433])).unwrap();
        let mut backend = started.backend;
        assert!(started.unseen.is_empty() && started.retired.is_empty() && started.unadopted.is_empty());
        inside(&pair.peer, || {
            send(PEER4, (HOST4, 443), 100, 10);
            send(PEER6, (HOST6, 443), 100, 10);
            send(PEER4, (HOST4, 9), 50, 3);
        });
        let counters = read(&mut *backend, 443);
        // 10 x (20 + 8 + 100) + 10 x (40 + 8 + 100)
        assert_eq!((counters.udp_in_bytes, counters.udp_in_packets), (1_280 + 1_480, 20));
        assert_eq!((counters.udp_out_bytes, counters.tcp_in_bytes), (0, 0));
        assert!(read(&mut *backend, 4433).is_zero());
        let others = backend.read(&flow_agent::clock::now).unwrap().others;
        // 3 x (20 + 8 + 50)
        assert_eq!((others.other_ports.in_bytes, others.other_ports.in_packets), (234, 3));
    });
}
