//! What these tests share: options, starts, readings, and traffic of known size.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use flow_agent::backend::{Backend, BackendError, Options, Place, Started, ebpf};
use flow_agent::clock;
use flow_agent::ledger::counters::Counters;
use flow_agent::ledger::record::CountMode;

use crate::common::netns::{Pair, WAN};

/// Options of an agent in the pair's host that counts `ports` on its WAN.
pub fn options(pair: &Pair, ports: &[u16]) -> Options {
    Options {
        instance: "test-instance".into(),
        bpffs: pair.bpffs.clone(),
        interfaces: vec![WAN.into()],
        count: CountMode::Ip,
        max_ports: 65_530,
        ports: ports.iter().copied().collect(),
        known_epochs: [].into(),
        last_known: None,
        place: Place::Auto,
        log: false,
    }
}

/// Starts an agent's backend; in the host's namespace.
pub fn start(options: &Options) -> Result<Started, BackendError> {
    ebpf::start(options, clock::now())
}

/// The counters of one port as they are now.
pub fn read(backend: &mut dyn Backend, port: u16) -> Counters {
    backend.read(&clock::now).unwrap().ports[&port]
}

/// Sends `count` datagrams of `payload` bytes. IPv4 adds 28 bytes of headers to each, IPv6 48.
pub fn send(from: IpAddr, to: (IpAddr, u16), payload: usize, count: usize) {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    socket.connect(SocketAddr::from(to)).unwrap();
    for _ in 0..count {
        match socket.send(&vec![b'x'; payload]) {
            Ok(_) => {}
            // The ICMP error of an earlier datagram: nobody listens. Nothing was sent, so it is sent again.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                socket.send(&vec![b'x'; payload]).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
}
