//! The rules outlive the agent: a successor adopts them, or reads them a last time.

use std::collections::BTreeSet;
use std::time::Duration;

use flow_agent::backend::{BackendError, BackendOptions};
use flow_agent::clock;

use super::Variant;
use crate::common::daemon::{assert_settles, wait_until};
use crate::common::flood::Flood;
use crate::common::netns::{HOST4, PEER4, Pair, inside};
use crate::common::observer::Observer;
use crate::support::{as_observed, inspect, options, read, read_all, send};

const PORTS: [u16; 3] = [443, 4433, 8388];

#[test]
fn twenty_successors_under_flood_lose_nothing() {
    for variant in Variant::every() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let observer = Observer::install(&pair.host, &PORTS);
            let options = options(&pair, &PORTS);
            let mut backend = variant.start(&options).unwrap().backend;
            let epoch = backend.identity().epoch;
            let flood = Flood::begin(&pair, &PORTS);
            for _ in 0..20 {
                flood.pass(500);
                let started = variant.succeed(backend, &options);
                assert_eq!((started.unseen, started.unadopted), (vec![], vec![]));
                assert!(started.retired.is_empty());
                backend = started.backend;
            }
            flood.end();
            assert_eq!(backend.identity().epoch, epoch);
            assert_settles(|| as_observed(read_all(&mut *backend).ports), || observer.read());
            assert_eq!(variant.sets().len(), 1);
        });
    }
}

#[test]
fn a_port_that_is_not_wanted_any_more_drains_from_the_start() {
    for variant in Variant::every() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let both = options(&pair, &[443, 4433]);
            let backend = variant.start(&both).unwrap().backend;
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
            let one = BackendOptions { ports: [4433, 9000].into(), ..both.clone() };
            let mut backend = variant.succeed(backend, &one).backend;
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
            let reading = read_all(&mut *backend);
            assert_eq!((reading.draining, reading.ports[&443].udp_in_packets), ([443].into(), 5));
            // Counters of a known epoch get new ports with `add`, once the first bucket is sealed.
            assert_eq!(backend.ports(), [4433].into());
            backend.add(&[9000].into()).unwrap();
            assert_eq!(backend.ports(), [4433, 9000].into());
            let mut backend = variant.succeed(backend, &both).backend;
            assert_eq!(read_all(&mut *backend).draining, [443, 9000].into());
            assert_eq!(backend.ports(), [4433].into());
            backend.add(&[443].into()).unwrap();
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 11));
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 16);
            assert_eq!(inspect(&mut *backend).unseen, []);
        });
    }
}

#[test]
fn counters_that_were_never_sealed_go_on_from_zero() {
    for variant in Variant::every() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let options = options(&pair, &[443]);
            let backend = variant.start(&options).unwrap().backend;
            let epoch = backend.identity().epoch;
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
            drop(backend);
            let mut backend = variant.start(&options).unwrap().backend;
            assert_eq!(backend.identity().epoch, epoch);
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 5);
        });
    }
}

#[test]
fn counters_that_were_sealed_by_files_that_are_lost_are_named_and_left_alone() {
    for variant in Variant::every() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let options = options(&pair, &[443]);
            let mut backend = variant.start(&options).unwrap().backend;
            backend.sealed().unwrap();
            backend.sealed().unwrap();
            assert_eq!(inspect(&mut *backend).unseen, []);
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
            drop(backend);
            let [old] = variant.sets().try_into().unwrap();
            let mut started = variant.start(&options).unwrap();
            assert_eq!(started.unadopted, [std::path::PathBuf::from(&old)]);
            assert!(started.retired.is_empty());
            assert!(read(&mut *started.backend, 443).is_zero());
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
            assert_eq!(read(&mut *started.backend, 443).udp_in_packets, 7);
            assert_eq!(variant.sets().len(), 2);
            assert_eq!(inspect(&mut *started.backend).unseen, []);
        });
    }
}

