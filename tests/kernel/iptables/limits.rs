//! Budgets in iptables mode: readings decide who is cut, one rule refuses, and refused packets are counted only as
//! refused.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use flow_agent::backend::Backend;
use flow_agent::clock;
use flow_agent::ledger::counters::Flow;
use flow_agent::ledger::limits::budget::{Limit, MonthlyQuota, UserBudget};

use super::Variant;
use crate::common::netns::{HOST4, HOST6, PEER4, PEER6, Pair, inside, run};
use crate::common::observer::Observer;
use crate::support::{as_observed, inspect, options, read, read_all, send};

const PORT: u16 = 8388;
const OTHER: u16 = 443;
/// The IP bytes of a datagram with a payload of 1,000 bytes, by family.
const V4: u64 = 1_028;
const V6: u64 = 1_048;

fn enforce(backend: &mut dyn Backend, limit: u64) {
    let quota = Some(MonthlyQuota { limit: Limit::Both(limit), next: None });
    let budget = UserBudget { user: "acct-8388".into(), ports: BTreeSet::from([PORT]), quota, expires_at: None };
    backend.enforce(&[budget], clock::now()).unwrap();
}

/// Cuts a port, whatever it moved.
pub fn cut(backend: &mut dyn Backend, port: u16) {
    let quota = Some(MonthlyQuota { limit: Limit::Both(0), next: None });
    let budget = UserBudget { user: "cut".into(), ports: BTreeSet::from([port]), quota, expires_at: None };
    backend.enforce(&[budget], clock::now()).unwrap();
}

/// Sends ten datagrams of each family to `port` of the host, and ten from it to the peer.
fn traffic(pair: &Pair, port: u16) {
    for (host, peer) in [(HOST4, PEER4), (HOST6, PEER6)] {
        inside(&pair.peer, || send(peer, (host, port), 1_000, 10));
        inside(&pair.host, || send_from((host, port), (peer, 9), 10));
    }
}

/// Sends from a port of the host. If a datagram is refused on its way out, the socket may report an error.
fn send_from(from: (IpAddr, u16), to: (IpAddr, u16), count: usize) {
    let socket = UdpSocket::bind(SocketAddr::from(from)).unwrap();
    for _ in 0..count {
        let _ = socket.send_to(&[b'x'; 1_000], SocketAddr::from(to));
    }
}

/// What [`traffic`] moves.
fn once() -> Flow {
    let bytes = 10 * (V4 + V6);
    Flow { in_bytes: bytes, in_packets: 20, out_bytes: bytes, out_packets: 20 }
}

fn blocked(backend: &mut dyn Backend) -> Vec<(u16, Flow)> {
    read_all(backend).blocked.iter().collect()
}

fn times(flow: Flow, times: u64) -> Flow {
    (0..times).fold(Flow::default(), |sum, _| sum.saturating_add(flow))
}

/// Runs `test` for every variant, in the host of a new pair.
fn in_host(test: impl Fn(&Variant, &Pair) + Sync) {
    for variant in Variant::every() {
        let Some(pair) = Pair::make() else { return };
        println!("{} ipsets: {}", variant.name, variant.has_ipset);
        inside(&pair.host, || test(&variant, &pair));
    }
}

#[test]
fn a_port_is_cut_by_the_reading_that_finds_its_limit_passed_and_what_is_refused_is_not_billed() {
    in_host(|variant, pair| {
        let mut backend = variant.start(&options(pair, &[PORT, OTHER])).unwrap().backend;
        let before = Variant::everything();
        let one = once().in_bytes + once().out_bytes;
        enforce(&mut *backend, 2 * one);
        traffic(pair, PORT);
        enforce(&mut *backend, 2 * one);
        traffic(pair, PORT);
        // Nothing was read yet, so the port is as open as before.
        traffic(pair, PORT);
        assert_eq!(blocked(&mut *backend), []);
        enforce(&mut *backend, 2 * one);
        // Rules after ours see only what passes.
        let observer = Observer::install(&pair.host, &[PORT, OTHER]);
        for _ in 0..3 {
            traffic(pair, PORT);
            traffic(pair, OTHER);
        }
        let passed = read(&mut *backend, PORT);
        assert_eq!(passed.in_bytes() + passed.out_bytes(), 3 * one);
        assert_eq!(blocked(&mut *backend), [(PORT, times(once(), 3))]);
        let others = read(&mut *backend, OTHER);
        assert_eq!((others.udp_in_bytes, others.udp_out_packets), (3 * once().in_bytes, 60));
        let observed = observer.read();
        let of =
            |port| observed.iter().filter(|((of, ..), _)| *of == port).map(|(_, (_, packets))| packets).sum::<u64>();
        assert_eq!((of(PORT), of(OTHER)), (0, 120));
        assert_eq!(
            observed
                .iter()
                .filter(|((port, ..), _)| *port == OTHER)
                .map(|(key, value)| (key.clone(), *value))
                .collect::<crate::common::observer::Observed>(),
            as_observed([(OTHER, others)])
        );
        // Raised: the next packet passes, and what was refused remains known.
        enforce(&mut *backend, 10 * one);
        traffic(pair, PORT);
        let passed = read(&mut *backend, PORT);
        assert_eq!(passed.in_bytes() + passed.out_bytes(), 4 * one);
        assert_eq!(blocked(&mut *backend), [(PORT, times(once(), 3))]);
        // Lifted: nothing remains that could refuse packets.
        backend.enforce(&[], clock::now()).unwrap();
        assert_eq!(backend.enforce_again_after(), None);
        assert_eq!(blocked(&mut *backend), [(PORT, times(once(), 3))]);
        let after = Variant::everything();
        assert!(!after.contains("DROP") && !after.contains("-drop") && !after.contains(" drop\n"), "{after}");
        assert_eq!(names(&after), names(&before));
    });
}

