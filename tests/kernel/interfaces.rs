//! Interfaces appear and disappear.

use std::time::Duration;

use flow_agent::backend::{BackendOptions, InterfaceEvents};
use flow_agent::clock;

use crate::common::netns::{HOST4, PEER4, Pair, WAN, inside};
use crate::support::{inspect, options, read, refusal, send, start};

fn address(pair: &Pair) {
    pair.host_ip(&["addr", "replace", "10.99.0.2/24", "dev", WAN]);
    pair.peer_ip(&["addr", "replace", "10.99.0.1/24", "dev", "lan"]);
}

#[test]
fn a_missing_interface_is_named_with_those_that_are_there() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let error = refusal(&BackendOptions { interfaces: vec!["eth9".into()], ..options(&pair, &[443]) });
        assert_eq!(error.to_string(), "interface `eth9` does not exist");
        assert_eq!(error.help().unwrap(), "existing interfaces: lo, wan");
        // A glob may match nothing yet.
        start(&BackendOptions { interfaces: vec!["eth*".into()], ..options(&pair, &[443]) }).unwrap();
    });
}

#[test]
fn a_deleted_interface_is_counted_again_when_it_is_made_again() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let mut backend = start(&options(&pair, &[443])).unwrap().backend;
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        assert_eq!(inspect(&mut *backend).unseen, []);
        let well_at = clock::now();
        pair.host_ip(&["link", "del", WAN]);
        let missing = inspect(&mut *backend).unseen;
        assert_eq!((missing.len(), missing[0].why.as_str()), (1, "the interface does not exist"));
        assert!(missing[0].start.boot_ns <= well_at.boot_ns);
        assert_eq!(backend.interfaces(), Vec::<String>::new());
        pair.join(WAN, "lan");
        address(&pair);
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 3));
        let again = inspect(&mut *backend).unseen;
        assert_eq!((again.len(), again[0].why.as_str()), (1, "the interface was made again"));
        // Reported without a hole and without an overlap.
        assert_eq!(again[0].start, missing[0].end);
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 12);
        assert_eq!(inspect(&mut *backend).unseen, []);
    });
}

#[test]
fn an_interface_that_was_made_again_between_two_looks_is_counted_again() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let mut backend = start(&options(&pair, &[443])).unwrap().backend;
        pair.host_ip(&["link", "del", WAN]);
        pair.join(WAN, "lan");
        address(&pair);
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 3));
        let again = inspect(&mut *backend).unseen;
        assert_eq!((again.len(), again[0].why.as_str()), (1, "the interface was made again"));
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 7);
    });
}

#[test]
fn new_interfaces_that_match_a_glob_are_counted() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let mut backend =
            start(&BackendOptions { interfaces: vec!["wan*".into()], ..options(&pair, &[443]) }).unwrap().backend;
        pair.join("wan2", "lan2");
        inspect(&mut *backend);
        assert_eq!(backend.interfaces(), [WAN, "wan2"]);
        pair.host_ip(&["link", "del", "wan2"]);
        assert_eq!(inspect(&mut *backend).unseen, []);
        assert_eq!(backend.interfaces(), [WAN]);
    });
}

#[test]
fn a_new_interface_that_has_not_moved_a_packet_hid_nothing() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let mut backend =
            start(&BackendOptions { interfaces: vec!["wan*".into()], ..options(&pair, &[443]) }).unwrap().backend;
        // The new device is down, so that not even the kernel sends on it.
        pair.host_ip(&["link", "add", "wan3", "type", "veth", "peer", "name", "lan3"]);
        assert_eq!(inspect(&mut *backend).unseen, []);
        assert_eq!(backend.interfaces(), [WAN, "wan3"]);
    });
}

#[test]
fn a_moved_default_route_is_followed() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        pair.join("wan2", "lan2");
        pair.host_ip(&["addr", "add", "10.98.0.2/24", "dev", "wan2"]);
        let mut backend =
            start(&BackendOptions { interfaces: vec!["auto".into()], ..options(&pair, &[443]) }).unwrap().backend;
        assert_eq!(backend.interfaces(), [WAN]);
        pair.host_ip(&["route", "del", "default"]);
        assert_eq!(inspect(&mut *backend).unseen, []);
        assert_eq!(backend.interfaces(), [WAN], "a route that is being renewed is no reason to stop");
        pair.host_ip(&["route", "add", "default", "via", "10.98.0.1"]);
        inspect(&mut *backend);
        assert_eq!(backend.interfaces(), ["wan2"]);
        // Default routes of IPv6 count as well.
        pair.host_ip(&["-6", "route", "add", "default", "via", "fd99::1", "dev", WAN]);
        inspect(&mut *backend);
        assert_eq!(backend.interfaces(), [WAN, "wan2"]);
    });
}

