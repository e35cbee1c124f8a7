//! Every byte exactly once, under flood: agents are killed, replaced and reloaded at random moments, and what they wrote
//! in all is what iptables counted in the same namespace.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::flood::Flood;
use crate::common::netns::{Pair, inside};
use crate::common::observer::Observer;

const PORTS: [u16; 4] = [443, 4433, 8388, 9000];

/// A small generator of our own: a soak that fails must be one that can be run again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Holds the whole log against iptables, port by port; no agent runs and nothing passes.
pub fn compare_at_rest(node: &Node, observer: &Observer) {
    let observed = observer.read();
    let totals = node.totals();
    let mut differences = BTreeMap::new();
    let seen_bytes: u64 = observed.values().map(|(bytes, _)| bytes).sum();
    for ((port, protocol, chain), (bytes, packets)) in observed {
        let direction = if chain == "INPUT" { "in" } else { "out" };
        let counted = |what: &str| {
            let name = format!("{protocol}_{direction}_{what}");
            totals.get(&port).and_then(|numbers| numbers.get(&name)).copied().unwrap_or(0)
        };
        let (logged, seen) = ((counted("bytes"), counted("packets")), (bytes, packets));
        if logged != seen {
            differences.insert((port, protocol, chain), (logged, seen));
        }
    }
    assert!(seen_bytes > 0, "iptables saw nothing: the test tests nothing");
    assert!(differences.is_empty(), "logged, and seen by iptables: {differences:?}\n{}", node.log());
    let seals: Vec<_> = node.hourly().into_iter().filter(|line| line["kind"] == "seal").collect();
    for pair in seals.windows(2) {
        assert!(pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64(), "every bucket has a number of its own");
        if pair[0]["epoch"] == pair[1]["epoch"] {
            assert_eq!(pair[0]["end"], pair[1]["start"], "buckets of an epoch follow each other");
        }
    }
}

