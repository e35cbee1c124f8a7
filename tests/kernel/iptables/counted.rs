//! What rules count is what passed, to the byte and packet, and what eBPF counts.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};

use flow_agent::backend::{BackendOptions, Started};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::Variant;
use crate::common::netns::{HOST4, HOST6, PEER4, PEER6, Pair, WAN, inside};
use crate::common::observer::Observer;
use crate::parts::{SEGMENTATION, send_segmented, switch_off};
use crate::support::{self, as_observed, inspect, options, read_all, send};

#[test]
fn datagrams_count_their_ip_bytes_in_both_families_and_directions() {
    for variant in Variant::every() {
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
            // 28 bytes of headers with IPv4, and 48 with IPv6.
            let both = |count: u64, payload: u64| count * (payload + 28) + count * (payload + 48);
            assert_eq!(reading.ports[&443].to_array(), [0, 0, 0, 0, both(10, 100), 20, both(3, 50), 6]);
            assert_eq!(reading.ports[&4433].to_array(), [0, 0, 0, 0, both(7, 1_000), 14, 0, 0]);
            let others = reading.others.other_ports;
            assert_eq!((others.in_bytes, others.in_packets), (both(5, 300), 10));
            assert_eq!(inspect(&mut *backend).unseen, []);
        });
    }
}

/// A stream of `length` bytes from the peer to the host, and half as much back.
fn stream(pair: &Pair, host: IpAddr, port: u16, length: usize) {
    let listener = TcpListener::bind((host, port)).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        stream.write_all(&received[..length / 2]).unwrap();
    });
    inside(&pair.peer, || {
        let mut stream = TcpStream::connect(SocketAddr::from((host, port))).unwrap();
        stream.write_all(&vec![b'u'; length]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), length / 2);
    });
    server.join().unwrap();
}

/// Everything that occurs in practice, on ports 443 and 4433 and 98 others. The observer and every backend must agree.
fn scenario(start: &(dyn Fn(&BackendOptions) -> Vec<Started> + Sync), fragments6: Observed6) {
    let Some(pair) = Pair::make() else { return };
    let ports: Vec<u16> = [443, 4433].into_iter().chain(8_000..8_098).collect();
    inside(&pair.host, || {
        let observer = Observer::install(&pair.host, &ports);
        let mut backends: Vec<_> = start(&options(&pair, &ports)).into_iter().map(|started| started.backend).collect();
        let bind = |ip: IpAddr, port: u16| UdpSocket::bind((ip, port)).unwrap();
        let _sinks = inside(&pair.peer, || [PEER4, PEER6].map(|ip| bind(ip, 9)));
        let mut by_hand = 0;
        for (from, to, header) in [(PEER4, HOST4, 28), (PEER6, HOST6, 48)] {
            for (index, port) in ports.iter().copied().enumerate() {
                let socket = bind(to, port);
                // Each port has a length of its own, in and out.
                inside(&pair.peer, || send(from, (to, port), 200 + index, 3));
                socket.send_to(&vec![b'x'; 500 + index], (from, 9)).unwrap();
                by_hand += 3 * (200 + index as u64 + header);
            }
        }
        for backend in &mut backends {
            let read = read_all(&mut **backend);
            assert_eq!(read.ports.values().map(|counters| counters.udp_in_bytes).sum::<u64>(), by_hand);
            assert!(read.ports.values().all(|counters| (counters.udp_in_packets, counters.udp_out_packets) == (6, 2)));
        }

        for (host, peer) in [(HOST4, PEER4), (HOST6, PEER6)] {
            stream(&pair, host, 443, 3_000_000);
            stream(&pair, host, 4433, 2_000_000);
            // One buffer that leaves as five datagrams, and is a single packet for the host.
            send_segmented((host, 8_001), (peer, 9).into(), 1200, 6_000);
        }
        // Fragments: 4 kB do not fit into one frame.
        let mut fragmented = vec![(HOST4, PEER4)];
        fragmented.extend((fragments6 == Observed6::Whole).then_some((HOST6, PEER6)));
        for (host, peer) in fragmented {
            let socket = bind(host, 8_002);
            for _ in 0..20 {
                socket.send_to(&[b'x'; 4_000], (peer, 9)).unwrap();
            }
            inside(&pair.peer, || send(peer, (host, 8_002), 4_000, 20));
        }
        // Without super-packets.
        switch_off(WAN, SEGMENTATION);
        inside(&pair.peer, || switch_off("lan", SEGMENTATION));
        for host in [HOST4, HOST6] {
            stream(&pair, host, 443, 1_000_000);
            stream(&pair, host, 4433, 500_000);
        }
        // Each lock is released where it was taken, the last one first, and then what hid the one before.
        while let Some(mut backend) = backends.pop() {
            let reading = read_all(&mut *backend);
            assert!(reading.ports[&443].tcp_in_bytes > 8_000_000);
            assert_eq!(as_observed(reading.ports), observer.read());
            assert_eq!(reading.others.fragment_unmatched.in_bytes, 0);
            assert_eq!(inspect(&mut *backend).unseen, []);
            drop(backend);
            if backends.len() == 1 {
                // Lazily, because a program that another test starts may hold its copy of our files until it runs.
                unmount(LOCKS, UnmountFlags::DETACH).unwrap();
            }
        }
    });
}