#[test]
fn a_newer_layout_stops_the_start_and_nothing_is_touched() {
    for variant in Variant::all() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let options = options(&pair, &[443]);
            let backend = variant.start(&options).unwrap().backend;
            let [name] = variant.sets().try_into().unwrap();
            let newer = name.replace("-1", "-2").replace('*', "in");
            variant.iptables("iptables", &format!("-t mangle -N {newer}"));
            let known_epochs: BTreeSet<String> = [backend.identity().epoch].into();
            drop(backend);
            let before = Variant::everything();
            let Err(error) = variant.start(&BackendOptions { known_epochs, ..options }) else { panic!("it started") };
            assert!(matches!(error, BackendError::NewerLayout { layout: 2, known: 1, .. }), "{error}");
            assert_eq!(Variant::everything(), before);
        });
    }
}

#[test]
fn what_was_taken_away_while_no_agent_ran_is_told() {
    for variant in Variant::all() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let options = options(&pair, &[443]);
            let backend = variant.start(&options).unwrap().backend;
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 3));
            let last_known = clock::now();
            let options = BackendOptions { last_known: Some(last_known), ..options };
            let [name] = variant.sets().try_into().unwrap();
            variant.iptables("iptables", &format!("-t mangle -D INPUT -j {}", name.replace('*', "in")));
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
            let started = variant.succeed(backend, &options);
            let [told] = started.unseen.as_slice() else { panic!("{:?}", started.unseen) };
            assert_eq!((told.start, told.interface.as_str()), (last_known, "wan"));
            assert_eq!(told.why, "somebody removed the IPv4 rule that leads to the counters");
            let mut backend = started.backend;
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
            // The counters are complete, so they continue.
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 8);

            // The leaves are gone, so new ones count.
            variant.iptables("iptables", "-t mangle -F");
            let mut started = variant.succeed(backend, &options);
            let [told] = started.unseen.as_slice() else { panic!("{:?}", started.unseen) };
            assert!(told.why.starts_with("somebody changed the IPv4 counters: chain flow-"), "{}", told.why);
            // Counters that somebody changed while no agent looked are not read, because they may hold anything. A set
            // with one intact family is read a last time: its IPv6 counters saw nothing, and its IPv4 ipsets hold what
            // they held.
            let held = if variant.has_ipset { 8 } else { 0 };
            for retired in &mut started.retired {
                assert_eq!(retired.read(&clock::now).unwrap().ports[&443].udp_in_packets, held);
            }
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
            assert_eq!(read(&mut *started.backend, 443).udp_in_packets, 5);
        });
    }
}

#[test]
fn the_other_variant_takes_over_and_no_byte_is_counted_twice() {
    let [nft, legacy, nft_ipset, legacy_ipset] =
        Variant::all().try_into().unwrap_or_else(|_| panic!("both variants and ipset are installed"));
    for (from, to) in [(&nft, &legacy), (&legacy, &nft), (&nft_ipset, &legacy_ipset), (&legacy_ipset, &nft_ipset)] {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let observer = Observer::install(&pair.host, &PORTS);
            let options = options(&pair, &PORTS);
            let backend = from.start(&options).unwrap().backend;
            let flood = Flood::begin(&pair, &PORTS);
            flood.pass(2_000);
            let mut started = to.succeed(backend, &options);
            flood.pass(2_000);
            flood.end();
            let [told] = started.unseen.as_slice() else { panic!("{:?}", started.unseen) };
            assert_eq!(told.why, "the counters moved to another kind of table");
            let last = started.retired[0].read(&clock::now).unwrap();
            let mut live = read_all(&mut *started.backend);
            wait_until("the last datagrams have arrived", Duration::from_secs(5), || {
                let before = std::mem::replace(&mut live, read_all(&mut *started.backend));
                before.ports == live.ports
            });
            let (mut seen, mut passed) = (0, 0);
            let observed = observer.read();
            for port in PORTS {
                let sum = live.ports[&port].checked_add(last.ports[&port]).unwrap();
                for (chain, bytes) in [("INPUT", sum.udp_in_bytes), ("OUTPUT", sum.udp_out_bytes)] {
                    let observed = observed[&(port, "udp".to_owned(), chain.to_owned())].0;
                    assert!(bytes <= observed, "port {port} {chain}");
                    (seen, passed) = (seen + bytes, passed + observed);
                }
            }
            let nanos = told.end.boot_ns - told.start.boot_ns;
            eprintln!("{} to {}: {} of {passed} bytes unseen in {nanos} ns", from.name, to.name, passed - seen);
            started.retired.pop().unwrap().delete().unwrap();
            assert_eq!(to.sets().len(), 1);
        });
    }
}
