//! The counters outlive the agent: a successor adopts them, or reads them a last time.

use flow_agent::backend::{AttachPlace, BackendError, BackendOptions, ebpf};
use flow_agent::clock;
use flow_agent::ledger::by_port::ByPort;
use flow_agent::ledger::record::CountMode;

use crate::common::daemon::assert_settles;
use crate::common::flood::Flood;
use crate::common::netns::{HOST4, PEER4, Pair, inside};
use crate::common::observer::{Observed, Observer};
use crate::support::{
    as_observed, has_tcx, inspect, options, pinned_sets, pins, places, read, read_all, refusal, send, start, succeed,
};

const PORTS: [u16; 3] = [443, 4433, 8388];

fn sum(left: &ByPort, right: &ByPort) -> Observed {
    let ports = left.keys().chain(right.keys()).copied();
    let of = |readings: &ByPort, port| readings.get(&port).copied().unwrap_or_default();
    as_observed(ports.map(|port| (port, of(left, port).checked_add(of(right, port)).unwrap())))
}

#[test]
fn a_killed_agents_successor_goes_on_where_it_left_off() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let options = options(&pair, &[443]);
        let backend = start(&options).unwrap().backend;
        let epoch = backend.identity().epoch;
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        drop(backend);
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
        let started = start(&BackendOptions { known_epochs: [epoch.clone()].into(), ..options }).unwrap();
        assert_eq!((started.unseen, started.unadopted), (vec![], Vec::<std::path::PathBuf>::new()));
        let mut backend = started.backend;
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 11));
        assert_eq!(backend.identity().epoch, epoch);
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 23);
        assert_eq!(std::fs::read_dir(pins(&pair).join("links")).unwrap().count(), 2);
        assert_eq!(pinned_sets(&pair).len(), 1);
    });
}

#[test]
fn twenty_successors_under_flood_lose_nothing() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let observer = Observer::install(&pair.host, &PORTS);
        let options = options(&pair, &PORTS);
        let mut backend = start(&options).unwrap().backend;
        let flood = Flood::begin(&pair, &PORTS);
        for _ in 0..20 {
            flood.pass(500);
            let started = succeed(backend, &options);
            assert_eq!(started.unseen, []);
            backend = started.backend;
        }
        flood.end();
        assert_settles(|| as_observed(read_all(&mut *backend).ports), || observer.read());
    });
}

#[test]
fn another_mode_takes_over_under_flood_and_every_byte_is_in_one_of_both() {
    for place in places() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let observer = Observer::install(&pair.host, &PORTS);
            let ip = BackendOptions { place, ..options(&pair, &PORTS) };
            let wire = BackendOptions { count: CountMode::Wire, ..ip.clone() };
            let backend = start(&ip).unwrap().backend;
            let flood = Flood::begin(&pair, &PORTS);
            flood.pass(2_000);
            let old_epoch = backend.identity().epoch;
            let mut started = succeed(backend, &wire);
            flood.pass(2_000);
            flood.end();
            let mut retired = started.retired.pop().unwrap();
            assert_eq!((started.retired.len(), started.unseen), (0, vec![]));
            assert_eq!(retired.identity().epoch, old_epoch);
            assert_eq!(retired.identity().count, CountMode::Ip);
            assert_eq!(retired.interfaces(), ["wan"]);
            let last = retired.read(&clock::now).unwrap();
            assert_eq!(last.draining, PORTS.into());
            assert_ne!(started.backend.identity().epoch, old_epoch);
            assert_settles(|| sum(&last.ports, &read_all(&mut *started.backend).ports), || observer.read());
            assert_eq!(pinned_sets(&pair).len(), 2);
            retired.delete().unwrap();
            assert_eq!(pinned_sets(&pair).len(), 1);
        });
    }
}

#[test]
fn a_larger_set_takes_over_under_flood_and_every_byte_is_in_one_of_both() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let observer = Observer::install(&pair.host, &PORTS);
        let mut backend = start(&options(&pair, &PORTS)).unwrap().backend;
        let flood = Flood::begin(&pair, &PORTS);
        flood.pass(2_000);
        let more: std::collections::BTreeSet<u16> = PORTS.into_iter().chain(10_000..10_100).collect();
        // 64 slots, the smallest possible number.
        assert!(matches!(backend.add(&more), Err(BackendError::Full { wanted: 103, slots: 64 })));
        assert_eq!(backend.ports(), PORTS.into());
        let mut retired = backend.replace(&more).unwrap();
        flood.pass(2_000);
        flood.end();
        assert_eq!(inspect(&mut *backend).unseen, []);
        let last = retired.read(&clock::now).unwrap().ports;
        let new = || {
            let ports = read_all(&mut *backend).ports;
            assert_eq!(ports.len(), 103);
            sum(&last, &ports.into_iter().filter(|(port, _)| PORTS.contains(port)).collect())
        };
        assert_settles(new, || observer.read());
        // A successor that is started before the old set is deleted finds both.
        let known_epochs = [retired.identity().epoch, backend.identity().epoch].into();
        drop((backend, retired));
        let ports = more.clone();
        let mut started = start(&BackendOptions { known_epochs, ports, ..options(&pair, &[]) }).unwrap();
        assert_eq!(started.retired[0].read(&clock::now).unwrap().ports, last);
        assert_eq!(started.backend.ports(), more);
    });
}

