//! A long run of everything that happens to an agent, chosen at random, under traffic that an independent counter
//! observes, up to the bills of a main node. `cargo xtask soak` determines how long it takes, and plots the samples
//! that are taken here.

mod main_node;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use self::main_node::MainNode;
use crate::agent::{Node, PROGRAM};
use crate::clock::Wall;
use crate::common::netns::{Pair, WAN};
use crate::common::observer::{Observed, Observer};
use crate::common::paced::{Families, Paced, Refused};
use crate::soak::{Dice, PORTS, SmallDisk, compare_counts};
use crate::upgrade::rebuilt;

/// How often the traffic is stopped, so that the log, the bills and the observer can be compared.
const COMPARE_EVERY: Duration = Duration::from_secs(60);
/// Every so many comparisons, the main node also mails its statements.
const MAIL_EVERY: u64 = 15;

const ARGUMENTS: [&str; 4] = ["--bucket", "10s", "--checkpoint", "1s"];

const HEADER: &str = "seconds,events,difference_bytes,observed_bytes,memory_kib,open_files,disk_bytes\n";

#[test]
#[ignore = "takes as long as it is told: `cargo xtask soak`"]
fn everything_at_once_for_as_long_as_it_is_told() {
    let told = |name: &str| std::env::var(name).ok();
    let length: u64 = told("FLOW_AGENT_SOAK_SECONDS").map_or(120, |seconds| seconds.parse().unwrap());
    let samples = told("FLOW_AGENT_SOAK_SAMPLES").map(PathBuf::from);
    let Some(mut run) = LongRun::begin() else { return };
    let (begun, mut compared) = (Instant::now(), Instant::now());
    let (mut text, mut comparisons) = (HEADER.to_owned(), 0);
    while begun.elapsed() < Duration::from_secs(length) {
        run.pass(1_500);
        run.happen();
        if compared.elapsed() < COMPARE_EVERY {
            continue;
        }
        let (memory_kib, open_files) = usage(run.node.pid());
        run.rest();
        let (difference, observed) = difference(&run.node.totals(), &run.observer.read());
        let (seconds, events) = (begun.elapsed().as_secs(), run.events.values().sum::<u64>());
        let disk = bytes_in(&run.node.state_dir());
        writeln!(text, "{seconds},{events},{difference},{observed},{memory_kib},{open_files},{disk}").unwrap();
        if let Some(path) = &samples {
            fs::write(path, &text).unwrap();
        }
        assert!(disk > 0, "nothing was logged");
        comparisons += 1;
        run.compare(comparisons % MAIL_EVERY == 0);
        run.go_on();
        compared = Instant::now();
    }
    run.rest();
    run.compare(true);
    let observed: u64 = run.observer.read().values().map(|(bytes, _)| bytes).sum();
    let events: Vec<String> = run.events.iter().map(|(what, count)| format!("{count} {what}")).collect();
    println!("{} s: {}", begun.elapsed().as_secs(), events.join(", "));
    println!("{observed} bytes, {} comparisons of log, bills and observer, difference 0", comparisons + 1);
}

/// A node with its traffic, its observer and its main node.
struct LongRun {
    node: Node,
    traffic: Option<Paced>,
    observer: Observer,
    main_node: MainNode,
    wall: Wall,
    disk: SmallDisk,
    /// The program, and one that another compiler might have made of it.
    builds: [PathBuf; 2],
    dice: Dice,
    /// How often each kind of event has happened.
    events: BTreeMap<&'static str, u64>,
    /// The month in which the run began. Reports of a later one lack what was billed in this one.
    month: String,
    _rebuilt: tempfile::TempDir,
    pair: Pair,
}

/// The current month in UTC, as in 2026-11.
fn month() -> String {
    chrono::Utc::now().format("%Y-%m").to_string()
}

impl LongRun {
    /// Without root, prints that on stderr and returns `None`.
    fn begin() -> Option<Self> {
        let pair = Pair::make()?;
        for netns in [&pair.host, &pair.peer] {
            let path = "/proc/sys/net/ipv6/conf/all/keep_addr_on_down";
            crate::common::netns::inside(netns, || fs::write(path, "1").unwrap());
        }
        let node = Node::new(&pair, &PORTS, "");
        node.write_list(&[]);
        node.append_config(&format!("files = [{{ path = {:?}, format = \"list\" }}]\n", node.path("ports.list")));
        let wall = Wall::new(&node)?;
        let disk = SmallDisk::mount_with(node.state_dir(), c"size=128m");
        let main_node = MainNode::begin(&pair, &node);
        let directory = tempfile::tempdir().unwrap();
        let mut run = Self {
            observer: Observer::install_at(&pair.host, WAN, &PORTS),
            builds: [PROGRAM.into(), rebuilt(directory.path())],
            dice: Dice(20_261_127),
            events: BTreeMap::new(),
            month: month(),
            traffic: None,
            _rebuilt: directory,
            node,
            main_node,
            wall,
            disk,
            pair,
        };
        run.go_on();
        Some(run)
    }

