//! Compares what a running agent answers with figures computed by hand.

mod rates;

use std::io::{Read as _, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flow_agent::answer::client;
use flow_agent::ledger::counters::Counters;
use flow_agent::ledger::now::{Now, PortNow, QuotaStanding, UserNow};
use flow_agent::ledger::record::Quality;

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::netns::{HOST4, PEER4, Pair, WAN, inside};
use crate::common::observer::Observer;
use crate::common::paced::{Families, Paced, Refused};
use crate::support::send;

/// The size of the IP and UDP headers.
const UDP4: u64 = 20 + 8;

pub fn now(node: &Node) -> Now {
    client::now(&node.socket()).unwrap()
}

fn port(now: &Now, port: u16) -> &PortNow {
    now.ports.iter().find(|found| found.port == port).unwrap()
}

/// Sends ten datagrams of 100 bytes to port 443 and seven of 1,000 to port 4433, from the peer.
fn pass(pair: &Pair) {
    let _listeners = inside(&pair.host, || [443, 4433].map(|port| UdpSocket::bind((HOST4, port)).unwrap()));
    inside(&pair.peer, || {
        send(PEER4, (HOST4, 443), 100, 10);
        send(PEER4, (HOST4, 4433), 1_000, 7);
    });
}

const PASSED_443: Counters = in_by_udp(10 * (100 + UDP4), 10);
const PASSED_4433: Counters = in_by_udp(7 * (1_000 + UDP4), 7);

const fn in_by_udp(udp_in_bytes: u64, udp_in_packets: u64) -> Counters {
    Counters {
        tcp_in_bytes: 0,
        tcp_in_packets: 0,
        tcp_out_bytes: 0,
        tcp_out_packets: 0,
        udp_in_bytes,
        udp_in_packets,
        udp_out_bytes: 0,
        udp_out_packets: 0,
    }
}

fn answers_to_the_byte(backend: &[&str]) {
    let Some(pair) = Pair::make() else { return };
    let users = "[[users]]\nname = \"alice\"\nports = [443]\nquota = \"1 MiB\"\n";
    let mut node = Node::new(&pair, &[4433], users);
    node.start(backend);
    let first = now(&node);
    assert_eq!((first.node.as_str(), first.zone.as_str(), first.attached), ("node", "UTC", true));
    assert_eq!(first.open.quality, Quality::Exact);
    assert_eq!(first.ports.iter().map(|port| port.port).collect::<Vec<_>>(), [443, 4433]);
    assert_eq!(port(&first, 443).today, Some(Counters::default()));

    pass(&pair);
    let asked = now(&node);
    assert_eq!((port(&asked, 443).open, port(&asked, 4433).open), (PASSED_443, PASSED_4433));
    assert_eq!((port(&asked, 443).total, port(&asked, 443).today), (Some(PASSED_443), Some(PASSED_443)));
    assert_eq!(port(&asked, 4433).month, Some(PASSED_4433));
    assert_eq!(port(&asked, 443).user.as_deref(), Some("alice"));
    let alice = &asked.users[0];
    assert_eq!((alice.user.as_str(), alice.ports.as_slice(), alice.quota), ("alice", [443].as_slice(), Some(1 << 20)));
    assert_eq!((alice.today, alice.month), (Some(PASSED_443), Some(PASSED_443)));
    assert!(client::health(&node.socket()).unwrap().healthy);

    // What is sealed still counts for the day and the month, but no longer for the open bucket.
    let path = node.socket();
    node.stop();
    // An agent that had no time to stop properly leaves the socket to the next one.
    assert!(!path.exists() || node.log().contains("kept it busy"), "the socket goes with the agent");
    node.start(backend);
    pass(&pair);
    let after = now(&node);
    let twice = PASSED_443.saturating_add(PASSED_443);
    assert_eq!((port(&after, 443).open, port(&after, 443).today), (PASSED_443, Some(twice)));
    assert_eq!((port(&after, 443).total, after.users[0].month), (Some(twice), Some(twice)));
    assert!(after.open.seq > asked.open.seq && after.last_seal.is_some());
    node.stop();
}

#[test]
fn now_is_what_passed_to_the_byte() {
    answers_to_the_byte(&["--interface", WAN]);
}

#[test]
fn now_is_what_passed_to_the_byte_with_iptables() {
    answers_to_the_byte(&["--interface", WAN, "--iptables"]);
}

#[test]
fn the_socket_of_a_killed_agent_is_replaced() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    node.start(&[]);
    node.kill();
    assert!(node.socket().exists(), "nobody removed it");
    node.start(&[]);
    wait_until("the agent answers", Duration::from_secs(10), || client::now(&node.socket()).is_ok());
    node.stop();
}

