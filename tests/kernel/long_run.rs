//! A long run of everything that happens to an agent, chosen at random, under traffic that an independent counter
//! observes. `cargo xtask soak` determines how long it takes, and plots the samples that are taken here.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::agent::Node;
use crate::common::flood::Flood;
use crate::common::netns::{Pair, WAN};
use crate::common::observer::Observer;
use crate::soak::{Dice, PORTS, compare_at_rest};

/// How often the traffic is stopped, so that the log and the observer can be compared.
const COMPARE_EVERY: Duration = Duration::from_secs(60);

const ARGUMENTS: [&str; 4] = ["--bucket", "10s", "--checkpoint", "1s"];

const HEADER: &str = "seconds,events,difference_bytes,observed_bytes,memory_kib,open_files,disk_bytes\n";

#[test]
#[ignore = "takes as long as it is told: `cargo xtask soak`"]
fn everything_at_once_for_as_long_as_it_is_told() {
    let told = |name: &str| std::env::var(name).ok();
    let length: u64 = told("FLOW_AGENT_SOAK_SECONDS").map_or(120, |seconds| seconds.parse().unwrap());
    let samples = told("FLOW_AGENT_SOAK_SAMPLES").map(PathBuf::from);
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    node.write_list(&[]);
    node.append_config(&format!("files = [{{ path = {:?}, format = \"list\" }}]\n", node.path("ports.list")));
    node.start(&ARGUMENTS);
    let observer = Observer::install_at(&pair.host, WAN, &PORTS);
    let (begun, mut compared) = (Instant::now(), Instant::now());
    let mut flood = Flood::begin(&pair, &PORTS);
    let mut dice = Dice(20_261_127);
    let (mut text, mut events) = (HEADER.to_owned(), 0_u64);
    while begun.elapsed() < Duration::from_secs(length) {
        flood.pass(dice.roll(4_000));
        happen(&mut node, &flood, &mut dice);
        events += 1;
        if compared.elapsed() < COMPARE_EVERY {
            continue;
        }
        let (memory_kib, open_files) = usage(node.pid());
        flood.end();
        node.stop();
        let (difference, observed) = difference(&node, &observer);
        let disk = bytes_in(&node.state_dir());
        let seconds = begun.elapsed().as_secs();
        writeln!(text, "{seconds},{events},{difference},{observed},{memory_kib},{open_files},{disk}").unwrap();
        if let Some(path) = &samples {
            fs::write(path, &text).unwrap();
        }
        assert!(disk > 0, "nothing was logged");
        compare_at_rest(&node, &observer);
        node.start(&ARGUMENTS);
        flood = Flood::begin(&pair, &PORTS);
        compared = Instant::now();
    }
    flood.end();
    node.stop();
    compare_at_rest(&node, &observer);
    let (_, observed) = difference(&node, &observer);
    println!("{events} events in {} s, {observed} bytes, difference 0", begun.elapsed().as_secs());
}

/// Lets something happen to an agent.
fn happen(node: &mut Node, flood: &Flood, dice: &mut Dice) {
    match dice.roll(6) {
        0 => {
            node.kill();
            flood.pass(dice.roll(500));
            node.start(&ARGUMENTS);
        }
        1 => {
            node.stop();
            flood.pass(dice.roll(500));
            node.start(&ARGUMENTS);
        }
        // Ports are added and removed. Nothing is sent to them, so slots are drained, sealed, freed and reused.
        2 | 3 => {
            let some: Vec<u16> = (10_000..10_032).filter(|_| dice.roll(2) == 0).collect();
            node.write_list(&some);
        }
        4 => node.signal(Signal::HUP),
        // A second process reads and writes the same directory.
        _ => {
            let shown = node.command(&["show", "hours"]);
            assert!(matches!(shown.status.code(), Some(0 | 6)), "{}", String::from_utf8_lossy(&shown.stderr));
            let rolled = node.command(&["rollup"]);
            assert!(matches!(rolled.status.code(), Some(0 | 5 | 6)), "{}", String::from_utf8_lossy(&rolled.stderr));
        }
    }
}

/// By how many bytes the log and the observer differ, and how many the observer saw. No agent may run, and no traffic
/// may pass.
fn difference(node: &Node, observer: &Observer) -> (u64, u64) {
    let totals = node.totals();
    let (mut difference, mut all) = (0, 0);
    for ((port, protocol, chain), (bytes, _)) in observer.read() {
        let direction = if chain == "INPUT" { "in" } else { "out" };
        let name = format!("{protocol}_{direction}_bytes");
        let logged = totals.get(&port).and_then(|numbers| numbers.get(&name)).copied().unwrap_or(0);
        difference += logged.abs_diff(bytes);
        all += bytes;
    }
    (difference, all)
}

/// How many bytes the files below `directory` have.
fn bytes_in(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            if entry.file_type().unwrap().is_dir() { bytes_in(&entry.path()) } else { entry.metadata().unwrap().len() }
        })
        .sum()
}

/// The resident memory of a process in KiB, and how many files it has open.
fn usage(pid: u32) -> (u64, usize) {
    let process = Path::new("/proc").join(pid.to_string());
    let status = fs::read_to_string(process.join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let memory = line.split_whitespace().next().unwrap().parse().unwrap();
    (memory, fs::read_dir(process.join("fd")).unwrap().count())
}