/// How an observer at `INPUT` sees IPv6 fragments: as one packet only if something lets the kernel reassemble them, as
/// our rules do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Observed6 {
    Whole,
    Apart,
}

/// The directory of the locks that keep other agents away from an interface.
const LOCKS: &str = "/run/flow-agent";

/// Both backends at once, which an agent would reject. The second does not see the lock of the first.
fn both(variant: &Variant, options: &BackendOptions) -> Vec<Started> {
    let ebpf = support::start(options).unwrap();
    // SAFETY: this thread shares its working directory and its mounts with others, and needs neither.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::FS) }.unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    mount("tmpfs", LOCKS, "tmpfs", MountFlags::empty(), None).unwrap();
    let second = BackendOptions { instance: "second-instance".into(), ..options.clone() };
    vec![ebpf, variant.start(&second).unwrap()]
}

#[test]
fn both_backends_and_an_observer_count_the_same_at_once() {
    for variant in Variant::every() {
        scenario(&|options| both(&variant, options), Observed6::Whole);
    }
}

#[test]
fn rules_count_what_an_observer_counts_to_the_byte_and_packet() {
    for variant in Variant::every() {
        scenario(&|options| vec![variant.start(options).unwrap()], Observed6::Whole);
    }
}

#[test]
fn ebpf_counts_what_an_observer_counts_to_the_byte_and_packet() {
    scenario(&|options| vec![support::start(options).unwrap()], Observed6::Apart);
}

#[test]
fn fragments_that_come_in_count_as_if_they_came_in_one_piece() {
    for variant in Variant::every() {
        let Some(pair) = Pair::make() else { return };
        inside(&pair.host, || {
            let mut backend = variant.start(&options(&pair, &[443])).unwrap().backend;
            let sockets = [HOST4, HOST6].map(|ip| UdpSocket::bind((ip, 443)).unwrap());
            for (from, to) in [(PEER4, HOST4), (PEER6, HOST6)] {
                inside(&pair.peer, || send(from, (to, 443), 4_000, 100));
            }
            for (socket, to) in sockets.iter().zip([PEER4, PEER6]) {
                for _ in 0..50 {
                    socket.send_to(&[b'x'; 4_000], (to, 9)).unwrap();
                }
            }
            let reading = read_all(&mut *backend);
            let both = |count: u64| count * (4_000 + 28) + count * (4_000 + 48);
            assert_eq!(reading.ports[&443].to_array(), [0, 0, 0, 0, both(100), 200, both(50), 100]);
            assert_eq!(reading.others.fragment_unmatched.in_packets, 0);
        });
    }
}

#[test]
fn fragments_that_nobody_reassembles_are_told_apart() {
    for variant in Variant::all() {
        let Some(pair) = Pair::make() else { return };
        // A host whose iptables or kernel does not support `-m socket`.
        variant.refuse("ip6tables-restore", "-m socket");
        inside(&pair.host, || {
            let mut backend = variant.start(&options(&pair, &[443])).unwrap().backend;
            let _socket = UdpSocket::bind((HOST6, 443)).unwrap();
            inside(&pair.peer, || {
                send(PEER6, (HOST6, 443), 4_000, 100);
                send(PEER6, (HOST6, 443), 100, 10);
            });
            let reading = read_all(&mut *backend);
            // Only the first of a datagram's three fragments has a port: 40 bytes of IP, 8 of the fragment header, and
            // 1,448 of UDP, which is what fits into 1,500. The others carry the remaining 2,560 after 48 bytes of
            // headers each.
            let counters = reading.ports[&443];
            assert_eq!((counters.udp_in_bytes, counters.udp_in_packets), (100 * 1_496 + 10 * 148, 110));
            let late = reading.others.fragment_unmatched;
            assert_eq!((late.in_bytes, late.in_packets), (100 * (4_008 - 1_448 + 2 * 48), 200));
            assert_eq!(reading.others.other_ports.in_packets, 0);
            // A successor adopts it as it is.
            let started = variant.succeed(backend, &options(&pair, &[443]));
            assert_eq!((started.unseen, started.retired.len()), (vec![], 0));
        });
    }
}