/// What the agent of `node` answers to these exact bytes.
fn raw(node: &Node, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(node.socket()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // It may answer and close the connection before it has read everything.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

#[test]
fn only_get_and_head_of_known_targets_are_answered() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    node.start(&[]);
    let status = |request: &str| raw(&node, request.as_bytes()).lines().next().unwrap_or_default().to_owned();
    assert_eq!(status("GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200 OK");
    assert_eq!(status("GET /../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 404 Not Found");
    assert_eq!(
        status("POST /v1/now HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"),
        "HTTP/1.1 405 Method Not Allowed"
    );
    let head = raw(&node, b"HEAD /v1/now HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    let long = format!("GET /v1/now HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(9_000));
    assert_eq!(status(&long), "HTTP/1.1 431 Request Header Fields Too Large");
    let nonsense = raw(&node, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
    assert!(nonsense.is_empty() || nonsense.starts_with("HTTP/1.1 400"), "{nonsense}");
    // After that it answers as before.
    assert!(client::health(&node.socket()).unwrap().healthy);
    node.stop();
}

#[test]
fn a_client_that_hangs_is_cut_and_keeps_nobody_waiting() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    node.start(&[]);
    let mut hung = UnixStream::connect(node.socket()).unwrap();
    hung.write_all(b"GET /v1/now HT").unwrap();
    let mut deaf = UnixStream::connect(node.socket()).unwrap();
    deaf.write_all(b"GET /v1/now HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(client::now(&node.socket()).is_ok());
    // Both are closed by the agent.
    for mut stream in [hung, deaf] {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    node.stop();
}

/// A value in kilobytes from the kernel's status of the agent: `VmRSS`, `VmHWM`.
fn kilobytes(node: &Node, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

trait Stream: Write {}
impl Stream for UnixStream {}
impl Stream for TcpStream {}

/// Keeps 500 connections to the socket and 500 over TCP, each of which sends a byte of its request now and then.
fn thousand_slow_clients(node: &Node, stop: &AtomicBool) {
    const REQUEST: &[u8] = b"GET /v1/now HTTP/1.1\r\nHost: somebody\r\nX-Patience: ";
    let path = node.socket();
    let connect = |index: usize| -> Option<Box<dyn Stream>> {
        Some(match index % 2 {
            0 => {
                let stream = UnixStream::connect(&path).ok()?;
                stream.set_nonblocking(true).ok()?;
                Box::new(stream)
            }
            _ => {
                let stream = TcpStream::connect("127.0.0.1:9177").ok()?;
                stream.set_nonblocking(true).ok()?;
                Box::new(stream)
            }
        })
    };
    let mut clients: Vec<(Option<Box<dyn Stream>>, usize)> = (0..1_000).map(|_| (None, 0)).collect();
    while !stop.load(Ordering::Relaxed) {
        for (index, (stream, sent)) in clients.iter_mut().enumerate() {
            if stream.is_none() {
                (*stream, *sent) = (connect(index), 0);
            }
            let byte = REQUEST.get(*sent).copied().unwrap_or(b'x');
            if stream.as_mut().is_some_and(|stream| stream.write_all(&[byte]).is_err()) {
                *stream = None;
            }
            *sent += 1;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_thousand_slow_clients_cost_counting_nothing() {
    let Some(pair) = Pair::make() else { return };
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let limit = rustix::process::Rlimit { current: most.maximum, ..most };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let mut node = Node::new(&pair, &[443], "\n[metrics]\nlisten = \"127.0.0.1:9177\"\n");
    node.replace_config("bucket = \"1h\"", "bucket = \"5s\"");
    let observer = Observer::install_at(&pair.host, WAN, &[443]);
    node.start(&["--interface", WAN]);
    assert!(client::now(&node.socket()).is_ok());
    let before = kilobytes(&node, "VmRSS:");
    let paced = Paced::begin(&pair, &[443], Families::V4, &Refused::default());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| inside(&pair.host, || thousand_slow_clients(&node, &stop)));
        node.wait_for_buckets(4);
        stop.store(true, Ordering::Relaxed);
    });
    paced.end();
    let peak = kilobytes(&node, "VmHWM:");
    println!("resident: {before} kB before, {peak} kB at most with 1,000 slow clients");
    // 128 connections with a buffer of 8 KiB each take one MiB.
    assert!(peak < before + (24 << 10), "{before} kB became {peak} kB");
    wait_until("the agent answers again", Duration::from_secs(30), || client::now(&node.socket()).is_ok());
    node.stop_after_this_second();
    let lines = node.hourly();
    let seals: Vec<_> = lines.iter().filter(|line| line["kind"] == "seal").collect();
    for (seal, next) in seals.iter().zip(&seals[1..]) {
        assert_eq!((&seal["end"], &seal["quality"]), (&next["start"], &"exact".into()), "{seal}");
    }
    let observed = observer.read();
    let totals = &node.totals()[&443];
    for (chain, counter) in [("INPUT", "udp_in"), ("OUTPUT", "udp_out")] {
        let (bytes, packets) = observed[&(443, "udp".to_owned(), chain.to_owned())];
        let counted = (totals[&format!("{counter}_bytes")], totals[&format!("{counter}_packets")]);
        assert_eq!(counted, (bytes, packets), "{counter}");
        assert!(packets > 100, "there was traffic: {packets}");
    }
}

#[test]
fn an_agent_that_is_killed_while_it_answers_loses_nothing() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443, 4433], "");
    node.start(&["--interface", WAN]);
    pass(&pair);
    let mut asking = UnixStream::connect(node.socket()).unwrap();
    asking.write_all(b"GET /v1/now HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    node.kill();
    let _ = asking.read_to_end(&mut Vec::new());
    node.start(&["--interface", WAN]);
    pass(&pair);
    assert_eq!(port(&now(&node), 443).today, Some(PASSED_443.saturating_add(PASSED_443)));
    node.stop();
    assert_eq!(node.totals()[&443]["udp_in_bytes"], 2 * PASSED_443.udp_in_bytes);
}

/// How often the answering thread was woken.
fn wakes(node: &Node) -> u64 {
    let mut tasks = std::fs::read_dir(format!("/proc/{}/task", node.id())).unwrap().map(|task| task.unwrap().path());
    let is_answering = |task: &PathBuf| std::fs::read_to_string(task.join("comm")).unwrap().trim() == "answer";
    let task = tasks.find(is_answering).expect("the agent has an answering thread");
    let status = std::fs::read_to_string(task.join("status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn nothing_is_done_while_nobody_asks() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    node.replace_config("bucket = \"1h\"", "bucket = \"1s\"");
    node.start(&[]);
    node.wait_for_buckets(2);
    let before = wakes(&node);
    node.wait_for_buckets(5);
    assert_eq!(wakes(&node), before);
    assert!(client::now(&node.socket()).is_ok());
    assert!(wakes(&node) > before, "the count tells");
    node.stop();
}

#[test]
fn a_foreign_file_in_the_place_of_the_socket_stays_and_counting_goes_on() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443, 4433], "");
    let place = node.path("agent.sock");
    node.replace_config("timezone", &format!("socket = {place:?}\ntimezone"));
    std::fs::write(&place, "somebody's").unwrap();
    node.start(&["--interface", WAN]);
    pass(&pair);
    node.stop();
    assert_eq!(std::fs::read_to_string(&place).unwrap(), "somebody's");
    assert!(node.log().contains("is not a socket: it is left alone"), "{}", node.log());
    assert_eq!(node.totals()[&443]["udp_in_bytes"], PASSED_443.udp_in_bytes);

    // It also answers at another path than the usual one, and nowhere if the path is empty.
    std::fs::remove_file(&place).unwrap();
    node.start(&["--interface", WAN]);
    assert_eq!(port(&client::now(&place).unwrap(), 443).month, Some(PASSED_443));
    node.stop();
    node.replace_config(&format!("socket = {place:?}"), "socket = \"\"");
    node.start(&["--interface", WAN]);
    assert!(!place.exists() && !node.socket().exists());
    node.stop();
}

#[test]
fn users_of_a_new_configuration_are_answered_with_their_quota() {
    let Some(pair) = Pair::make() else { return };
    let users = "[[users]]\nname = \"alice\"\nports = [443]\nquota = \"1 MiB\"\n";
    let mut node = Node::new(&pair, &[4433], users);
    node.start(&["--interface", WAN]);
    pass(&pair);
    let alice = |node: &Node| now(node).users[0].clone();
    assert_eq!((alice(&node).quota, alice(&node).used), (Some(1 << 20), Some(PASSED_443.udp_in_bytes)));
    node.replace_config("1 MiB", "2 MiB");
    node.signal(rustix::process::Signal::HUP);
    wait_until("the new quota is answered", Duration::from_secs(10), || alice(&node).quota == Some(2 << 20));
    node.stop();
}

#[test]
fn a_user_who_is_cut_is_so_in_the_answer_with_what_was_refused() {
    let Some(pair) = Pair::make() else { return };
    let users = "[[users]]\nname = \"alice\"\nports = [443]\nquota = \"20000 B\"\non_quota = \"drop\"\n\
                 [[users]]\nname = \"bob\"\nports = [4433]\nquota = \"8000 B\"\n\
                 [[users]]\nname = \"carol\"\nports = [4434]\nexpires = \"2026-01-31\"\n";
    let mut node = Node::new(&pair, &[], users);
    node.start(&["--interface", WAN]);
    let user = |name: &str| -> UserNow { now(&node).users.into_iter().find(|user| user.user == name).unwrap() };
    assert_eq!(
        ["alice", "bob", "carol"].map(|name| user(name).state.unwrap()),
        [QuotaStanding::Open, QuotaStanding::Open, QuotaStanding::Expired]
    );
    assert_eq!(user("alice").blocked, None);
    // 10 datagrams of 1,028 bytes: 10,280 of 20,000 are used.
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 1_000, 10));
    assert_eq!((user("alice").state, user("alice").used), (Some(QuotaStanding::Open), Some(10_280)));
    // 9 more fit, which makes 97 %. The tenth does not fit, and nothing passes after it.
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 1_000, 9));
    assert_eq!((user("alice").state, user("alice").used), (Some(QuotaStanding::Warned), Some(19 * 1_028)));
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 1_000, 3));
    let alice = user("alice");
    assert_eq!((alice.state, alice.used), (Some(QuotaStanding::Cut), Some(19 * 1_028)));
    let refused = alice.blocked.unwrap();
    assert_eq!((refused.in_bytes, refused.in_packets, refused.out_bytes), (3 * 1_028, 3, 0));
    assert_eq!(port(&now(&node), 443).blocked, Some(refused));
    // A quota that is only reported cuts nobody.
    inside(&pair.peer, || send(PEER4, (HOST4, 4433), 1_000, 10));
    assert_eq!((user("bob").state, user("bob").blocked), (Some(QuotaStanding::Warned), None));

    // `show` reports it, too.
    let said = |arguments: &[&str]| String::from_utf8(node.command(arguments).stdout).unwrap();
    let screen = said(&["show"]);
    assert!(screen.contains("cut at 19.5 KiB"), "{screen}");
    let total: serde_json::Value =
        serde_json::from_str(&said(&["show", "total", "--user", "alice", "--json"])).unwrap();
    assert_eq!((&total["in_bytes"], &total["blocked"]["in_bytes"]), (&19_532.into(), &3_084.into()));
    let total = said(&["show", "total"]);
    assert!(total.contains("refused by quotas  3.01 KiB"), "{total}");

    let users = said(&["users", "alice", "--json"]);
    assert!(users.contains("\"state\":\"cut\""), "{users}");

    // A grant opens the port, and what was refused remains reported.
    assert!(node.command(&["grant", "alice", "100000 B"]).status.success());
    node.signal(rustix::process::Signal::HUP);
    wait_until("the user is open", Duration::from_secs(10), || user("alice").state == Some(QuotaStanding::Open));
    assert_eq!((user("alice").quota, user("alice").blocked), (Some(120_000), Some(refused)));
    node.stop();
}

