//! The place where a case is played: a host and its peer, an agent, traffic, and an observer at the wire.

use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rustix::mount::{UnmountFlags, unmount};

use super::judge::{Outcome, judge};
use super::kind::Kind;
use super::{Interference, Setting, When};
use crate::agent::Node;
use crate::common::daemon::{in_netns, wait_until};
use crate::common::device::{ByFamily, DeviceObserver, End};
use crate::common::netns::{LAN, Pair, WAN, inside, run};
use crate::common::paced::{Families, Paced, Refused};
use crate::common::variant::Variant;
use crate::own_run::OwnRun;
use crate::soak::SmallDisk;

pub const PORTS: [u16; 2] = [443, 8388];

/// A case that is being played.
pub struct Scene {
    pub pair: Pair,
    pub kind: Kind,
    pub node: Node,
    pub variant: Variant,
    /// The agent's `/run`, if it has its own.
    own_run: Option<OwnRun>,
    /// The disk of the state directory, if it has its own.
    pub disk: Option<SmallDisk>,
    /// Programs of other people that are attached.
    pub strangers: Vec<OwnedFd>,
    /// When the interference that is judged began; a case may prepare it before that.
    begun_at: Option<DateTime<Utc>>,
}

impl Scene {
    /// Runs a command in the host, with words separated by spaces. It must succeed.
    pub fn host(&self, command: &str) -> String {
        let mut words = command.split_whitespace();
        let mut command = in_netns(&self.pair.host, words.next().unwrap());
        run(command.args(words))
    }

    /// Runs `iptables` and `ip6tables` of the variant that counts.
    pub fn iptables(&self, arguments: &str) {
        for program in ["iptables", "ip6tables"] {
            self.host(&format!("{program}-{} {arguments}", self.variant.name));
        }
    }

    /// The output of `iptables-save -c` and `ip6tables-save -c`.
    pub fn save(&self) -> [String; 2] {
        ["iptables", "ip6tables"].map(|program| self.host(&format!("{program}-{}-save -c", self.variant.name)))
    }

    /// Restores that, including counters. Rules that refer to ipsets which no longer exist are refused, as for anybody
    /// else.
    pub fn restore(&self, saved: &[String; 2]) {
        inside(&self.pair.host, || {
            for (program, rules) in ["iptables-restore", "ip6tables-restore"].into_iter().zip(saved) {
                self.variant.try_restore(program, &["-c"], rules);
            }
        });
    }

    /// The names of our chains in the IPv4 table that end like this.
    pub fn chains(&self, end: &str) -> Vec<String> {
        let saved = self.host(&format!("iptables-{}-save -t mangle", self.variant.name));
        let names = saved.lines().filter_map(|line| line.strip_prefix(':')?.split(' ').next());
        names.filter(|name| name.starts_with("flow-") && name.ends_with(end)).map(str::to_owned).collect()
    }

    /// Lets traffic pass for a while. The agent writes a checkpoint every second.
    pub fn pass(&self, time: Duration) {
        let until = Instant::now() + time;
        wait_until("traffic has passed", time + Duration::from_secs(30), || Instant::now() >= until);
    }

    /// What comes from now on is judged. Everything before prepared it, and counting has recovered from it.
    pub fn begin(&mut self) {
        self.begun_at = Some(Utc::now());
    }

    /// Waits until the agent has logged `what` this many times.
    pub fn wait_for_log(&self, what: &str, times: usize) {
        wait_until(what, Duration::from_secs(60), || self.node.log().matches(what).count() >= times);
    }

    /// Runs a shell script with the mounts of the agent.
    pub fn beside(&self, script: &str) -> String {
        run(&mut self.own_run.as_ref().expect("this setting has one").beside(&self.node, &["sh", "-c", script]))
    }

    fn start_agent(&mut self) {
        let wrapper = self.own_run.as_ref().map(OwnRun::wrapper).unwrap_or_default();
        self.node.start_under(&wrapper.iter().map(String::as_str).collect::<Vec<_>>(), self.kind.arguments());
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Several may be mounted over each other. If this fails, nothing more can be done in a destructor.
        while unmount(&self.pair.bpffs, UnmountFlags::DETACH).is_ok() {}
        // The node's directory cannot be removed while a disk is mounted in it.
        drop(self.disk.take());
    }
}

/// What passed the place where `kind` counts: what the observer at the wire saw and, for rules, what the host's own
/// firewall dropped between them and the wire.
fn passed(kind: Kind, observer: &DeviceObserver, refused: &Refused) -> (DateTime<Utc>, ByFamily) {
    let mut seen = observer.read_by_family();
    if !kind.is_ebpf() {
        for ((family, port), (bytes, packets)) in refused.read() {
            let sum = seen.entry((family, port, "udp".into(), "OUTPUT".into())).or_default();
            *sum = (sum.0 + bytes, sum.1 + packets);
        }
    }
    (Utc::now(), seen)
}

