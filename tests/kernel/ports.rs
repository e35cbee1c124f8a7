//! Ports come and go under traffic, and nobody gets another's bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use flow_agent::backend::Backend;
use flow_agent::ledger::counters::Counters;

use crate::common::daemon::wait_until;
use crate::common::flood::Flood;
use crate::common::netns::{Pair, inside};
use crate::common::observer::Observer;
use crate::support::{options, read_all, start};

const PORTS: [u16; 4] = [443, 4433, 8388, 9000];
/// Bytes of a datagram of the flood on each: 28 of headers, and 100, 101, ….
const LENGTHS: [u64; 4] = [128, 129, 130, 131];

/// What the ports' readings add up to over several lives of their slots.
#[derive(Default)]
struct Ledger(BTreeMap<u16, Counters>);

impl Ledger {
    /// Seals what drains, as the agent does before it releases.
    fn seal(&mut self, backend: &mut dyn Backend) {
        let reading = read_all(backend);
        for port in &reading.draining {
            let entry = self.0.entry(*port).or_default();
            *entry = entry.checked_add(reading.ports[port]).unwrap();
        }
        backend.release(&reading.draining).unwrap();
    }
}

#[test]
fn ports_that_come_and_go_under_flood_get_their_own_bytes_only() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let observer = Observer::install(&pair.host, &PORTS);
        let mut backend = start(&options(&pair, &PORTS)).unwrap().backend;
        let flood = Flood::begin(&pair, &PORTS);
        let mut ledger = Ledger::default();
        for round in 0..100 {
            // One port is taken away and brought back: at once, or when its slot may have gone to the next.
            let port = PORTS[round % PORTS.len()];
            let next = PORTS[(round + 1) % PORTS.len()];
            backend.drain(&[port].into()).unwrap();
            match round % 3 {
                0 => backend.add(&[port].into()).unwrap(),
                1 => {
                    ledger.seal(&mut *backend);
                    backend.add(&[port].into()).unwrap();
                }
                _ => {
                    backend.drain(&[next].into()).unwrap();
                    ledger.seal(&mut *backend);
                    // In this order they take each other's slots.
                    backend.add(&[next.max(port)].into()).unwrap();
                    backend.add(&[next.min(port)].into()).unwrap();
                }
            }
            assert_eq!(backend.ports(), PORTS.into());
            flood.pass(200);
        }
        flood.end();
        wait_until("the last datagrams have arrived", Duration::from_secs(5), || {
            let before = (observer.read(), read_all(&mut *backend));
            std::thread::sleep(Duration::from_millis(100));
            let after = (observer.read(), read_all(&mut *backend));
            before.0 == after.0 && before.1.ports == after.1.ports && before.1.others == after.1.others
        });
        let others = read_all(&mut *backend).others.other_ports;
        backend.drain(&PORTS.into()).unwrap();
        ledger.seal(&mut *backend);
        let observed = observer.read();
        let mut missing = (0, 0);
        for (port, length) in PORTS.into_iter().zip(LENGTHS) {
            let counters = ledger.0[&port];
            // A single byte of another's would break the multiple.
            assert_eq!(counters.udp_in_bytes, counters.udp_in_packets * length, "port {port}");
            assert_eq!(counters.udp_out_bytes, counters.udp_out_packets * length, "port {port}");
            let of = |chain: &str| observed[&(port, "udp".to_owned(), chain.to_owned())].0;
            missing.0 += of("INPUT") - counters.udp_in_bytes;
            missing.1 += of("OUTPUT") - counters.udp_out_bytes;
        }
        // What passed while a port was not watched was not lost either. The flood's other ends are no port of ours.
        assert_eq!((others.in_bytes, others.out_bytes), missing);
    });
}
