//! What the program writes is what passed, compared with figures computed by hand and with iptables' own counters.

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use crate::agent::{Node, files};
use crate::common::netns::{HOST4, HOST6, PEER4, PEER6, Pair, inside, run};
use crate::support::send;

/// The size of the IP and UDP headers.
const UDP4: u64 = 20 + 8;
const UDP6: u64 = 40 + 8;

const COUNTED: [u16; 3] = [443, 4433, 9999];

/// Sends a TCP stream of `length` bytes from the peer to a listener of the host, and half as much back.
fn stream(pair: &Pair, host: IpAddr, port: u16, length: usize) {
    let listener = inside(&pair.host, || TcpListener::bind((host, port)).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut received = Vec::new();
            stream.read_to_end(&mut received).unwrap();
            assert_eq!(received.len(), length);
            stream.write_all(&received[..length / 2]).unwrap();
        });
        inside(&pair.peer, || {
            let mut stream = TcpStream::connect(SocketAddr::from((host, port))).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.write_all(&vec![b'u'; length]).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut received = Vec::new();
            stream.read_to_end(&mut received).unwrap();
            assert_eq!(received.len(), length / 2);
        });
    });
}

/// iptables' bytes and packets in `netns` by (port, protocol, chain), of both families together.
fn observed(netns: &str, ports: &[u16]) -> impl Fn(u16, &str, &str) -> (u64, u64) {
    let saved: String =
        ["iptables-save", "ip6tables-save"].map(|save| inside(netns, || run(Command::new(save).arg("-c")))).concat();
    let ports = ports.to_vec();
    move |port, protocol, chain| {
        assert!(ports.contains(&port));
        let side = if chain == "INPUT" { "--dport" } else { "--sport" };
        let rule = format!("-A {chain} -p {protocol} -m {protocol} {side} {port}");
        let counters = saved.lines().filter_map(|line| line.split_once("] ")).filter(|(_, found)| *found == rule);
        counters.fold((0, 0), |sum, (counters, _)| {
            let (packets, bytes) = counters[1..].split_once(':').unwrap();
            (sum.0 + bytes.parse::<u64>().unwrap(), sum.1 + packets.parse::<u64>().unwrap())
        })
    }
}

fn observe(netns: &str, ports: &[u16]) {
    for family in ["iptables", "ip6tables"] {
        for port in ports.iter().map(u16::to_string) {
            for protocol in ["tcp", "udp"] {
                for (chain, side) in [("INPUT", "--dport"), ("OUTPUT", "--sport")] {
                    inside(netns, || run(Command::new(family).args(["-A", chain, "-p", protocol, side, &port])));
                }
            }
        }
    }
}

