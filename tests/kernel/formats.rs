//! Ports that come, go and change hands in the files of many panels at once, under a running agent: every byte is under the
//! owner of its moment, and all of them are those that an independent observer saw.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::netns::{HOST4, PEER4, Pair, inside};
use crate::common::observer::Observer;
use crate::support::send;

const DEADLINE: Duration = Duration::from_secs(60);
/// A datagram of 100 bytes with its IP and UDP headers.
const DATAGRAM: u64 = 100 + 20 + 8;

/// Ports and their owners, as a format writes them.
type Write = fn(&[(u16, &str)]) -> String;

const FORMATS: [(&str, Write); 11] = [
    ("list", |ports| ports.iter().map(|(port, user)| format!("{port} {user}\n")).collect()),
    ("mudb", |ports| json(ports, |port, user| json!({ "port": port, "user": user }), |rows| json!(rows))),
    ("port-traffic-dog", |ports| {
        let ports: serde_json::Map<_, _> =
            ports.iter().map(|(port, user)| (port.to_string(), json!({ "remark": user }))).collect();
        json!({ "ports": ports }).to_string()
    }),
    ("shadowsocks", |ports| {
        json(ports, |port, user| json!({ "server_port": port, "remarks": user }), |rows| json!({ "servers": rows }))
    }),
    ("realm", |ports| {
        let row =
            |(port, user): &(u16, &str)| format!("[[endpoints]]\nlisten = \"0.0.0.0:{port}\"\nremark = {user:?}\n");
        format!("[network]\n{}", ports.iter().map(row).collect::<String>())
    }),
    ("xray", |ports| {
        let inbound = |port, user: &str| json!({ "port": port, "settings": { "clients": [{ "email": user }] } });
        json(ports, inbound, |rows| json!({ "inbounds": rows }))
    }),
    ("sing-box", |ports| {
        let inbound = |port, user: &str| json!({ "type": "vless", "listen_port": port, "users": [{ "name": user }] });
        json(ports, inbound, |rows| json!({ "inbounds": rows }))
    }),
    ("gost", |ports| {
        let row = |(port, user): &(u16, &str)| {
            format!("- addr: \":{port}\"\n  handler:\n    auth:\n      username: {user}\n")
        };
        format!("services:\n{}", ports.iter().map(row).collect::<String>())
    }),
    ("docker", |ports| {
        let container = |port: u16, user: &str| {
            let bound = json!({ "80/udp": [{ "HostIp": "0.0.0.0", "HostPort": port.to_string() }] });
            json!({ "Id": "x", "Config": { "Labels": { "flow-agent.user": user } }, "NetworkSettings": { "Ports": bound } })
        };
        json(ports, container, |rows| json!(rows))
    }),
    ("pterodactyl", |ports| {
        let container = |port: u16, user: &str| {
            let bound = json!({ "80/udp": [{ "HostIp": "0.0.0.0", "HostPort": port.to_string() }] });
            let labels = json!({ "Service": "Pterodactyl", "ContainerType": "server_process" });
            json!({ "Id": "x", "Name": user, "Config": { "Labels": labels }, "NetworkSettings": { "Ports": bound } })
        };
        json(ports, container, |rows| json!(rows))
    }),
    ("frps", |ports| {
        let proxy = |port, user: &str| json!({ "name": "p", "user": user, "conf": { "remotePort": port } });
        json(ports, proxy, |rows| json!({ "proxies": rows }))
    }),
];

fn json(ports: &[(u16, &str)], row: impl Fn(u16, &str) -> Value, all: impl Fn(Vec<Value>) -> Value) -> String {
    all(ports.iter().map(|(port, user)| row(*port, user)).collect()).to_string()
}

/// Three ports of each format: one that changes hands, one that goes, one that comes.
fn ports(index: usize) -> [u16; 3] {
    let first = 8_000 + 10 * u16::try_from(index).unwrap();
    [first, first + 1, first + 2]
}

