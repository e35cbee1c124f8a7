//! From packets to letters: what three nodes counted is what iptables counted beside them, what their hourly logs
//! contain, and what is billed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::mount::{UnmountFlags, unmount};
use serde_json::Value;

use crate::common::daemon::{in_netns, wait_until};
use crate::common::netns::inside;
use crate::common::observer::Observer;
use crate::fleet::{Fleet, Node, PROGRAM, lines};
use crate::month::thousands;

const PORTS: [u16; 2] = [443, 8388];
const TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes by (port, protocol, direction).
type Bytes = BTreeMap<(u64, String, String), u64>;

/// An agent that is run from time to time. When dropped, it is removed with everything that it left in the kernel.
struct Agent<'f> {
    node: &'f Node,
    config: PathBuf,
    bpffs: PathBuf,
}

impl<'f> Agent<'f> {
    fn new(fleet: &Fleet, node: &'f Node, backend: &str) -> Self {
        let dir = fleet.dir.path().join(format!("agent-{}", node.name));
        let (config, bpffs) = (dir.join("config.toml"), dir.join("bpf"));
        fs::create_dir_all(&bpffs).unwrap();
        let text = format!(
            "node = {:?}\ntimezone = \"UTC\"\nstate_dir = {:?}\nbpffs = {bpffs:?}\n[count]\nbackend = \"{backend}\"\n\
             interfaces = [\"wan\"]\n[ports]\nwatch = {PORTS:?}\n",
            node.name, node.state_dir
        );
        fs::write(&config, text).unwrap();
        Self { node, config, bpffs }
    }

    /// Runs it to its end. Counting continues without it.
    fn run(&self, arguments: &[&str]) {
        let mut command = in_netns(&self.node.netns, PROGRAM);
        let output = command.args(arguments).arg("--config").arg(&self.config).stdin(Stdio::null()).output().unwrap();
        // The code is 6 while the day is not over.
        assert!(matches!(output.status.code(), Some(0 | 6)), "{} {arguments:?}: {output:?}", self.node.name);
    }
}

impl Drop for Agent<'_> {
    fn drop(&mut self) {
        let mut command = in_netns(&self.node.netns, PROGRAM);
        // If this fails, the test has failed already, and the namespace is removed with the fleet.
        let _ = command.arg("uninstall").arg("--config").arg(&self.config).output();
        let _ = unmount(&self.bpffs, UnmountFlags::DETACH);
    }
}

/// Datagrams in and out of port 443, of 200 and 300 bytes including headers, and a TCP conversation with port 8388.
fn traffic(fleet: &Fleet, node: &Node, datagrams: u64) {
    let (here, there) = (format!("{}.1", node.address.rsplit_once('.').unwrap().0), node.address.clone());
    let [from, to] =
        [(&fleet.main, here.as_str(), 0), (&node.netns, there.as_str(), PORTS[0])].map(|(netns, ip, port)| {
            let socket = inside(netns, || UdpSocket::bind((ip, port)).unwrap());
            socket.set_read_timeout(Some(TIMEOUT)).unwrap();
            socket
        });
    for _ in 0..datagrams {
        from.send_to(&[b'x'; 172], (there.as_str(), PORTS[0])).unwrap();
        let (length, peer) = to.recv_from(&mut [0; 400]).unwrap();
        assert_eq!(length, 172);
        to.send_to(&[b'y'; 272], peer).unwrap();
        assert_eq!(from.recv_from(&mut [0; 400]).unwrap().0, 272);
    }
    let listener = inside(&node.netns, || TcpListener::bind((there.as_str(), PORTS[1])).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(TIMEOUT)).unwrap();
            assert_eq!(std::io::copy(&mut stream, &mut std::io::sink()).unwrap(), 200_000 + datagrams);
            std::io::copy(&mut std::io::repeat(b'd').take(300_000), &mut stream).unwrap();
        });
        let mut stream = inside(&fleet.main, || TcpStream::connect((there.as_str(), PORTS[1])).unwrap());
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        std::io::copy(&mut std::io::repeat(b'u').take(200_000 + datagrams), &mut stream).unwrap();
        stream.flush().unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
    });
}

/// What the observer counted, once nothing more arrives.
fn observed(observer: &Observer) -> Bytes {
    let (mut last, mut times) = (observer.read(), 0);
    wait_until("the last acknowledgements have passed", TIMEOUT, || {
        let now = observer.read();
        times = if now == last { times + 1 } else { 0 };
        last = now;
        times == 10
    });
    let direction = |chain: &str| if chain == "INPUT" { "in" } else { "out" }.to_owned();
    let rules = last
        .into_iter()
        .map(|((port, protocol, chain), (bytes, _))| ((u64::from(port), protocol, direction(&chain)), bytes));
    rules.collect()
}

