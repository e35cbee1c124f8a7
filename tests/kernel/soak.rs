//! Every byte exactly once, under flood: agents are killed, replaced and reloaded at random moments, and what all of
//! them wrote is what chains at the device itself counted.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::flood::Flood;
use crate::common::netns::{Pair, WAN, inside};
use crate::common::observer::Observer;

pub const PORTS: [u16; 4] = [443, 4433, 8388, 9000];

/// A small random generator of our own, so that a soak that fails can be repeated.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Compares the whole log with the observer, port by port, and checks that its buckets follow each other. No agent may
/// run, no traffic may pass, and the clock must not have been set.
pub fn compare_at_rest(node: &Node, observer: &Observer) {
    compare_counts(node, observer);
    let seals: Vec<_> = node.hourly().into_iter().filter(|line| line["kind"] == "seal").collect();
    for pair in seals.windows(2) {
        assert!(pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64(), "every bucket has a number of its own");
        if pair[0]["epoch"] == pair[1]["epoch"] {
            assert_eq!(pair[0]["end"], pair[1]["start"], "buckets of an epoch follow each other");
        }
    }
}

/// Compares the whole log with the observer, port by port. No agent may run, and no traffic may pass.
pub fn compare_counts(node: &Node, observer: &Observer) {
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
    assert!(seen_bytes > 0, "the observer saw nothing: the test tests nothing");
    assert!(differences.is_empty(), "logged, and seen by the observer: {differences:?}\n{}", node.log());
}

/// Two hundred lives of an agent under flood, with ports that are added and removed in each of them. `begin` begins a
/// life, and `end` ends it. In the end, what was logged is what the observer counted.
pub fn soak(arguments: &[&str], end: fn(&mut Node), mut begin: impl FnMut(&mut Node, &[&str])) {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    // These are added and removed, and move nothing: slots are drained, sealed, freed and reused while the others
    // count.
    node.write_list(&[]);
    node.append_config(&format!("files = [{{ path = {:?}, format = \"list\" }}]\n", node.path("ports.list")));
    let arguments = [&["--bucket", "1s", "--checkpoint", "1s"], arguments].concat();
    begin(&mut node, &arguments);
    let observer = Observer::install_at(&pair.host, WAN, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    let mut dice = Dice(20_261_123);
    for _ in 0..200 {
        flood.pass(dice.roll(1_500));
        let some: Vec<u16> = (10_000..10_008).filter(|_| dice.roll(2) == 0).collect();
        node.write_list(&some);
        flood.pass(dice.roll(1_500));
        end(&mut node);
        flood.pass(dice.roll(300));
        begin(&mut node, &arguments);
    }
    flood.end();
    node.stop();
    compare_at_rest(&node, &observer);
}

#[test]
fn two_hundred_kills_and_port_changes_under_flood_lose_nothing_and_count_nothing_twice() {
    soak(&[], Node::kill, Node::start);
}

#[test]
fn two_hundred_restarts_and_port_changes_under_flood_lose_nothing_and_count_nothing_twice() {
    soak(&[], Node::stop, Node::start);
}

#[test]
fn an_agent_that_is_killed_at_every_system_call_of_a_bucket_loses_nothing() {
    let on_disk = ["write", "fsync", "ftruncate", "rename", "mkdir", "unlink", "fchmod"];
    killed_at_every(&[&on_disk[..], &["bpf"]].concat(), &["run", "--once"]);
}

#[test]
fn an_agent_that_is_killed_at_every_change_of_its_filters_loses_nothing() {
    killed_at_every(&["bpf", "sendto"], &["run", "--once", "--attach", "clsact"]);
}

/// Kills an agent at each of these system calls, which change something on disk or in the kernel.
fn killed_at_every(syscalls: &[&str], arguments: &[&str]) {
    let Some(pair) = Pair::make() else { return };
    let node = Node::new(&pair, &PORTS, "");
    assert!(node.command(arguments).status.success());
    let observer = Observer::install_at(&pair.host, WAN, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    let mut kills = 0;
    for syscall in syscalls {
        for nth in 1.. {
            flood.pass(50);
            let inject = format!("inject={syscall}:signal=SIGKILL:when={nth}");
            let trace = format!("trace={syscall}");
            let wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
            let output = node.command_under(&wrapper, arguments);
            if output.status.code() == Some(0) {
                break;
            }
            assert_eq!(output.status.code(), None, "killed, or done: {}", String::from_utf8_lossy(&output.stderr));
            kills += 1;
            assert!(nth < 500, "{syscall} has no end");
        }
    }
    flood.end();
    let output = node.command(arguments);
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
    let observer = Observer::install_at(&pair.host, WAN, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    flood.pass(1_000);
    disk.fill();
    let full = || node.log().contains("failed to write a bucket");
    wait_until("the alarm is raised", Duration::from_secs(10), full);
    // The alarm comes with the first bucket that cannot be written.
    let log = node.log();
    let waiting = log.split_once("waiting=").map(|(_, rest)| rest.lines().next().unwrap_or_default().to_owned());
    assert_eq!(waiting.as_deref(), Some("1"), "{log}");
    flood.pass(10_000);
    // It is killed with buckets in memory, but the counters still hold them.
    node.kill();
    flood.pass(1_000);
    disk.free();
    node.start(&["--bucket", "1s", "--checkpoint", "1s"]);
    disk.fill();
    let full = || node.log().contains("failed to write a bucket");
    wait_until("the alarm is raised again", Duration::from_secs(10), full);
    flood.pass(10_000);
    disk.free();
    flood.end();
    node.stop();
    compare_at_rest(&node, &observer);
}

/// A small disk in memory, which is removed when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// A disk of 1 MiB.
    pub fn mount(at: PathBuf) -> Self {
        Self::mount_with(at, c"size=1m")
    }

    /// A disk with these options of tmpfs.
    pub fn mount_with(at: PathBuf, options: &CStr) -> Self {
        fs::create_dir_all(&at).unwrap();
        mount("tmpfs", &at, "tmpfs", MountFlags::empty(), options).unwrap();
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
        // If this fails, nothing more can be done in a destructor.
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
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
    let observer = Observer::install_at(&pair.host, WAN, &PORTS);
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
    let observer = Observer::install_at(&pair.host, WAN, &PORTS);
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
