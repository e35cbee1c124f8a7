//! The real program in iptables mode: a quota that is reached at full speed, raised by a reload, and reported by
//! `check`.

use std::time::{Duration, Instant};

use super::traffic::{Arrived, Senders};
use super::{OTHER, PORT, QUIET, limited_users};
use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::netns::Pair;
use crate::common::variant::Variant;

const LIMIT: u64 = 300_000_000;

/// The time in which readings notice that a limit is near, and act: 200 ms between two readings, and what programs take
/// on a busy machine.
const SEEN_WITHIN: Duration = Duration::from_secs(3);

#[test]
fn a_quota_is_kept_by_readings_and_a_reload_opens_again() {
    for variant in Variant::all() {
        let Some(pair) = Pair::make() else { return };
        let arrived = Arrived::install(&pair, PORT);
        let never = Arrived::install(&pair, OTHER);
        let mut node = Node::new(&pair, &[PORT, OTHER], &limited_users(LIMIT));
        node.use_programs(variant.path());
        node.start(&["--interface", "wan", "--backend", "iptables"]);
        let senders = Senders::begin(&pair, PORT);
        let mut last = (Instant::now(), arrived.both());
        let mut most = 0;
        wait_until("the quota is used up", Duration::from_secs(180), || {
            let (bytes, at) = (arrived.both(), Instant::now());
            most = most.max(((bytes - last.1) as f64 / (at - last.0).as_secs_f64()) as u64);
            last = (at, bytes);
            bytes >= LIMIT
        });
        let passed = arrived.settle(QUIET);
        let (beyond, bound) = (passed - LIMIT, most * SEEN_WITHIN.as_millis() as u64 / 1_000);
        println!("fact: {} ipsets {}: {beyond} bytes beyond, at {most} B/s", variant.name, variant.has_ipset);
        assert!(beyond <= bound, "{beyond} of {bound} that may be");
        let check = node.command(&["check"]);
        let said = String::from_utf8_lossy(&check.stdout).into_owned();
        assert!(said.contains("limits are enforced by readings: at the "), "{said}");
        // After a kill, whoever is cut stays cut, and the successor knows it.
        node.kill();
        assert_eq!(arrived.settle(QUIET), passed);
        node.start(&["--interface", "wan", "--backend", "iptables"]);
        assert_eq!(arrived.settle(QUIET), passed);
        node.replace_config("300000000 B", "1 TB");
        let reloaded_at = Instant::now();
        node.signal(rustix::process::Signal::HUP);
        wait_until("it opens", Duration::from_secs(10), || arrived.both() > passed);
        println!("fact: open {} ms after the reload", reloaded_at.elapsed().as_millis());
        senders.end();
        // It has one byte of quota, and is never cut.
        let free = Senders::begin(&pair, OTHER);
        wait_until("a port that is never cut goes on", Duration::from_secs(60), || never.both() > 1_000_000);
        free.end();
        node.stop();
        let blocked: Vec<_> = node.hourly().into_iter().filter_map(|seal| seal.get("blocked").cloned()).collect();
        assert!(
            blocked.iter().any(|blocked| blocked[PORT.to_string()]["in_packets"].as_u64() > Some(0)),
            "{blocked:?}"
        );
    }
}
