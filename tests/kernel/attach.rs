//! Attaching: what passes is counted exactly, once, and before all other programs.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flow_agent::backend::{AttachPlace, BackendError, BackendOptions};
use flow_agent::clock;
use flow_agent::ledger::counters::Others;
use flow_agent::ledger::reading::Reading;

use crate::common::daemon::{assert_settles, wait_until};
use crate::common::flood::Flood;
use crate::common::netns::{HOST4, HOST6, PEER4, PEER6, Pair, WAN, inside, run};
use crate::common::observer::Observer;
use crate::stranger::{self, TCX_INGRESS, TCX_NEXT, TCX_PASS, attach_first};
use crate::support::{
    as_observed, has_tcx, index_of, inspect, options, places, read, read_all, refusal, send, start, succeed,
};
use crate::wire::{IPV4, datagram, frame_to, host_address, put};

#[test]
fn datagrams_are_counted_to_the_byte_in_both_families_and_directions() {
    for place in places() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let started = start(&BackendOptions { place, ..options(&pair, &[443, 4433]) }).unwrap();
            let mut backend = started.backend;
            assert!(started.unseen.is_empty() && started.retired.is_empty() && started.unadopted.is_empty());
            assert_eq!((backend.interfaces(), backend.ports()), (vec![WAN.to_owned()], [443, 4433].into()));
            assert!(backend.identity().pinned);
            // Sockets that receive everything, so that nobody answers with ICMP.
            let hosts = [HOST4, HOST6].map(|ip| UdpSocket::bind((ip, 443)).unwrap());
            let _sinks = inside(&pair.peer, || [PEER4, PEER6].map(|ip| UdpSocket::bind((ip, 7)).unwrap()));
            inside(&pair.peer, || {
                send(PEER4, (HOST4, 443), 100, 10);
                send(PEER6, (HOST6, 443), 100, 10);
                send(PEER4, (HOST4, 9), 50, 3);
            });
            for (socket, to) in hosts.iter().zip([PEER4, PEER6]) {
                for _ in 0..3 {
                    socket.send_to(&[b'x'; 50], (to, 7)).unwrap();
                }
            }
            let counters = read(&mut *backend, 443);
            // 10 x (20 + 8 + 100) + 10 x (40 + 8 + 100)
            assert_eq!((counters.udp_in_bytes, counters.udp_in_packets), (1_280 + 1_480, 20));
            // 3 x (20 + 8 + 50) + 3 x (40 + 8 + 50)
            assert_eq!((counters.udp_out_bytes, counters.udp_out_packets), (234 + 294, 6));
            assert_eq!((counters.tcp_in_bytes, counters.tcp_out_bytes), (0, 0));
            assert!(read(&mut *backend, 4433).is_zero());
            let others = read_all(&mut *backend).others;
            // 3 x (20 + 8 + 50)
            assert_eq!((others.other_ports.in_bytes, others.other_ports.in_packets), (234, 3));
        });
    }
}

#[test]
fn a_stream_is_counted_as_iptables_counts_it() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let observer = Observer::install(&pair.host, &[443, 4433]);
        let mut backend = start(&options(&pair, &[443, 4433])).unwrap().backend;
        let listener = TcpListener::bind((HOST4, 443)).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
            stream.write_all(&vec![b'd'; 3_000_000]).unwrap();
        });
        inside(&pair.peer, || {
            let mut stream = TcpStream::connect((HOST4, 443)).unwrap();
            stream.write_all(&vec![b'u'; 1_000_000]).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            assert_eq!(answer.len(), 3_000_000);
        });
        server.join().unwrap();
        assert_settles(|| as_observed(read_all(&mut *backend).ports), || observer.read());
        let counters = read(&mut *backend, 443);
        assert!(counters.tcp_in_bytes > 1_000_000 && counters.tcp_out_bytes > 3_000_000);
    });
}

#[test]
fn padding_is_nobodys_traffic() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let observer = Observer::install(&pair.host, &[443]);
        let mut backend = start(&options(&pair, &[443])).unwrap().backend;
        // One byte of payload makes 29 bytes of IP in a frame of 60 bytes, of which the device sees 46 after the
        // header.
        put(&pair, &frame_to(host_address(&pair), IPV4, &datagram(443, 1)), 100);
        assert_settles(|| as_observed(read_all(&mut *backend).ports), || observer.read());
        assert_eq!(read(&mut *backend, 443).udp_in_bytes, 2_900);
    });
}