#[test]
fn the_hourly_log_is_what_passed_to_the_byte() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443, 4433], "");
    observe(&pair.host, &COUNTED);
    node.start(&[]);

    // Sockets of the peer that receive everything, so that nobody answers with ICMP.
    let sinks = inside(&pair.peer, || [PEER4, PEER6].map(|ip| UdpSocket::bind((ip, 7)).unwrap()));
    let listeners =
        inside(&pair.host, || COUNTED.map(|port| [HOST4, HOST6].map(|ip| UdpSocket::bind((ip, port)).unwrap())));
    // Incoming: ten of 100 bytes to port 443, seven of 1,000 to port 4433, and five of 300 to a port that nobody
    // watches, over IPv4 and then over IPv6.
    for (from, to) in [(PEER4, HOST4), (PEER6, HOST6)] {
        inside(&pair.peer, || {
            send(from, (to, 443), 100, 10);
            send(from, (to, 4433), 1_000, 7);
            send(from, (to, 9999), 300, 5);
        });
    }
    // Outgoing: three of 50 bytes from port 443 and two of 60 from port 4433, over IPv4 and then over IPv6.
    for (index, to) in [PEER4, PEER6].into_iter().enumerate() {
        for _ in 0..3 {
            listeners[0][index].send_to(&[b'x'; 50], (to, 7)).unwrap();
        }
        for _ in 0..2 {
            listeners[1][index].send_to(&[b'x'; 60], (to, 7)).unwrap();
        }
    }
    drop(sinks);
    stream(&pair, HOST4, 443, 200_000);
    stream(&pair, HOST6, 4433, 300_000);
    node.stop();

    let totals = node.totals();
    assert_eq!(totals.keys().copied().collect::<Vec<_>>(), [443, 4433]);
    // By hand: the size of the datagrams is known.
    assert_eq!(totals[&443]["udp_in_bytes"], 10 * (100 + UDP4) + 10 * (100 + UDP6));
    assert_eq!(totals[&443]["udp_in_packets"], 20);
    assert_eq!(totals[&443]["udp_out_bytes"], 3 * (50 + UDP4) + 3 * (50 + UDP6));
    assert_eq!(totals[&443]["udp_out_packets"], 6);
    assert_eq!(totals[&4433]["udp_in_bytes"], 7 * (1_000 + UDP4) + 7 * (1_000 + UDP6));
    assert_eq!(totals[&4433]["udp_out_bytes"], 2 * (60 + UDP4) + 2 * (60 + UDP6));
    let (in_bytes, in_packets, out_bytes, out_packets) = node.other("other_ports");
    assert_eq!((in_bytes, in_packets), (5 * (300 + UDP4) + 5 * (300 + UDP6), 10));
    assert_eq!((out_bytes, out_packets), (0, 0));
    // A stream has at least the bytes of its payload. How it was divided into packets is compared with iptables.
    assert!(totals[&443]["tcp_in_bytes"] > 200_000 && totals[&443]["tcp_out_bytes"] > 100_000);
    assert!(totals[&4433]["tcp_in_bytes"] > 300_000 && totals[&4433]["tcp_out_bytes"] > 150_000);
    let observed = observed(&pair.host, &COUNTED);
    for port in [443, 4433] {
        for protocol in ["tcp", "udp"] {
            for (direction, chain) in [("in", "INPUT"), ("out", "OUTPUT")] {
                let field = |what: &str| totals[&port][&format!("{protocol}_{direction}_{what}")];
                assert_eq!(
                    (field("bytes"), field("packets")),
                    observed(port, protocol, chain),
                    "{protocol} port {port} {direction}"
                );
            }
        }
    }
    assert_eq!(observed(9999, "udp", "INPUT"), (in_bytes, in_packets));
}

#[test]
fn every_seal_verifies_with_foreign_tools() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443, 4433], "");
    for _ in 0..3 {
        node.start(&[]);
        inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 10));
        node.stop();
    }
    let script = r#"
        set -euo pipefail
        file=$1; at=0; seals=0
        total=$(wc -l < "$file")
        for number in $(jq -r 'select(.kind == "seal") | input_line_number' "$file"); do
            seal=$(sed -n "${number}p" "$file")
            ports=$(jq -r .ports <<< "$seal")
            sum=$(sed -n "$((number - ports)),$((number - 1))p" "$file" | sha256sum | cut -d' ' -f1)
            test "$sum" = "$(jq -r .sha256 <<< "$seal")"
            test "$((number - ports - 1))" = "$at"
            at=$number; seals=$((seals + 1))
        done
        test "$at" = "$total"
        echo "$seals"
    "#;
    let mut seals = 0;
    for path in files(&node.state_dir().join("hourly")) {
        let said = run(Command::new("bash").args(["-c", script, "verify"]).arg(&path));
        seals += said.trim().parse::<u32>().unwrap();
    }
    assert_eq!(seals, 3, "one a run");
}

#[test]
fn an_interface_that_is_not_there_is_refused_and_those_that_are_are_named() {
    let Some(pair) = Pair::make() else { return };
    let output = Node::new(&pair, &[443], "").command(&["run", "--once", "--interface", "eth9"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("error: interface `eth9` does not exist\n"), "{said}");
    assert!(said.contains("help: existing interfaces: ") && said.contains("wan"), "{said}");
}
