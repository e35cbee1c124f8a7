//! A port file while an agent runs: written in place, half written, replaced, removed, and over a restart.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::netns::{HOST4, PEER4, Pair, inside};
use crate::support::send;

const DEADLINE: Duration = Duration::from_secs(20);
/// A datagram of 100 bytes with its IP and UDP headers.
const DATAGRAM: u64 = 100 + 20 + 8;

fn mudb(ports: &[(u16, &str)]) -> String {
    let entry = |(port, user): &(u16, &str)| format!("{{\"port\": {port}, \"user\": \"{user}\", \"enable\": 1}}");
    format!("[\n  {}\n]\n", ports.iter().map(entry).collect::<Vec<_>>().join(",\n  "))
}

fn datagrams(pair: &Pair, port: u16, count: usize) {
    inside(&pair.peer, || send(PEER4, (HOST4, port), 100, count));
}

#[test]
fn half_a_port_file_keeps_the_last_good_list_also_over_a_restart() {
    for backend in ["ebpf", "nftables", "iptables"] {
        let Some(pair) = Pair::make() else { return };
        follow_a_file(&pair, backend);
    }
}

fn follow_a_file(pair: &Pair, backend: &str) {
    let mut node = Node::new(pair, &[], "files = [{ path = \"mudb.json\", format = \"mudb\" }]\n");
    let file = node.path("mudb.json");
    fs::write(&file, mudb(&[(443, "one")])).unwrap();
    node.start(&["--backend", backend]);
    datagrams(pair, 443, 3);

    // Written in place, as its writer does.
    let both = mudb(&[(443, "one"), (4433, "two")]);
    fs::write(&file, &both).unwrap();
    wait_until("the new port is counted", DEADLINE, || node.log().contains("ports: +4433, 2 counted"));
    datagrams(pair, 4433, 5);

    fs::write(&file, &both[..both.len() - 10]).unwrap();
    wait_until("half a file is noticed", DEADLINE, || {
        node.log().contains("it is being written or was truncated: keeping its last good list of 2 ports")
    });
    datagrams(pair, 4433, 7);
    node.stop();

    // The next agent finds the same half.
    node.start(&["--backend", backend]);
    assert!(node.log().contains("keeping its last good list of 2 ports"), "{}", node.log());
    datagrams(pair, 443, 11);
    datagrams(pair, 4433, 13);

    // A missing file is treated like half a file.
    fs::remove_file(&file).unwrap();
    wait_until("the missing file is noticed", DEADLINE, || node.log().contains("No such file or directory"));
    datagrams(pair, 4433, 17);

    // Another file is renamed over it, without 443.
    fs::write(node.path("new"), mudb(&[(4433, "two")])).unwrap();
    fs::rename(node.path("new"), &file).unwrap();
    wait_until("the port is no longer counted", DEADLINE, || node.log().contains("ports: -443, 1 counted"));
    datagrams(pair, 443, 19);
    datagrams(pair, 4433, 23);
    node.stop();

    let totals = node.totals();
    assert_eq!(totals[&443]["udp_in_bytes"], (3 + 11) * DATAGRAM);
    assert_eq!(totals[&4433]["udp_in_bytes"], (5 + 7 + 13 + 17 + 23) * DATAGRAM);
    // What came to 443 when it belonged to nobody.
    assert_eq!(node.other("other_ports").0, 19 * DATAGRAM);
    let users = node.hourly();
    let users = users.iter().filter(|line| line["kind"] == "hour").map(|line| (&line["port"], &line["user"]));
    assert!(users.into_iter().all(|(port, user)| *user == if *port == 443 { "one" } else { "two" }));
}

#[test]
fn sighup_takes_over_ports_and_users_and_a_wrong_configuration_changes_nothing() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443, 4433], "");
    let owned = |name: &str, ports: &[u16]| format!("[[users]]\nname = {name:?}\nports = {ports:?}\n");
    let reload = |node: &Node, said: &str| {
        node.signal(rustix::process::Signal::HUP);
        wait_until(said, DEADLINE, || node.log().contains(said));
    };
    node.start(&[]);
    datagrams(&pair, 443, 3);
    node.replace_config("watch = [443, 4433]", "watch = [443, 70000]");
    reload(&node, "keeping the current configuration");
    datagrams(&pair, 4433, 5);
    // 443 has an owner from now on, 4433 is no longer watched, and 8388 is.
    node.replace_config("watch = [443, 70000]", "watch = [443, 8388]");
    node.append_config(&owned("ada", &[443]));
    reload(&node, "ports: +8388 -4433, 2 counted");
    datagrams(&pair, 443, 7);
    datagrams(&pair, 4433, 11);
    datagrams(&pair, 8388, 13);
    // A change of owner closes the bucket, so that each owner has what passed in his time.
    node.replace_config("\"ada\"", "\"bob\"");
    node.signal(rustix::process::Signal::HUP);
    node.wait_for_buckets(2);
    datagrams(&pair, 443, 17);
    node.stop();

    let hourly = node.hourly();
    let of = |port: u16, user: Option<&str>| {
        let lines = hourly.iter().filter(|line| line["kind"] == "hour" && line["port"] == port);
        let lines = lines.filter(|line| line.get("user").and_then(|user| user.as_str()) == user);
        lines.map(|line| line["udp_in_bytes"].as_u64().unwrap()).sum::<u64>() / DATAGRAM
    };
    assert_eq!([of(443, None), of(443, Some("ada")), of(443, Some("bob"))], [3, 7, 17]);
    assert_eq!((of(4433, None), of(8388, None)), (5, 13));
    assert_eq!(node.other("other_ports").0, 11 * DATAGRAM);
}

#[test]
fn sockets_that_listen_are_followed() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[], "listening = true\n");
    node.start(&[]);
    let (tcp, udp) =
        inside(&pair.host, || (TcpListener::bind("0.0.0.0:8443").unwrap(), UdpSocket::bind((HOST4, 8_388)).unwrap()));
    wait_until("the sockets are found", DEADLINE, || node.log().contains("ports: +8388,8443, 2 counted"));
    datagrams(&pair, 8_388, 5);
    drop((tcp, udp));
    datagrams(&pair, 8_388, 7);
    node.stop();
    let totals = node.totals();
    assert_eq!(totals.keys().copied().collect::<Vec<_>>(), [8_388, 8_443]);
    // A listener that has gone may belong to a service that restarts, so it is still counted for a while.
    assert_eq!(totals[&8_388]["udp_in_bytes"], 12 * DATAGRAM);
}