/// The names of our chains and ipsets in a listing.
fn names(listing: &str) -> BTreeSet<String> {
    let words = listing.split(|c: char| c.is_whitespace() || ":{}\"".contains(c));
    words.filter(|word| word.starts_with("flow-")).map(str::to_owned).collect()
}

#[test]
fn who_is_cut_stays_cut_when_the_agent_dies_and_when_counters_are_replaced() {
    in_host(|variant, pair| {
        let options = options(pair, &[PORT, OTHER]);
        let mut backend = variant.start(&options).unwrap().backend;
        traffic(pair, PORT);
        enforce(&mut *backend, 1);
        // It was killed, and the successor does not know any budget yet.
        let mut backend = variant.succeed(backend, &options).backend;
        traffic(pair, PORT);
        let passed = read(&mut *backend, PORT);
        assert_eq!((passed.in_bytes(), passed.out_bytes()), (once().in_bytes, once().out_bytes));
        assert_eq!(blocked(&mut *backend), [(PORT, once())]);
        enforce(&mut *backend, 1);
        let mut retired = backend.replace(&options.ports).unwrap();
        assert_eq!(retired.read(&clock::now).unwrap().blocked.iter().collect::<Vec<_>>(), [(PORT, once())]);
        traffic(pair, PORT);
        retired.delete().unwrap();
        assert!(read(&mut *backend, PORT).is_zero());
        assert_eq!(blocked(&mut *backend), [(PORT, once())]);
        // The list of ports loses it and gets it back. It begins anew, and is open until the budget is passed again.
        backend.drain(&[PORT].into()).unwrap();
        assert!(read_all(&mut *backend).draining.contains(&PORT));
        backend.enforce(&[], clock::now()).unwrap();
        backend.release(&[PORT].into()).unwrap();
        backend.add(&[PORT].into()).unwrap();
        traffic(pair, PORT);
        assert_eq!(read(&mut *backend, PORT).udp_in_bytes, once().in_bytes);
        variant.uninstall().unwrap_err();
    });
}

#[test]
fn a_client_of_a_port_that_is_cut_sees_a_reset_and_others_go_on() {
    in_host(|variant, pair| {
        let mut backend = variant.start(&options(pair, &[PORT, OTHER])).unwrap().backend;
        for (host, _) in [(HOST4, PEER4), (HOST6, PEER6)] {
            let connect = |port: u16| {
                let listener = TcpListener::bind((host, port)).unwrap();
                let mut client = inside(&pair.peer, || TcpStream::connect((host, port)).unwrap());
                let (server, _) = listener.accept().unwrap();
                client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                client.write_all(b"x").unwrap();
                (client, server)
            };
            let ((mut cut, _cut_server), (mut other, mut other_server)) = (connect(PORT), connect(OTHER));
            enforce(&mut *backend, 1);
            let error = cut.read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
            other_server.write_all(b"y").unwrap();
            assert_eq!(other.read(&mut [0]).unwrap(), 1);
            // Open it again for the other family.
            backend.enforce(&[], clock::now()).unwrap();
        }
    });
}

#[test]
fn somebody_who_flushes_opens_a_port_until_the_next_look() {
    in_host(|variant, pair| {
        let mut backend = variant.start(&options(pair, &[PORT])).unwrap().backend;
        traffic(pair, PORT);
        enforce(&mut *backend, 1);
        if variant.is_native() {
            run(Command::new("nft").args(["flush", "ruleset"]));
        } else {
            for program in ["iptables", "ip6tables"] {
                variant.iptables(program, "-t mangle -F");
            }
        }
        traffic(pair, PORT);
        let inspection = inspect(&mut *backend);
        assert_eq!((inspection.unseen.len(), inspection.retired.len()), (1, 1), "{:?}", inspection.unseen);
        // The inspection itself has repaired it.
        traffic(pair, PORT);
        assert!(read(&mut *backend, PORT).is_zero());
        assert_eq!(blocked(&mut *backend), [(PORT, once())]);
        if variant.has_ipset {
            run(Command::new("sh")
                .args(["-c", "for set in $(ipset list -n | grep -- -cut); do ipset flush $set; done"]));
            // The counters of the new set began at zero.
            enforce(&mut *backend, 0);
            traffic(pair, PORT);
            assert!(read(&mut *backend, PORT).is_zero());
            assert_eq!(blocked(&mut *backend), [(PORT, times(once(), 2))]);
        }
        assert!(backend.enforce_again_after() <= Some(Duration::from_secs(5)));
    });
}