/// Each file is replaced by another, as panels that are careful do.
fn write_all(node: &Node, owners: impl Fn([u16; 3]) -> Vec<(u16, &'static str)>) {
    for (index, (format, write)) in FORMATS.iter().enumerate() {
        let (file, new) = (node.path(&format!("{format}.file")), node.path("new"));
        fs::write(&new, write(&owners(ports(index)))).unwrap();
        fs::rename(&new, &file).unwrap();
    }
}

fn send_to_each(pair: &Pair, which: usize, count: usize) {
    for index in 0..FORMATS.len() {
        inside(&pair.peer, || send(PEER4, (HOST4, ports(index)[which]), 100, count));
    }
}

/// Datagrams in the log, by port and owner.
fn logged(node: &Node) -> BTreeMap<(u16, String), u64> {
    let mut logged = BTreeMap::new();
    for line in node.hourly().iter().filter(|line| line["kind"] == "hour") {
        let port = u16::try_from(line["port"].as_u64().unwrap()).unwrap();
        let user = line.get("user").and_then(Value::as_str).unwrap_or_default().to_owned();
        *logged.entry((port, user)).or_default() += line["udp_in_bytes"].as_u64().unwrap() / DATAGRAM;
    }
    logged
}

/// Waits until the log says so much of this port of every format.
fn wait_for(node: &Node, what: &str, which: usize, user: &str, datagrams: u64) {
    wait_until(what, DEADLINE, || {
        let logged = logged(node);
        (0..FORMATS.len()).all(|index| logged.get(&(ports(index)[which], user.to_owned())) == Some(&datagrams))
    });
}

/// How many ports are counted since they changed last, as the agent says.
fn counted_now(node: &Node) -> Option<usize> {
    let log = node.log();
    let (before, _) = log.rsplit_once(" counted\n")?;
    before.rsplit(", ").next()?.parse().ok()
}

#[test]
fn ports_of_every_format_come_go_and_change_hands_without_a_byte_lost_or_misplaced() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[], "");
    let files = FORMATS.map(|(format, _)| format!("{{ path = \"{format}.file\", format = {format:?} }}")).join(", ");
    node.append_config(&format!("files = [{files}]\n"));
    let all: Vec<u16> = (0..FORMATS.len()).flat_map(ports).collect();
    let observer = Observer::install(&pair.host, &all);

    write_all(&node, |[kept, going, _]| vec![(kept, "ada"), (going, "ada")]);
    node.start(&["--bucket", "1h"]);
    send_to_each(&pair, 0, 3);
    send_to_each(&pair, 1, 5);

    write_all(&node, |[kept, going, coming]| vec![(kept, "ada"), (going, "ada"), (coming, "carl")]);
    wait_until("the new ports are counted", DEADLINE, || counted_now(&node) == Some(3 * FORMATS.len()));
    send_to_each(&pair, 0, 7);
    send_to_each(&pair, 2, 2);

    write_all(&node, |[kept, _, coming]| vec![(kept, "ada"), (coming, "carl")]);
    wait_for(&node, "the last lines of the ports that went", 1, "ada", 5);
    wait_until("nothing drains any more", DEADLINE, || {
        let hourly = node.hourly();
        let closed = hourly.iter().filter(|line| line["closed"] == true).count();
        closed == FORMATS.len()
    });
    send_to_each(&pair, 1, 4);
    send_to_each(&pair, 0, 1);

    write_all(&node, |[kept, _, coming]| vec![(kept, "bob"), (coming, "carl")]);
    wait_for(&node, "the ports are handed over", 0, "ada", 3 + 7 + 1);
    wait_until("every hand-over is remembered", DEADLINE, || {
        let text = fs::read_to_string(node.state_dir().join("ports.json")).unwrap();
        text.matches("\"bob\"").count() == 2 * FORMATS.len()
    });
    send_to_each(&pair, 0, 9);
    node.stop();

    let logged = logged(&node);
    for (index, (format, _)) in FORMATS.iter().enumerate() {
        let [kept, going, coming] = ports(index);
        let of = |port: u16, user: &str| logged.get(&(port, user.to_owned())).copied().unwrap_or_default();
        let found = [of(kept, "ada"), of(kept, "bob"), of(going, "ada"), of(coming, "carl")];
        assert_eq!(found, [11, 9, 5, 2], "{format}: {}", node.log());
    }
    assert_eq!(node.other("other_ports").0, 4 * DATAGRAM * FORMATS.len() as u64);
    let observed = observer.read();
    let seen: u64 = all.iter().map(|port| observed[&(*port, "udp".to_owned(), "INPUT".to_owned())].0).sum();
    let counted: u64 = logged.values().sum::<u64>() * DATAGRAM;
    assert_eq!(counted + node.other("other_ports").0, seen);
}
