//! Ports are added and removed under traffic, and the rules of the others keep their counters.

use flow_agent::backend::BackendError;
use flow_agent::clock;

use super::Variant;
use crate::common::daemon::assert_settles;
use crate::common::flood::Flood;
use crate::common::netns::{HOST4, PEER4, Pair, inside};
use crate::common::observer::Observer;
use crate::ports::{PORTS, come_and_go};
use crate::support::{as_observed, inspect, options, read, read_all, send};

#[test]
fn ports_that_come_and_go_under_flood_get_their_own_bytes_only() {
    for variant in Variant::every() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let mut backend = variant.start(&options(&pair, &PORTS)).unwrap().backend;
            assert_eq!(inspect(&mut *backend).unseen, []);
            come_and_go(&pair, backend, 30);
        });
    }
}

#[test]
fn a_drained_port_stands_still_and_goes_on_when_it_comes_back() {
    for variant in Variant::every() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let mut backend = variant.start(&options(&pair, &[443, 4433])).unwrap().backend;
            let packets = |count| inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, count));
            packets(3);
            backend.drain(&[443].into()).unwrap();
            packets(5);
            let reading = read_all(&mut *backend);
            assert_eq!((reading.ports[&443].udp_in_packets, reading.draining), (3, [443].into()));
            assert_eq!(reading.others.other_ports.in_packets, 5);
            assert_eq!(backend.ports(), [4433].into());
            backend.add(&[443].into()).unwrap();
            packets(7);
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 10);
            backend.drain(&[443].into()).unwrap();
            backend.release(&[443].into()).unwrap();
            assert_eq!(read_all(&mut *backend).ports.keys().copied().collect::<Vec<_>>(), [4433]);
            backend.add(&[443].into()).unwrap();
            packets(11);
            // It begins at zero, because its last bytes were sealed.
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 11);
            assert_eq!(inspect(&mut *backend).unseen, []);
        });
    }
}

#[test]
fn a_larger_set_takes_over_under_flood_and_every_byte_is_in_one_of_both() {
    for variant in Variant::every() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let observer = Observer::install(&pair.host, &PORTS);
            let mut backend = variant.start(&options(&pair, &PORTS)).unwrap().backend;
            let flood = Flood::begin(&pair, &PORTS);
            flood.pass(2_000);
            backend.add(&(10_000..10_028).collect()).unwrap();
            let more = PORTS.into_iter().chain(10_000..10_100).collect();
            // A leaf takes 32 ports, and 4 were there. A set of nftables takes 64 elements, and port zero is one.
            let room = if variant.is_native() { 63 } else { 32 };
            if !variant.has_ipset {
                assert!(matches!(backend.add(&more), Err(BackendError::Full { wanted: 104, slots }) if slots == room));
            }
            assert_eq!(backend.ports().len(), 32);
            let epoch = backend.identity().epoch;
            let mut retired = backend.replace(&more).unwrap();
            flood.pass(2_000);
            flood.end();
            assert_eq!(inspect(&mut *backend).unseen, []);
            assert_eq!((retired.identity().epoch, retired.interfaces()), (epoch, vec!["wan".to_owned()]));
            let last = retired.read(&clock::now).unwrap();
            assert_eq!(last.draining.len(), 32);
            let both = || {
                let live = read_all(&mut *backend).ports;
                assert_eq!(live.len(), 104);
                as_observed(PORTS.map(|port| (port, live[&port].checked_add(last.ports[&port]).unwrap())))
            };
            assert_settles(both, || observer.read());
            let before = Variant::everything();
            retired.delete().unwrap();
            let after = Variant::everything();
            assert!(after.len() < before.len());
            assert_eq!(inspect(&mut *backend).unseen, []);
        });
    }
}

#[test]
fn more_ports_than_are_allowed_are_refused() {
    for variant in Variant::every() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let few = flow_agent::backend::BackendOptions { max_ports: 3, ..options(&pair, &[1, 2]) };
            let mut backend = variant.start(&few).unwrap().backend;
            let refused = backend.add(&[3, 4].into());
            assert!(matches!(refused, Err(BackendError::TooManyPorts { wanted: 4, max_ports: 3 })));
            backend.add(&[3].into()).unwrap();
            assert_eq!(backend.ports(), [1, 2, 3].into());
        });
    }
}