#[test]
fn a_renamed_interface_is_followed_as_far_as_it_is_asked_for() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let mut backend =
            start(&BackendOptions { interfaces: vec!["w*".into()], ..options(&pair, &[443]) }).unwrap().backend;
        pair.host_ip(&["link", "set", WAN, "down"]);
        pair.host_ip(&["link", "set", WAN, "name", "w.an2"]);
        pair.host_ip(&["link", "set", "w.an2", "up"]);
        assert_eq!(inspect(&mut *backend).unseen, []);
        assert_eq!(backend.interfaces(), ["w.an2"]);
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 5);
        pair.host_ip(&["link", "set", "w.an2", "down"]);
        pair.host_ip(&["link", "set", "w.an2", "name", "other"]);
        pair.host_ip(&["link", "set", "other", "up"]);
        let none = inspect(&mut *backend).unseen;
        assert_eq!((none.len(), none[0].why.as_str()), (1, "no interface"));
        assert_eq!(backend.interfaces(), Vec::<String>::new());
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 7));
        assert_eq!(read(&mut *backend, 443).udp_in_packets, 5);
    });
}

#[test]
fn a_device_without_a_link_layer_is_counted_by_its_own_programs() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        pair.host_ip(&["tuntap", "add", "tun0", "mode", "tun"]);
        pair.host_ip(&["addr", "add", "10.97.0.1/24", "dev", "tun0"]);
        pair.host_ip(&["link", "set", "tun0", "up"]);
        let options = BackendOptions { interfaces: vec!["tun0".into()], ..options(&pair, &[443]) };
        let mut backend = start(&options).unwrap().backend;
        let tun = Tun::open("tun0");
        // 20 bytes of IPv4, 8 of UDP and 4 of payload, from 10.97.0.2:5000 to 10.97.0.1:443.
        let datagram = [
            0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 10, 97, 0, 2, 10, 97, 0, 1, 0x13, 0x88, 0x01, 0xbb, 0, 12, 0, 0,
            1, 2, 3, 4,
        ];
        tun.write(&datagram);
        let socket = std::net::UdpSocket::bind("10.97.0.1:443").unwrap();
        socket.send_to(&[0; 72], "10.97.0.2:5000").unwrap();
        let counters = read(&mut *backend, 443);
        assert_eq!((counters.udp_in_bytes, counters.udp_in_packets), (32, 1));
        assert_eq!((counters.udp_out_bytes, counters.udp_out_packets), (100, 1));
    });
}

/// The other end of a tun device.
struct Tun(std::fs::File);

impl Tun {
    fn open(name: &str) -> Self {
        use std::os::fd::AsRawFd;
        const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
        const IFF_TUN_NO_PI: u16 = 0x1001;
        let file = std::fs::File::options().read(true).write(true).open("/dev/net/tun").unwrap();
        let mut request = [0_u8; 40];
        request[..name.len()].copy_from_slice(name.as_bytes());
        request[16..18].copy_from_slice(&IFF_TUN_NO_PI.to_ne_bytes());
        // SAFETY: the request is as large as the kernel's `struct ifreq`, and lives until the call returns.
        let result = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        Self(file)
    }

    fn write(&self, packet: &[u8]) {
        std::io::Write::write_all(&mut &self.0, packet).unwrap();
    }
}

#[test]
fn a_change_of_the_interfaces_wakes_within_a_second() {
    let Some(pair) = Pair::make() else { return };
    inside(&pair.host, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut events = InterfaceEvents::listen().unwrap();
            let second = Duration::from_secs(1);
            for change in [
                vec!["link", "add", "wan3", "type", "veth", "peer", "name", "lan3"],
                vec!["link", "set", "wan3", "up"],
                vec!["route", "del", "default"],
                // Kernels before 6.2 do not rename a device that is up.
                vec!["link", "set", "wan3", "down"],
                vec!["link", "set", "wan3", "name", "wan4"],
                vec!["link", "del", "wan4"],
            ] {
                pair.host_ip(&change);
                tokio::time::timeout(second, events.changed()).await.expect("it wakes").unwrap();
                // Read the remaining events of the change, until there are no more.
                while tokio::time::timeout(Duration::from_millis(200), events.changed()).await.is_ok() {}
            }
        });
    });
}
