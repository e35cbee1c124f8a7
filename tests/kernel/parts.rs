//! Fragments, super-packets, and headers that are not directly accessible, as a real stack makes them.

use std::io::{IoSlice, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;

use flow_agent::backend::{Backend, BackendOptions};
use flow_agent::ledger::reading::Reading;
use flow_agent::ledger::record::CountMode;

use crate::common::frames;
use crate::common::netns::{DeviceCounters, HOST4, HOST6, PEER4, PEER6, Pair, WAN, inside};
use crate::common::observer::Observer;
use crate::support::{as_observed, options, read, read_all, send, start};

/// `ETHTOOL_STSO` and `ETHTOOL_SGRO` in linux/ethtool.h.
pub const SEGMENTATION: u32 = 0x1f;
const COALESCING: u32 = 0x2c;

/// Switches off an offload of a device in this namespace.
pub fn switch_off(device: &str, offload: u32) {
    let mut value = [offload, 0];
    let mut request = [0_u8; 40];
    request[..device.len()].copy_from_slice(device.as_bytes());
    request[16..24].copy_from_slice(&(value.as_mut_ptr() as u64).to_ne_bytes());
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // SAFETY: the request is as large as the kernel's `struct ifreq`; it and the value that it points to live until the
    // call returns.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as _, request.as_mut_ptr()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Sends one buffer as datagrams of `segment` bytes each, which is a single super-packet for the kernel.
pub fn send_segmented(from: (IpAddr, u16), to: SocketAddr, segment: u16, bytes: usize) {
    let socket = UdpSocket::bind(from).unwrap();
    // SAFETY: the option's value is an int that lives until the call returns.
    let result = unsafe {
        let value = libc::c_int::from(segment);
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, (&raw const value).cast(), length)
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    assert_eq!(socket.send_to(&vec![b'x'; bytes], to).unwrap(), bytes);
}

fn on_the_wire(pair: &Pair) -> BackendOptions {
    BackendOptions { count: CountMode::Wire, ..options(pair, &[443]) }
}

#[test]
fn fragmented_datagrams_count_as_if_they_came_in_one_piece() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let observer = Observer::install(&pair.host, &[443]);
        let mut backend = start(&options(&pair, &[443])).unwrap().backend;
        let listeners = [HOST4, HOST6].map(|host| UdpSocket::bind((host, 443)).unwrap());
        // Three fragments each, because 8 + 4,000 bytes do not fit into two of 1,500.
        inside(&pair.peer, || {
            send(PEER4, (HOST4, 443), 4000, 100);
        });
        for _ in 0..50 {
            listeners[0].send_to(&[0; 4000], SocketAddr::from((PEER4, 9))).unwrap();
        }
        assert_eq!(as_observed(read_all(&mut *backend).ports), observer.read());
        let counters = read(&mut *backend, 443);
        assert_eq!((counters.udp_in_bytes, counters.udp_in_packets), (100 * (20 + 8 + 4000), 100));
        assert_eq!((counters.udp_out_bytes, counters.udp_out_packets), (50 * (20 + 8 + 4000), 50));
        inside(&pair.peer, || {
            send(PEER6, (HOST6, 443), 4000, 100);
        });
        for _ in 0..50 {
            listeners[1].send_to(&[0; 4000], SocketAddr::from((PEER6, 9))).unwrap();
        }
        let six = read(&mut *backend, 443).checked_sub(counters).unwrap();
        assert_eq!((six.udp_in_bytes, six.udp_in_packets), (100 * (40 + 8 + 4000), 100));
        assert_eq!((six.udp_out_bytes, six.udp_out_packets), (50 * (40 + 8 + 4000), 50));
        assert_eq!(read_all(&mut *backend).others.fragment_unmatched.in_bytes, 0);
    });
}

/// The device's counters and a reading of the same moment: nothing passed between the two.
fn at_rest(pair: &Pair, backend: &mut dyn Backend) -> (DeviceCounters, Reading) {
    loop {
        let before = pair.host_counters(WAN);
        let reading = read_all(backend);
        if pair.host_counters(WAN) == before {
            return (before, reading);
        }
    }
}

#[test]
fn on_the_wire_fragments_count_as_the_device_counts_them() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let socket = UdpSocket::bind((HOST4, 443)).unwrap();
        let mut backend = start(&on_the_wire(&pair)).unwrap().backend;
        let (before, base) = at_rest(&pair, &mut *backend);
        for _ in 0..50 {
            socket.send_to(&[0; 4000], SocketAddr::from((PEER4, 9))).unwrap();
        }
        let counters = read(&mut *backend, 443);
        // Each in three fragments, with 20 bytes of IP header before each.
        assert_eq!((counters.udp_out_bytes, counters.udp_out_packets), (50 * (3 * 20 + 8 + 4000), 150));
        let (after, reading) = at_rest(&pair, &mut *backend);
        let others = reading.others.checked_sub(base.others).unwrap();
        assert_eq!(after.tx_packets - before.tx_packets, 150 + others.other_ip.out_packets + others.non_ip.out_packets);
    });
}