#[test]
fn counters_that_were_never_sealed_go_on_from_zero() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let options = options(&pair, &[443]);
        let backend = start(&options).unwrap().backend;
        let epoch = backend.identity().epoch;
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        drop(backend);
        // It died before its first checkpoint, so nobody knows its epoch.
        let mut backend = start(&options).unwrap().backend;
        assert_eq!(backend.identity().epoch, epoch);
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 5);
    });
}

#[test]
fn counters_that_were_sealed_by_files_that_are_lost_are_named_and_left_alone() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let options = options(&pair, &[443]);
        let mut backend = start(&options).unwrap().backend;
        backend.sealed().unwrap();
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        drop(backend);
        let [old] = pinned_sets(&pair).try_into().unwrap();
        let mut started = start(&options).unwrap();
        assert_eq!(started.unadopted, [pins(&pair).join(&old)]);
        assert!(started.retired.is_empty());
        assert!(read(&mut *started.backend, 443).is_zero());
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
        assert_eq!(read(&mut *started.backend, 443).udp_in_packets, 7);
        assert_eq!(pinned_sets(&pair).len(), 2);
    });
}

#[test]
fn a_known_epoch_is_marked_as_sealed_when_it_is_taken_up() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let options = options(&pair, &[443]);
        let backend = start(&options).unwrap().backend;
        drop(succeed(backend, &options).backend);
        assert_eq!(start(&options).unwrap().unadopted.len(), 1);
    });
}

#[test]
fn a_newer_layout_stops_the_start_and_nothing_is_touched() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let options = options(&pair, &[443]);
        let backend = start(&options).unwrap().backend;
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        let known_epochs: std::collections::BTreeSet<String> = [backend.identity().epoch].into();
        drop(backend);
        let newer = pins(&pair).join("v2-something-else");
        std::fs::create_dir(&newer).unwrap();
        let options = BackendOptions { known_epochs, ..options };
        let error = refusal(&options);
        assert!(matches!(error, BackendError::NewerLayout { layout: 2, known: 1, .. }), "{error}");
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
        std::fs::remove_dir(&newer).unwrap();
        assert_eq!(read(&mut *start(&options).unwrap().backend, 443).udp_in_packets, 12);
    });
}

#[test]
fn the_remains_of_a_start_that_died_are_removed() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let options = options(&pair, &[443]);
        drop(start(&options).unwrap());
        let [whole] = pinned_sets(&pair).try_into().unwrap();
        // As if the agent had died after it pinned the second of four maps.
        for map in ["SLOT_OWNER", "FRAGMENTS"] {
            std::fs::remove_file(pins(&pair).join(&whole).join(map)).unwrap();
        }
        drop(start(&options).unwrap());
        let [new] = pinned_sets(&pair).try_into().unwrap();
        assert_ne!(new, whole);
    });
}

#[test]
fn a_removal_that_was_not_ended_is_ended_and_not_taken_for_a_set() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let options = options(&pair, &[443]);
        drop(start(&options).unwrap());
        let [set] = pinned_sets(&pair).try_into().unwrap();
        // As if the agent had died after it removed the first of the pins.
        let gone = pins(&pair).join(format!("gone-{set}"));
        std::fs::rename(pins(&pair).join(&set), &gone).unwrap();
        std::fs::remove_file(gone.join("CELLS")).unwrap();
        let started = start(&options).unwrap();
        assert!(started.unadopted.is_empty() && started.retired.is_empty());
        assert!(!gone.exists());
        assert_ne!(pinned_sets(&pair), [set]);
    });
}

