//! Ports are added and removed under traffic, and no port gets the bytes of another.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Duration;

use flow_agent::backend::Backend;
use flow_agent::ledger::counters::Counters;

use crate::common::daemon::wait_until;
use crate::common::flood::Flood;
use crate::common::netns::{HOST4, PEER4, Pair, inside};
use crate::common::observer::Observer;
use crate::support::{options, pinned_sets, pins, read_all, send, start};

pub const PORTS: [u16; 4] = [443, 4433, 8388, 9000];
/// The size of the flood's datagrams on each port: 28 bytes of headers, and 100, 101, … of payload.
const LENGTHS: [u64; 4] = [128, 129, 130, 131];

/// What the readings of the ports add up to over several lives of their slots.
#[derive(Default)]
struct Ledger(BTreeMap<u16, Counters>);

impl Ledger {
    /// Seals what is draining, as the agent does before it releases.
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
    inside(&pair.host, || come_and_go(&pair, start(&options(&pair, &PORTS)).unwrap().backend, 500));
}

/// Removes ports from a backend that counts [`PORTS`] and adds them again, under flood. In the end it must have counted
/// what an observer saw.
pub fn come_and_go(pair: &Pair, mut backend: Box<dyn Backend>, rounds: usize) {
    let observer = Observer::install(&pair.host, &PORTS);
    let flood = Flood::begin(pair, &PORTS);
    let mut ledger = Ledger::default();
    for round in 0..rounds {
        // One port is removed and added again, at once or when another one may have got its slot.
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
                // In this order they get each other's slots.
                backend.add(&[next.max(port)].into()).unwrap();
                backend.add(&[next.min(port)].into()).unwrap();
            }
        }
        assert_eq!(backend.ports(), PORTS.into());
        flood.pass(50);
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
        // A single byte of another port would break the multiple.
        assert_eq!(counters.udp_in_bytes, counters.udp_in_packets * length, "port {port}");
        assert_eq!(counters.udp_out_bytes, counters.udp_out_packets * length, "port {port}");
        let of = |chain: &str| observed[&(port, "udp".to_owned(), chain.to_owned())].0;
        missing.0 += of("INPUT") - counters.udp_in_bytes;
        missing.1 += of("OUTPUT") - counters.udp_out_bytes;
    }
    // What passed while a port was not watched was not lost either. The flood's ports at the peer are not among ours.
    assert_eq!((others.in_bytes, others.out_bytes), missing);
}

/// A pinned map as memory, so that a test can put it into a state in which a dying agent may leave it.
struct Pinned(memmap2::MmapMut);

impl Pinned {
    fn open(pair: &Pair, map: &str, bytes: usize) -> Self {
        let [set] = pinned_sets(pair).try_into().unwrap();
        let map = aya::maps::MapData::from_pin(pins(pair).join(set).join(map)).unwrap();
        let raw = map.fd().as_fd().as_raw_fd();
        // SAFETY: nobody else can change it, because the agent is dead and no packet passes.
        Self(unsafe { memmap2::MmapOptions::new().len(bytes).map_mut(raw) }.unwrap())
    }

    fn write(&mut self, offset: usize, value: &[u8]) {
        self.0[offset..offset + value.len()].copy_from_slice(value);
    }
}

/// The owner of slot 1, as it is in the map.
fn owner(port: u16, state: u16) -> Vec<u8> {
    [port.to_ne_bytes(), state.to_ne_bytes()].concat()
}

#[test]
fn wherever_the_agent_died_its_successor_keeps_everybodys_bytes_apart() {
    use flow_common::wire::{SLOT_ACTIVE, SLOT_DRAINING, SLOT_FREE};
    let routed = 1_u16.to_ne_bytes();
    let nowhere = 0_u16.to_ne_bytes();
    // Where it died; the owner of slot 1 and the route of port 443 as it left them; how many of the five packets of 443
    // that passed before the successor finds; whether they are draining; and what it has after seven more.
    let deaths = [
        ("before it owned the slot", owner(0, SLOT_FREE), nowhere, None, false, Some(7)),
        ("before the port was routed to its slot", owner(443, SLOT_ACTIVE), nowhere, Some(5), false, Some(12)),
        ("before the port was routed away", owner(443, SLOT_DRAINING), routed, Some(5), true, Some(5)),
        ("before the drained port was released", owner(443, SLOT_DRAINING), nowhere, Some(5), true, Some(5)),
    ];
    for (death, owner, route, found, drains, after) in deaths {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let options = options(&pair, &[443]);
            drop(start(&options).unwrap());
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
            Pinned::open(&pair, "SLOT_OWNER", 65 * 8).write(8, &owner);
            Pinned::open(&pair, "PORT_SLOT", 131_072).write(443 * 2, &route);
            let mut backend = start(&options).unwrap().backend;
            let reading = read_all(&mut *backend);
            assert_eq!(reading.ports[&443].udp_in_packets, found.unwrap_or(0), "died {death}");
            assert_eq!(reading.draining.contains(&443), drains, "died {death}");
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
            let last = read_all(&mut *backend);
            assert_eq!(last.ports.get(&443).map(|counters| counters.udp_in_packets), after, "died {death}");
            let elsewhere = if drains { 7 } else { 0 };
            assert_eq!(last.others.other_ports.in_packets, elsewhere, "died {death}");
        });
    }
}

#[test]
fn a_slot_that_was_given_back_does_not_hand_on_its_bytes() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let mut backend = start(&options(&pair, &[443])).unwrap().backend;
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        backend.drain(&[443].into()).unwrap();
        backend.release(&[443].into()).unwrap();
        // It is the first free slot again.
        backend.add(&[4433].into()).unwrap();
        inside(&pair.peer, || send(PEER4, (HOST4, 4433), 100, 7));
        let reading = read_all(&mut *backend);
        assert_eq!(reading.ports.keys().copied().collect::<Vec<_>>(), [4433]);
        assert_eq!(reading.ports[&4433].udp_in_packets, 7);
    });
}