#[test]
fn datagrams_sent_as_one_buffer_are_one_packet_for_the_host_and_many_on_the_wire() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        // This passes single segments to the device, which counts them.
        pair.host_ip(&["link", "set", WAN, "gso_max_segs", "1"]);
        for (mode, bytes, packets) in [(CountMode::Ip, 28 + 6000, 1), (CountMode::Wire, 5 * 28 + 6000, 5)] {
            let mut backend = start(&BackendOptions { count: mode, ..options(&pair, &[443]) }).unwrap().backend;
            let before = pair.host_counters(WAN);
            send_segmented((HOST4, 443), (PEER4, 9).into(), 1200, 6000);
            let after = pair.host_counters(WAN);
            let counters = read(&mut *backend, 443);
            assert_eq!((counters.udp_out_bytes, counters.udp_out_packets), (bytes, packets), "{mode:?}");
            assert!(after.tx_packets - before.tx_packets >= 5);
        }
    });
}

#[test]
fn on_the_wire_a_stream_counts_as_the_device_counts_its_segments() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        // The stack makes super-packets of up to 64 KiB, and passes their segments to the device.
        switch_off(WAN, SEGMENTATION);
        let mut backend = start(&on_the_wire(&pair)).unwrap().backend;
        let (before, base) = at_rest(&pair, &mut *backend);
        let listener = TcpListener::bind((HOST4, 443)).unwrap();
        let server =
            std::thread::spawn(move || listener.accept().unwrap().0.write_all(&vec![b'd'; 3_000_000]).unwrap());
        inside(&pair.peer, || {
            switch_off("lan", SEGMENTATION);
            let mut stream = TcpStream::connect((HOST4, 443)).unwrap();
            assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 3_000_000);
        });
        server.join().unwrap();
        let (after, reading) = at_rest(&pair, &mut *backend);
        let (counters, others) = (reading.ports[&443], reading.others.checked_sub(base.others).unwrap());
        // ARP and the kernel's own IPv6 packets do not belong to the stream.
        let (arp, ip) = (others.non_ip, others.other_ip);
        let out = (
            counters.tcp_out_bytes + arp.out_bytes + ip.out_bytes,
            counters.tcp_out_packets + arp.out_packets + ip.out_packets,
        );
        assert_eq!(out, (after.ip_out_since(before), after.tx_packets - before.tx_packets));
        let in_ = (
            counters.tcp_in_bytes + arp.in_bytes + ip.in_bytes,
            counters.tcp_in_packets + arp.in_packets + ip.in_packets,
        );
        assert_eq!(in_, (after.ip_in_since(before), after.rx_packets - before.rx_packets));
        // 3,000,000 bytes are 2,072 segments of 1,448.
        assert!(counters.tcp_out_packets >= 2072);
    });
}

/// A tap device that receives the parts in which something is written to it as parts of one packet, of which only the
/// first is linear.
struct Tap(std::fs::File);

impl Tap {
    fn make(name: &str) -> Self {
        const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
        /// `IFF_TAP | IFF_NAPI | IFF_NAPI_FRAGS | IFF_NO_PI` of linux/if_tun.h.
        const FLAGS: u16 = 0x0002 | 0x0010 | 0x0020 | 0x1000;
        let file = std::fs::File::options().read(true).write(true).open("/dev/net/tun").unwrap();
        let mut request = [0_u8; 40];
        request[..name.len()].copy_from_slice(name.as_bytes());
        request[16..18].copy_from_slice(&FLAGS.to_ne_bytes());
        // SAFETY: the request is as large as the kernel's `struct ifreq`, and lives until the call returns.
        let result = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        Self(file)
    }
}

#[test]
fn headers_out_of_direct_reach_are_read_all_the_same() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let mut tap = Tap::make("tap0");
        pair.host_ip(&["link", "set", "tap0", "address", "02:00:00:00:00:01", "up"]);
        // Coalescing would make the headers accessible.
        switch_off("tap0", COALESCING);
        let options = BackendOptions { interfaces: vec!["tap0".into()], ..options(&pair, &[443]) };
        let mut backend = start(&options).unwrap().backend;
        let udp = frames::udp(5000, 443, 100);
        for packet in [
            frames::ipv4(frames::UDP, &udp),
            frames::ipv4_with(frames::UDP, 10, 0, 0, &udp),
            frames::ipv6(frames::HOP_BY_HOP, &frames::extension(frames::UDP, 3, &udp)),
        ] {
            let frame = frames::frame(&packet);
            for linear in [14, 20, 34, 40] {
                let parts = [IoSlice::new(&frame[..linear]), IoSlice::new(&frame[linear..])];
                assert_eq!(tap.0.write_vectored(&parts).unwrap(), frame.len());
            }
        }
        let counters = read(&mut *backend, 443);
        let bytes = (20 + 8 + 100) + (60 + 8 + 100) + (40 + 24 + 8 + 100);
        assert_eq!((counters.udp_in_bytes, counters.udp_in_packets), (4 * bytes, 12));
    });
}