#[test]
fn a_frame_for_another_host_counts_for_nobody() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        pair.host_ip(&["link", "set", WAN, "promisc", "on"]);
        let mut backend = start(&options(&pair, &[443])).unwrap().backend;
        put(&pair, &frame_to([2, 0, 0, 0, 0, 9], IPV4, &datagram(443, 100)), 10);
        assert!(read(&mut *backend, 443).is_zero());
        let other_host = read_all(&mut *backend).others.other_host;
        assert_eq!((other_host.in_bytes, other_host.in_packets), (1_280, 10));
    });
}

#[test]
fn frames_that_cannot_be_parsed_are_counted_and_told_when_asked_for() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let mut backend = start(&BackendOptions { log: true, ..options(&pair, &[443]) }).unwrap().backend;
            // An IPv4 header that claims to have two words.
            put(&pair, &frame_to(host_address(&pair), IPV4, &[0x42; 46]), 3);
            let unparsed = read_all(&mut *backend).others.unparsed;
            assert_eq!((unparsed.in_bytes, unparsed.in_packets), (3 * 46, 3));
            inspect(&mut *backend);
        });
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let told = text.lines().filter(|line| line.contains("program=")).count();
        assert_eq!(told, 3, "{text}");
    });
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The bytes of all cells, in and out: what the device should have counted without link-layer headers.
fn all_bytes(reading: &Reading) -> (u64, u64) {
    let Others { other_ports, other_ip, non_ip, other_host, fragment_unmatched, unparsed } = reading.others;
    let others = [other_ports, other_ip, non_ip, other_host, fragment_unmatched, unparsed];
    let bytes_in = others.iter().map(|flow| flow.in_bytes).sum::<u64>();
    let bytes_out = others.iter().map(|flow| flow.out_bytes).sum::<u64>();
    reading.ports.values().fold((bytes_in, bytes_out), |(bytes_in, bytes_out), counters| {
        (bytes_in + counters.in_bytes(), bytes_out + counters.out_bytes())
    })
}

#[test]
fn all_cells_together_are_what_the_device_counted() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        know_each_other(&pair);
        // From here on only the flood sends, apart from neighbour probes, which are counted too.
        for netns in [&pair.host, &pair.peer] {
            inside(netns, || std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap());
        }
        let before = pair.host_counters(WAN);
        let mut backend = start(&options(&pair, &[443])).unwrap().backend;
        let flood = Flood::begin(&pair, &[443, 9000]);
        flood.pass(5_000);
        flood.end();
        let device = || {
            let after = pair.host_counters(WAN);
            (after.ip_in_since(before), after.ip_out_since(before))
        };
        assert_settles(|| all_bytes(&read_all(&mut *backend)), device);
        let (reading, after) = (read_all(&mut *backend), pair.host_counters(WAN));
        let [device] = reading.devices.as_slice() else { panic!("{:?}", reading.devices) };
        assert_eq!((device.rx_bytes, device.tx_packets), (after.rx_bytes, after.tx_packets));
        assert!(reading.others.other_ports.in_bytes > 100_000 && reading.ports[&443].udp_in_bytes > 100_000);
    });
}

#[test]
fn ten_restarts_on_clsact_leave_one_filter_a_direction_and_lose_nothing() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let observer = Observer::install(&pair.host, &[443, 4433]);
        let options = BackendOptions { place: AttachPlace::Clsact, ..options(&pair, &[443, 4433]) };
        let mut backend = start(&options).unwrap().backend;
        let flood = Flood::begin(&pair, &[443, 4433]);
        for _ in 0..10 {
            flood.pass(1_000);
            let started = succeed(backend, &options);
            assert_eq!((started.unseen, started.retired.len()), (vec![], 0));
            backend = started.backend;
        }
        flood.end();
        for direction in ["ingress", "egress"] {
            let filters = pair.host_tc(&["filter", "show", "dev", WAN, direction]);
            assert_eq!(filters.matches("handle 0xfa").count(), 1, "{filters}");
            assert_eq!(filters.matches("direct-action").count(), 1, "{filters}");
        }
        assert_settles(|| as_observed(read_all(&mut *backend).ports), || observer.read());
    });
}