#[test]
fn two_hundred_kills_and_port_changes_under_flood_lose_nothing_and_count_nothing_twice() {
    const FAST: [&str; 4] = ["--bucket", "1s", "--checkpoint", "1s"];
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    // These come and go, and move nothing: slots are drained, sealed, freed and given away while the others count.
    let extra = |node: &Node, ports: &[u16]| node.write_list(ports);
    extra(&node, &[]);
    node.append_config(&format!("files = [{{ path = {:?}, format = \"list\" }}]\n", node.path("ports.list")));
    node.start(&FAST);
    let observer = Observer::install(&pair.host, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    let mut dice = Dice(20_261_123);
    for _ in 0..200 {
        flood.pass(dice.roll(1_500));
        let some: Vec<u16> = (10_000..10_008).filter(|_| dice.roll(2) == 0).collect();
        extra(&node, &some);
        flood.pass(dice.roll(1_500));
        node.kill();
        flood.pass(dice.roll(300));
        node.start(&FAST);
    }
    flood.end();
    node.stop();
    compare_at_rest(&node, &observer);
}

#[test]
fn an_agent_that_is_killed_at_every_system_call_of_a_bucket_loses_nothing() {
    let Some(pair) = Pair::make() else { return };
    let node = Node::new(&pair, &PORTS, "");
    assert!(node.command(&["run", "--once"]).status.success());
    let observer = Observer::install(&pair.host, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    let mut kills = 0;
    for syscall in ["write", "fsync", "ftruncate", "rename", "mkdir", "bpf", "unlink"] {
        for nth in 1.. {
            flood.pass(50);
            let inject = format!("inject={syscall}:signal=SIGKILL:when={nth}");
            let trace = format!("trace={syscall}");
            let output = node.command_under(
                &["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject],
                &["run", "--once"],
            );
            if output.status.code() == Some(0) {
                break;
            }
            assert_eq!(output.status.code(), None, "killed, or done: {}", String::from_utf8_lossy(&output.stderr));
            kills += 1;
            assert!(nth < 500, "{syscall} has no end");
        }
    }
    flood.end();
    let output = node.command(&["run", "--once"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(kills >= 20, "only {kills} calls were reached");
    compare_at_rest(&node, &observer);
}

#[test]
fn a_full_disk_is_told_within_a_bucket_and_loses_nothing() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    let disk = SmallDisk::mount(node.state_dir());
    node.start(&["--bucket", "1s", "--checkpoint", "1s"]);
    let observer = Observer::install(&pair.host, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    flood.pass(1_000);
    disk.fill();
    let full = || node.log().contains("could not be written");
    wait_until("the alarm is raised", Duration::from_secs(10), full);
    flood.pass(10_000);
    // Killed with buckets in memory: the counters still hold them.
    node.kill();
    flood.pass(1_000);
    disk.free();
    node.start(&["--bucket", "1s", "--checkpoint", "1s"]);
    disk.fill();
    let full = || node.log().contains("could not be written");
    wait_until("the alarm is raised again", Duration::from_secs(10), full);
    flood.pass(10_000);
    disk.free();
    flood.end();
    node.stop();
    compare_at_rest(&node, &observer);
}

/// A disk of 1 MiB in memory, gone when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    pub fn mount(at: PathBuf) -> Self {
        fs::create_dir_all(&at).unwrap();
        mount("tmpfs", &at, "tmpfs", MountFlags::empty(), c"size=1m").unwrap();
        Self(at)
    }

    pub fn fill(&self) {
        let mut file = fs::File::create(self.0.join("ballast")).unwrap();
        while file.write_all(&[0; 4_096]).is_ok() {}
    }

    pub fn free(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // In a destructor nothing more can be done when it fails.
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// Restarts, half of them kills.
fn restart_under_flood(rounds: usize, arguments: &[&str]) {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    node.start(arguments);
    let observer = Observer::install(&pair.host, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    for round in 1..=rounds {
        flood.pass(2_000);
        if round % 2 == 0 {
            node.stop();
        } else {
            node.kill();
        }
        flood.pass(500);
        node.start(arguments);
    }
    flood.end();
    node.stop();
    compare_at_rest(&node, &observer);
}

#[test]
fn twenty_restarts_lose_nothing_and_count_nothing_twice() {
    restart_under_flood(20, &[]);
}

#[test]
fn twenty_restarts_on_clsact_lose_nothing_and_count_nothing_twice() {
    restart_under_flood(20, &["--attach", "clsact"]);
}

#[test]
fn ports_that_come_and_go_under_flood_get_their_own_bytes_and_no_others() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    let write = |node: &Node, ports: &[u16]| node.write_list(ports);
    write(&node, &PORTS);
    node.append_config(&format!("files = [{{ path = {:?}, format = \"list\" }}]\n", node.path("ports.list")));
    node.start(&["--bucket", "1s", "--checkpoint", "1s"]);
    let observer = Observer::install(&pair.host, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    let mut dice = Dice(7);
    for round in 0..60 {
        let some: Vec<u16> = PORTS[1..].iter().copied().filter(|_| dice.roll(2) == 0).collect();
        write(&node, &some);
        flood.pass(1 + dice.roll(1_500));
        if round % 10 == 9 {
            node.kill();
            node.start(&["--bucket", "1s", "--checkpoint", "1s"]);
        }
    }
    write(&node, &PORTS);
    flood.end();
    node.stop();
    // 443 was watched all the time: exact. The others may have missed what passed while nobody watched them; that is in
    // `other_ports`, so that the sums agree.
    let observed = observer.read();
    let totals = node.totals();
    let (mut logged_in, mut logged_out, mut seen_in, mut seen_out) = (0, 0, 0, 0);
    for port in PORTS {
        let logged = |name: &str| totals.get(&port).map_or(0, |numbers| numbers[name]);
        let seen = |chain: &str| observed[&(port, "udp".to_owned(), chain.to_owned())].0;
        if port == 443 {
            assert_eq!((logged("udp_in_bytes"), logged("udp_out_bytes")), (seen("INPUT"), seen("OUTPUT")));
        }
        assert!(logged("udp_in_bytes") <= seen("INPUT"), "port {port} got another's bytes");
        // Each port's datagrams have a length of their own: bytes of another would show.
        let length = 100 + PORTS.iter().position(|p| *p == port).unwrap() as u64 + 28;
        for direction in ["in", "out"] {
            let (bytes, packets) =
                (logged(&format!("udp_{direction}_bytes")), logged(&format!("udp_{direction}_packets")));
            assert_eq!(bytes, packets * length, "port {port} {direction}");
        }
        logged_in += logged("udp_in_bytes");
        logged_out += logged("udp_out_bytes");
        seen_in += seen("INPUT");
        seen_out += seen("OUTPUT");
    }
    let (other_in, _, other_out, _) = node.other("other_ports");
    // The flood's own peer sockets are other ports to nobody: only these ports' datagrams pass.
    assert_eq!((logged_in + other_in, logged_out + other_out), (seen_in, seen_out), "{}", node.log());
}

#[test]
fn what_passes_between_two_readings_from_cron_is_in_the_second() {
    let Some(pair) = Pair::make() else { return };
    let node = Node::new(&pair, &PORTS, "");
    let once = || {
        let output = node.command(&["run", "--once"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    once();
    let observer = Observer::install(&pair.host, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    flood.pass(3_000);
    once();
    flood.pass(3_000);
    flood.end();
    once();
    compare_at_rest(&node, &observer);
}

#[test]
fn uninstall_writes_what_is_left_and_leaves_nothing_in_the_kernel() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    node.start(&[]);
    let observer = Observer::install(&pair.host, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    flood.pass(1_000);
    let refused = node.command(&["uninstall"]);
    assert_eq!(refused.status.code(), Some(5), "an agent runs");
    node.stop();
    flood.pass(1_000);
    flood.end();
    let output = node.command(&["uninstall"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    compare_at_rest(&node, &observer);
    let attached =
        inside(&pair.host, || crate::common::netns::run(std::process::Command::new("bpftool").args(["net", "show"])));
    assert!(!attached.contains("gress"), "{attached}");
    // The kernel's own files (`progs.debug`, `maps.debug`) are always there.
    assert!(!pair.bpffs.join("flow-agent").exists(), "pins are left");
    assert!(!node.hourly().is_empty(), "the logs stay");
}