#[test]
fn what_was_detached_while_no_agent_ran_is_told() {
    for place in places() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let options = BackendOptions { place, ..options(&pair, &[443]) };
            let backend = start(&options).unwrap().backend;
            let last_known = clock::now();
            let known_epochs = [backend.identity().epoch].into();
            drop(backend);
            match place {
                AttachPlace::Clsact => drop(pair.host_tc(&["qdisc", "del", "dev", "wan", "clsact"])),
                AttachPlace::Tcx | AttachPlace::Auto => pair.host_ip(&["link", "del", "wan"]),
            }
            if place == AttachPlace::Tcx {
                pair.join("wan", "lan");
            }
            // Some traffic passes; otherwise nothing was missed.
            pair.host_ip(&["addr", "replace", "10.99.0.2/24", "dev", "wan"]);
            pair.peer_ip(&["addr", "replace", "10.99.0.1/24", "dev", "lan"]);
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
            let options = BackendOptions { known_epochs, last_known: Some(last_known), ..options };
            let mut started = start(&options).unwrap();
            let [told] = started.unseen.as_slice() else { panic!("{:?}", started.unseen) };
            assert_eq!((told.start, told.interface.as_str()), (last_known, "wan"));
            let why = match place {
                AttachPlace::Clsact => "the counter was detached while no agent ran",
                AttachPlace::Tcx | AttachPlace::Auto => "the interface was made again while no agent ran",
            };
            assert_eq!(told.why, why);
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
            assert_eq!(read(&mut *started.backend, 443).udp_in_packets, 5);
            assert_eq!(std::fs::read_dir(pins(&pair).join("links")).unwrap().count(), 2);
        });
    }
}

#[test]
fn a_port_that_is_not_wanted_any_more_drains_from_the_start() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let both = options(&pair, &[443, 4433]);
        let backend = start(&both).unwrap().backend;
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        let mut backend = succeed(backend, &BackendOptions { ports: [4433].into(), ..both.clone() }).backend;
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
        let reading = read_all(&mut *backend);
        assert_eq!((reading.draining, reading.ports[&443].udp_in_packets), ([443].into(), 5));
        // It is still draining for a successor that wants it again, so that its last bytes are compared with its last
        // line first. Once added, it continues.
        let mut backend = succeed(backend, &both).backend;
        assert_eq!(read_all(&mut *backend).draining, [443].into());
        assert_eq!(backend.ports(), [4433].into());
        backend.add(&[443].into()).unwrap();
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 11));
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 16);
    });
}

#[test]
fn an_interface_that_is_not_asked_for_any_more_is_let_go() {
    for place in places() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            pair.join("wan2", "lan2");
            let both =
                BackendOptions { place, interfaces: vec!["wan".into(), "wan2".into()], ..options(&pair, &[443]) };
            let backend = start(&both).unwrap().backend;
            assert_eq!(backend.interfaces(), ["wan", "wan2"]);
            let one = BackendOptions { interfaces: vec!["wan".into()], ..both.clone() };
            let started = succeed(backend, &one);
            assert_eq!((started.backend.interfaces(), started.unseen), (vec!["wan".to_owned()], vec![]));
            assert_eq!(std::fs::read_dir(pins(&pair).join("links")).unwrap().count(), 2);
            assert!(!pair.host_tc(&["filter", "show", "dev", "wan2", "ingress"]).contains("bpf"));
            // wan2 is requested again. Nothing was missed, because nobody had requested it meanwhile.
            let started = succeed(started.backend, &both);
            assert_eq!((started.backend.interfaces().len(), started.unseen), (2, vec![]));
        });
    }
}

#[test]
fn another_place_takes_over_and_the_moment_is_told() {
    let Some(pair) = Pair::make().filter(|_| has_tcx()) else { return };
    inside(&pair.host, || {
        let options = options(&pair, &[443]);
        let mut backend = start(&BackendOptions { place: AttachPlace::Clsact, ..options.clone() }).unwrap().backend;
        for place in places() {
            let started = succeed(backend, &BackendOptions { place, ..options.clone() });
            assert_eq!(started.unseen.len(), 1, "{:?}", started.unseen);
            backend = started.backend;
            let before = read(&mut *backend, 443).udp_in_packets;
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
            assert_eq!(read(&mut *backend, 443).udp_in_packets, before + 5, "counted once: {place:?}");
        }
    });
}

#[test]
fn another_backend_is_handed_what_was_counted_and_nothing_counts_on() {
    for place in places() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let options = BackendOptions { place, ..options(&pair, &[443]) };
            let backend = start(&options).unwrap().backend;
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
            let known = BackendOptions { known_epochs: [backend.identity().epoch].into(), ..options.clone() };
            drop(backend);
            let [mut retired] = ebpf::find_retired(&known).unwrap().retired.try_into().ok().unwrap();
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
            assert_eq!(retired.read(&clock::now).unwrap().ports[&443].udp_in_packets, 5);
            assert_eq!(std::fs::read_dir(pins(&pair).join("links")).unwrap().count(), 0);
            retired.delete().unwrap();
            assert!(ebpf::find_retired(&known).unwrap().retired.is_empty());
            assert!(pinned_sets(&pair).is_empty());
        });
    }
}