/// Plays a case and judges it; `None` if this host cannot play it.
pub fn play(row: Interference, kind: Kind, families: Families) -> Option<Outcome> {
    let (pair, variant) = (Pair::make()?, kind.variant()?);
    if kind == Kind::LegacyTree {
        // If no legacy table is in use yet, this makes ours `mangle`, too.
        inside(&pair.host, || ["iptables", "ip6tables"].map(|program| variant.iptables(program, "-t mangle -L")));
    }
    pair.know_each_other();
    let mut node = Node::new(&pair, &PORTS, "");
    node.use_programs(variant.path());
    // What is done to rules on the host could also affect an observer there, so for rules it is at the peer. eBPF is
    // observed at the same device: what its queue drops after that, for example while clsact is deleted, has passed
    // both.
    let is_here = kind.is_ebpf() && !row.removes_nft;
    let (netns, device, end) = if is_here { (&pair.host, WAN, End::Here) } else { (&pair.peer, LAN, End::Peer) };
    let observer = DeviceObserver::install(netns, device, end, &PORTS);
    let own_run = (row.setting == Setting::OwnRun).then(|| OwnRun::of(&pair));
    let disk = (row.setting == Setting::SmallDisk).then(|| SmallDisk::mount(node.state_dir()));
    let mut scene = Scene { pair, kind, node, variant, own_run, disk, strangers: Vec::new(), begun_at: None };
    scene.start_agent();
    let (stop, refused) = (AtomicBool::new(false), Refused::default());
    let seen = Mutex::new(vec![passed(kind, &observer, &refused)]);
    let traffic = Paced::begin(&scene.pair, &PORTS, families, &refused);
    let healed_within = std::thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let now = passed(kind, &observer, &refused);
                seen.lock().unwrap().push(now);
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        // A case that fails must also end the sampler.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(&mut scene, row)));
        stop.store(true, Ordering::Relaxed);
        sampler.join().unwrap();
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    traffic.end();
    // When the observer sees nothing more, everything has arrived.
    let mut last = observer.read_by_family();
    wait_until("all has arrived", Duration::from_secs(10), || {
        std::thread::sleep(Duration::from_millis(100));
        let now = observer.read_by_family();
        std::mem::replace(&mut last, now) == last
    });
    scene.node.stop_after_this_second();
    let mut seen = seen.into_inner().unwrap();
    seen.push(passed(kind, &observer, &refused));
    let begun_at = scene.begun_at.unwrap();
    Some(judge(&scene.node, &seen, (row.is_harmless)(kind), begun_at, healed_within))
}

/// Applies the interference, waits until the agent has noticed it, and lets traffic pass after that. Returns how long
/// it took until traffic was counted that passed after the interference.
fn act(scene: &mut Scene, row: Interference) -> Duration {
    scene.pass(Duration::from_millis(2_500));
    if row.when == When::Killed {
        scene.node.kill();
    }
    (row.work)(scene);
    if row.when == When::Killed {
        scene.pass(Duration::from_millis(500));
        scene.start_agent();
    }
    let ended_at = Utc::now();
    scene.begun_at.get_or_insert(ended_at);
    let begun = Instant::now();
    // An agent inspects every five seconds. If the newest reading is later than that and has changed, the counters
    // count.
    let mut first = None;
    wait_until("it counts again", Duration::from_secs(40), || {
        let Some(reading) = scene.node.newest_reading().filter(|(at, ..)| *at > ended_at + Duration::from_secs(1))
        else {
            return false;
        };
        let (at, epoch, bytes) = reading;
        let (_, first_epoch, first_bytes) = first.get_or_insert((at, epoch.clone(), bytes));
        if *first_epoch != epoch {
            first = Some((at, epoch, bytes));
            return false;
        }
        bytes > *first_bytes
    });
    let counted_after = begun.elapsed();
    let until_seen = Duration::from_secs(6).saturating_sub(begun.elapsed());
    scene.pass(until_seen + Duration::from_secs(2));
    counted_after
}

/// Runs a bash script in the host with mounts of its own, and returns what it prints.
pub fn script(scene: &Scene, text: &str) -> String {
    let mut command: Command = in_netns(&scene.pair.host, "unshare");
    command.args(["--mount", "--propagation", "private", "bash", "-euc", text]);
    run(&mut command)
}