#[test]
fn a_reload_moves_the_socket_and_the_address_and_chooses_other_ports() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443, 4433], "\n[metrics]\nlisten = \"127.0.0.1:9177\"\n");
    node.start(&["--interface", WAN]);
    pass(&pair);
    let scrape = |port: u16| {
        inside(&pair.host, || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").ok()?;
            let mut text = String::new();
            stream.read_to_string(&mut text).ok()?;
            Some(text)
        })
    };
    let usual = node.socket();
    assert!(usual.exists());
    assert!(scrape(9_177).unwrap().contains("port=\"443\""));

    let place = node.path("agent.sock");
    node.replace_config("timezone", &format!("socket = {place:?}\ntimezone"));
    node.replace_config("127.0.0.1:9177\"", "127.0.0.1:9178\"\nports = [4433]");
    node.signal(rustix::process::Signal::HUP);
    wait_until("it answers elsewhere", Duration::from_secs(10), || place.exists() && scrape(9_178).is_some());
    assert!(!usual.exists() && scrape(9_177).is_none(), "the former places are closed");
    let metrics = scrape(9_178).unwrap();
    assert!(metrics.contains("port=\"4433\"") && !metrics.contains("port=\"443\""), "{metrics}");
    assert_eq!(port(&client::now(&place).unwrap(), 443).open, PASSED_443);

    // Nowhere at all, and then again.
    node.replace_config("listen = \"127.0.0.1:9178\"\n", "");
    node.replace_config(&format!("socket = {place:?}"), "socket = \"\"");
    node.signal(rustix::process::Signal::HUP);
    wait_until("it answers nowhere", Duration::from_secs(10), || !place.exists() && scrape(9_178).is_none());
    node.replace_config("socket = \"\"\n", "");
    node.signal(rustix::process::Signal::HUP);
    wait_until("it answers again", Duration::from_secs(10), || client::now(&usual).is_ok());
    // Keys that need a restart are named.
    node.replace_config("timezone = \"UTC\"", "timezone = \"Asia/Shanghai\"");
    node.signal(rustix::process::Signal::HUP);
    wait_until("it says so", Duration::from_secs(10), || {
        node.log().contains("need a restart") && node.log().contains("timezone")
    });
    node.stop();
}