#[test]
fn a_foreign_ingress_qdisc_is_not_replaced() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        pair.host_tc(&["qdisc", "add", "dev", WAN, "handle", "ffff:", "ingress"]);
        let clsact = BackendOptions { place: AttachPlace::Clsact, ..options(&pair, &[443]) };
        let error = refusal(&clsact);
        assert_eq!(
            error.to_string(),
            "interface `wan` has an `ingress` qdisc where `clsact` is needed; it was not replaced"
        );
        assert!(pair.host_tc(&["qdisc", "show", "dev", WAN]).contains("qdisc ingress ffff:"));
        // Nothing is left of the failed start, and TCX needs no qdisc.
        if has_tcx() {
            start(&options(&pair, &[443])).unwrap();
        }
    });
}

#[test]
fn a_start_that_is_refused_gives_back_the_qdisc_that_it_made() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        pair.join("wan2", "lan2");
        pair.host_tc(&["qdisc", "add", "dev", "wan2", "handle", "ffff:", "ingress"]);
        let interfaces = vec![WAN.into(), "wan2".into()];
        let clsact = BackendOptions { place: AttachPlace::Clsact, interfaces, ..options(&pair, &[443]) };
        assert!(matches!(refusal(&clsact), BackendError::Qdisc { interface, .. } if interface == "wan2"));
        assert!(!pair.host_tc(&["qdisc", "show", "dev", WAN]).contains("clsact"));
    });
}

#[test]
fn a_foreign_filter_at_our_place_is_not_replaced() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        pair.host_tc(&["qdisc", "add", "dev", WAN, "clsact"]);
        pair.host_tc(&[
            "filter", "add", "dev", WAN, "egress", "prio", "1", "u32", "match", "u32", "0", "0", "classid", "1:1",
        ]);
        let clsact = BackendOptions { place: AttachPlace::Clsact, ..options(&pair, &[443]) };
        assert!(matches!(refusal(&clsact), BackendError::FilterPlace { direction: "egress", .. }));
        assert!(pair.host_tc(&["filter", "show", "dev", WAN, "egress"]).contains("u32"));
        assert_eq!(pair.host_tc(&["filter", "show", "dev", WAN, "ingress"]), "");
    });
}

#[test]
fn it_is_first_even_where_somebody_was_before() {
    let Some(pair) = Pair::make().filter(|_| has_tcx()) else { return };
    inside(&pair.host, || {
        let _stranger = attach_first(index_of(WAN), TCX_INGRESS, TCX_PASS).unwrap();
        let mut backend = start(&options(&pair, &[443])).unwrap().backend;
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 5);
        assert_eq!(inspect(&mut *backend).unseen, []);
    });
}

#[test]
fn a_program_that_came_before_is_overtaken_and_the_time_told() {
    let Some(pair) = Pair::make().filter(|_| has_tcx()) else { return };
    inside(&pair.host, || {
        let started_at = clock::now();
        let mut backend = start(&options(&pair, &[443])).unwrap().backend;
        let _stranger = attach_first(index_of(WAN), TCX_INGRESS, TCX_PASS).unwrap();
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        assert!(read(&mut *backend, 443).is_zero(), "the stranger hides what passes");
        let now = clock::now();
        let unseen = inspect(&mut *backend).unseen;
        let [told] = unseen.as_slice() else { panic!("{unseen:?}") };
        // Up to the time at which it was attached again.
        assert!(told.interface == WAN && told.end.boot_ns > now.boot_ns, "{told:?}");
        assert!(told.start.boot_ns >= started_at.boot_ns && told.start.boot_ns < now.boot_ns);
        assert!(told.why.contains("came before the counter (ingress)"), "{}", told.why);
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 5);
        assert_eq!(inspect(&mut *backend).unseen, []);
    });
}

/// Makes each learn the other's hardware address, so that nothing depends on it later.
fn know_each_other(pair: &Pair) {
    send(HOST4, (PEER4, 9), 1, 1);
    wait_until("the peer is known", Duration::from_secs(5), || {
        run(Command::new("ip").args(["-n", &pair.host, "neigh", "show", "dev", WAN])).contains("REACHABLE")
    });
}

