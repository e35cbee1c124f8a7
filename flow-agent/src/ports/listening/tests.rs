use std::net::{TcpListener, UdpSocket};

use super::*;

#[test]
fn listeners_are_found_where_others_can_reach_them() {
    // With port 0 the kernel picks from the ephemeral range, so this test pretends that the range is elsewhere.
    let fixed = Ephemeral { range: 1..=1, reserved: BTreeSet::new() };
    let everywhere = TcpListener::bind("0.0.0.0:0").unwrap();
    let everywhere6 = TcpListener::bind("[::]:0").unwrap();
    let here = TcpListener::bind("127.0.0.1:0").unwrap();
    let here6 = TcpListener::bind("[::1]:0").unwrap();
    let mapped = TcpListener::bind("[::ffff:127.0.0.1]:0").unwrap();
    let datagrams = UdpSocket::bind("0.0.0.0:0").unwrap();
    let datagrams_here = UdpSocket::bind("127.0.0.1:0").unwrap();
    let connected = UdpSocket::bind("0.0.0.0:0").unwrap();
    connected.connect(datagrams_here.local_addr().unwrap()).unwrap();

    let ports = listening(&fixed).unwrap();

    let port = |socket: &TcpListener| socket.local_addr().unwrap().port();
    assert!(ports.contains(&port(&everywhere)) && ports.contains(&port(&everywhere6)));
    assert!(!ports.contains(&port(&here)) && !ports.contains(&port(&here6)) && !ports.contains(&port(&mapped)));
    assert!(ports.contains(&datagrams.local_addr().unwrap().port()));
    assert!(!ports.contains(&datagrams_here.local_addr().unwrap().port()));
    assert!(!ports.contains(&connected.local_addr().unwrap().port()));
}

#[test]
fn datagram_sockets_on_ephemeral_ports_are_clients() {
    let client = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = client.local_addr().unwrap().port();
    let all = Ephemeral { range: 1..=65_535, reserved: BTreeSet::new() };
    assert!(!listening(&all).unwrap().contains(&port));
    let reserved = Ephemeral { reserved: BTreeSet::from([port]), ..all };
    assert!(listening(&reserved).unwrap().contains(&port));
}