    /// Starts the agent and the traffic.
    fn go_on(&mut self) {
        self.start();
        self.traffic = Some(Paced::begin(&self.pair, &PORTS, Families::Both, &Refused::default()));
    }

    /// Stops the traffic, then the agent.
    fn rest(&mut self) {
        self.traffic.take().expect("there is traffic").end();
        self.node.stop();
    }

    fn start(&mut self) {
        self.wall.start(&mut self.node, &ARGUMENTS);
    }

    /// Waits for less than this time.
    fn pass(&mut self, milliseconds: u64) {
        std::thread::sleep(Duration::from_millis(self.dice.roll(milliseconds)));
    }

    /// Lets something happen to the agent.
    fn happen(&mut self) {
        let what = match self.dice.roll(16) {
            0 | 1 => {
                self.node.kill();
                self.pass(500);
                self.start();
                "kills"
            }
            2 | 3 => {
                self.node.stop();
                self.pass(500);
                self.start();
                "restarts"
            }
            4 => {
                let build = self.builds[usize::from(self.dice.roll(2) == 0)].clone();
                self.node.replace_program(&build);
                self.node.kill();
                self.start();
                "upgrades"
            }
            // Nothing is sent to these ports, so slots are drained, sealed, freed and reused.
            5..=7 => {
                let some: Vec<u16> = (10_000..10_032).filter(|_| self.dice.roll(2) == 0).collect();
                self.node.write_list(&some);
                "port changes"
            }
            8 => {
                self.node.signal(Signal::HUP);
                "reloads"
            }
            9 => {
                self.pair.host_ip(&["link", "set", WAN, "down"]);
                self.pass(300);
                self.pair.host_ip(&["link", "set", WAN, "up"]);
                "link flaps"
            }
            10 => {
                self.disk.fill();
                self.pass(12_000);
                if self.dice.roll(2) == 0 {
                    self.node.kill();
                    self.disk.free();
                    self.start();
                } else {
                    self.disk.free();
                }
                "full disks"
            }
            // A few seconds are a step for the agent. If the next event kills it, its successor waits until the clock has
            // passed the end of the last bucket again.
            11 => {
                let seconds = 5 + self.dice.roll(10);
                self.wall.set(i64::try_from(seconds).unwrap());
                self.pass(8_000);
                self.wall.set(0);
                "clock steps and steps back"
            }
            12 => {
                self.switch();
                "backend switches and switches back"
            }
            13 => {
                self.main_node.report(false);
                "gatherings"
            }
            // A second process reads and writes the same directory.
            _ => {
                let shown = self.node.command(&["show", "hours"]);
                assert!(matches!(shown.status.code(), Some(0 | 6)), "{}", String::from_utf8_lossy(&shown.stderr));
                let rolled = self.node.command(&["rollup"]);
                assert!(matches!(rolled.status.code(), Some(0 | 5 | 6)), "{}", String::from_utf8_lossy(&rolled.stderr));
                "second processes"
            }
        };
        *self.events.entry(what).or_default() += 1;
    }

    /// Another backend counts for a while. What passed during a switch would be a marked gap, so nothing passes then.
    fn switch(&mut self) {
        let backend = if self.dice.roll(2) == 0 { "nftables" } else { "iptables" };
        let arguments = [&ARGUMENTS[..], &["--backend", backend]].concat();
        self.rest();
        self.wall.start(&mut self.node, &arguments);
        let traffic = Paced::begin(&self.pair, &PORTS, Families::Both, &Refused::default());
        self.pass(5_000);
        traffic.end();
        self.node.stop();
        self.go_on();
    }

    /// Compares the log and the bills with the observer. No agent may run, and no traffic may pass.
    fn compare(&self, mail: bool) {
        compare_counts(&self.node, &self.observer);
        let rolled = self.node.command(&["rollup"]);
        assert!(matches!(rolled.status.code(), Some(0 | 6)), "{}", String::from_utf8_lossy(&rolled.stderr));
        let letters = self.main_node.letters();
        self.main_node.report(mail);
        let (difference, observed) = difference(&self.main_node.billed(), &self.observer.read());
        assert!(
            self.month != month() || difference == 0,
            "of {observed} bytes, {difference} are billed wrongly\n{}\n{}",
            String::from_utf8_lossy(&rolled.stdout),
            String::from_utf8_lossy(&rolled.stderr),
        );
        assert!(!mail || self.main_node.letters() > letters, "the admin received no letter");
    }
}

/// By how many bytes these totals and the observer differ, and how many the observer saw.
fn difference(totals: &BTreeMap<u16, BTreeMap<String, u64>>, observed: &Observed) -> (u64, u64) {
    let (mut difference, mut all) = (0, 0);
    for ((port, protocol, chain), (bytes, _)) in observed {
        let direction = if chain == "INPUT" { "in" } else { "out" };
        let name = format!("{protocol}_{direction}_bytes");
        let counted = totals.get(port).and_then(|numbers| numbers.get(&name)).copied().unwrap_or(0);
        difference += counted.abs_diff(*bytes);
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