#[test]
fn programs_behind_are_left_to_decide() {
    let Some(pair) = Pair::make().filter(|_| has_tcx()) else { return };
    inside(&pair.host, || {
        // TC_ACT_SHOT: what it drops was counted before, and does not arrive.
        know_each_other(&pair);
        let _stranger = attach_first(index_of(WAN), TCX_INGRESS, 2).unwrap();
        let receiver = UdpSocket::bind((HOST4, 443)).unwrap();
        receiver.set_nonblocking(true).unwrap();
        let mut backend = start(&options(&pair, &[443])).unwrap().backend;
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 5);
        assert!(receiver.recv(&mut [0; 200]).is_err());
    });
}

#[test]
fn a_program_that_somebody_detached_is_attached_again_and_the_time_told() {
    for place in places() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let mut backend = start(&BackendOptions { place, ..options(&pair, &[443]) }).unwrap().backend;
            if place == AttachPlace::Clsact {
                pair.host_tc(&["qdisc", "del", "dev", WAN, "clsact"]);
            } else {
                for link in std::fs::read_dir(crate::support::pins(&pair).join("links")).unwrap() {
                    run(Command::new("bpftool").args(["link", "detach", "pinned"]).arg(link.unwrap().path()));
                }
            }
            // It is only reported at first, so that it is on disk before the repair.
            let reported = backend.inspect(clock::now()).unwrap();
            assert!(reported.is_broken && reported.unseen.len() == 1, "{:?}", reported.unseen);
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
            assert!(read(&mut *backend, 443).is_zero());
            let unseen = inspect(&mut *backend).unseen;
            assert_eq!(unseen.len(), 1, "{unseen:?}");
            assert_eq!((unseen[0].start, &unseen[0].why), (reported.unseen[0].start, &reported.unseen[0].why));
            assert_eq!(unseen[0].why, "the counter was detached (ingress); the counter was detached (egress)");
            inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
            assert_eq!(read(&mut *backend, 443).udp_in_packets, 7);
            assert_eq!(inspect(&mut *backend).unseen, []);
        });
    }
}

#[test]
fn a_program_that_came_before_while_no_agent_ran_is_overtaken_at_the_start() {
    let Some(pair) = Pair::make().filter(|_| has_tcx()) else { return };
    inside(&pair.host, || {
        let options = options(&pair, &[443]);
        let backend = start(&options).unwrap().backend;
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 3));
        let (last_known, epoch) = (clock::now(), backend.identity().epoch);
        drop(backend);
        let _stranger = attach_first(index_of(WAN), TCX_INGRESS, TCX_PASS).unwrap();
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        let known = BackendOptions { known_epochs: [epoch].into(), last_known: Some(last_known), ..options };
        let mut started = start(&known).unwrap();
        let [told] = started.unseen.as_slice() else { panic!("{:?}", started.unseen) };
        assert_eq!(told.start, last_known);
        assert!(told.why.ends_with("came before the counter (ingress) while no agent ran"), "{}", told.why);
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
        assert_eq!(read(&mut *started.backend, 443).udp_in_packets, 10);
    });
}

#[test]
fn a_filter_that_came_before_is_overtaken_and_the_time_told() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let mut backend =
            start(&BackendOptions { place: AttachPlace::Clsact, ..options(&pair, &[443]) }).unwrap().backend;
        let program = pair.bpffs.join("stranger");
        stranger::pin(TCX_PASS, &program).unwrap();
        // Packets meet the newest filter of a priority first.
        let place = ["filter", "add", "dev", WAN, "ingress", "prio", "1", "handle", "1", "bpf", "direct-action"];
        pair.host_tc(&[&place[..], &["object-pinned", program.to_str().unwrap()]].concat());
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        assert!(read(&mut *backend, 443).is_zero(), "the stranger hides what passes");
        let unseen = inspect(&mut *backend).unseen;
        let [told] = unseen.as_slice() else { panic!("{unseen:?}") };
        assert!(told.why.contains("came before the counter (ingress)"), "{}", told.why);
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 7);
        assert_eq!(inspect(&mut *backend).unseen, []);
        let filters = pair.host_tc(&["filter", "show", "dev", WAN, "ingress"]);
        assert_eq!(filters.matches("direct-action").count(), 2, "the stranger's stays: {filters}");
    });
}

#[test]
fn a_program_behind_ours_changes_nothing() {
    let Some(pair) = Pair::make().filter(|_| has_tcx()) else { return };
    inside(&pair.host, || {
        let _stranger = attach_first(index_of(WAN), TCX_INGRESS, TCX_NEXT).unwrap();
        let mut backend = start(&options(&pair, &[443])).unwrap().backend;
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 5);
    });
}