/// Adds up the bytes of all lines of one kind.
fn sum<'v>(lines: impl IntoIterator<Item = &'v Value>, kind: &str) -> Bytes {
    let mut sum = Bytes::new();
    for line in lines.into_iter().filter(|line| line["kind"] == kind) {
        let port = line["port"].as_u64().unwrap();
        add(&mut sum, port, line);
    }
    sum
}

fn add(sum: &mut Bytes, port: u64, numbers: &Value) {
    for protocol in ["tcp", "udp"] {
        for direction in ["in", "out"] {
            let bytes = numbers[format!("{protocol}_{direction}_bytes")].as_u64().unwrap();
            *sum.entry((port, protocol.to_owned(), direction.to_owned())).or_default() += bytes;
        }
    }
}

fn all_lines(node: &Node, directory: &str) -> Vec<Value> {
    let entries = fs::read_dir(node.state_dir.join(directory)).unwrap();
    entries.flat_map(|entry| lines(&entry.unwrap().path())).collect()
}

#[test]
fn three_nodes_are_billed_what_passed() {
    let Some(fleet) = Fleet::with_mail(&["hk-1", "fr-1", "us-1"]) else { return };
    let users = PORTS.map(|port| {
        format!("[[users]]\nname = \"acct-{port}\"\nports = [{port}]\nemail = \"acct-{port}@example.com\"\n")
    });
    fleet.configure(&users.concat(), "");
    let observers: Vec<_> = fleet.nodes.iter().map(|node| Observer::install(&node.netns, &PORTS)).collect();
    let backends = ["ebpf", "ebpf", "iptables"];
    let agents: Vec<_> =
        fleet.nodes.iter().zip(backends).map(|(node, backend)| Agent::new(&fleet, node, backend)).collect();
    // The first run begins to count, and then there are two buckets.
    agents.iter().for_each(|agent| agent.run(&["run", "--once"]));
    let mut seen = Vec::new();
    for round in [1, 2] {
        seen.clear();
        for (number, (agent, observer)) in (1..).zip(agents.iter().zip(&observers)) {
            traffic(&fleet, agent.node, 10 * number + round);
            seen.push(observed(observer));
            agent.run(&["run", "--once"]);
        }
    }
    agents.iter().for_each(|agent| agent.run(&["rollup"]));

    let ended = fleet.report(&["--month", "this"]).with_code(6);
    let month = ended.stdout[..7].to_owned();
    let log = fleet.monthly(&month[..4]);
    let mut of_all = Bytes::new();
    for (agent, seen) in agents.iter().zip(&seen) {
        let name = agent.node.name;
        assert_eq!(seen.len(), 8, "two ports, two protocols, two ways: {name} {seen:?}");
        assert_eq!(&sum(&all_lines(agent.node, "hourly"), "hour"), seen, "{name}, hour by hour");
        assert_eq!(&sum(&all_lines(agent.node, "daily"), "day"), seen, "{name}, day by day");
        let mut billed = Bytes::new();
        for line in log.iter().filter(|line| line["kind"] == "month") {
            add(&mut billed, line["ports"][0].as_u64().unwrap(), &line["by_node"][name]);
        }
        assert_eq!(&billed, seen, "{name}, as it is billed");
        for (key, bytes) in seen {
            *of_all.entry(key.clone()).or_default() += bytes;
        }
    }
    let billed: Vec<&Value> = log.iter().filter(|line| line["kind"] == "month").collect();
    let mut sums = Bytes::new();
    billed.iter().for_each(|line| add(&mut sums, line["ports"][0].as_u64().unwrap(), line));
    assert_eq!(sums, of_all);

    // By hand: rounds of 11 + 21 + 31 and 12 + 22 + 32 datagrams, each with 200 bytes in and 300 bytes out.
    let datagrams = 63 + 66;
    assert_eq!(of_all[&(443, "udp".to_owned(), "in".to_owned())], datagrams * 200);
    assert_eq!(of_all[&(443, "udp".to_owned(), "out".to_owned())], datagrams * 300);
    let tcp: u64 = ["in", "out"].iter().map(|way| of_all[&(8388, "tcp".to_owned(), (*way).to_owned())]).sum();
    for (user, bytes) in [("acct-443", datagrams * 500), ("acct-8388", tcp)] {
        let letters = fleet.letters(user);
        assert_eq!(letters.len(), 1, "{user}");
        let text = letters[0]["text"].as_str().unwrap();
        assert!(text.contains(&format!("{} bytes", thousands(bytes))), "{user}: {bytes} in {text}");
    }
}
