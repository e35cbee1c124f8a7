//! The life of a node under systemd, step by step, under constant traffic. After each step the logged bytes are
//! compared with the observer's, and gathered.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::deb::Deb;
use super::machine::Machine;
use super::network::Network;
use super::node::{self, AGENT, REPORT};
use super::observer::{self, Bytes, difference};
use super::release::Release;
use super::rootfs;
use super::table::{self, StepRow};
use super::traffic::Traffic;
use crate::common::daemon::wait_until;

/// The ports with traffic: one from the README's `watch`, and two from the port file, of which one is added later.
const UDP_PORT: u16 = 443;
const PORT: u16 = 8388;
const ADDED_PORT: u16 = 9000;

/// The highest exposure that `systemd-analyze security` may report for each unit.
const EXPOSURE: [(&str, f64); 2] = [(AGENT, 2.1), (REPORT, 1.5)];

/// How long traffic runs before and after the action of a step.
const AROUND: Duration = Duration::from_secs(1);
/// The time within which a bucket of five seconds is closed, even on a busy host.
const PATIENCE: Duration = Duration::from_secs(60);

struct Story {
    node: Machine,
    main: Machine,
    // This comes after the machines that use it, because fields are dropped in order of declaration.
    network: Network,
    /// The ports that the node's customers use.
    ports: Vec<u16>,
    rows: Vec<StepRow>,
}

/// Runs all steps and returns the tables to print.
///
/// # Errors
/// When a step fails, the byte counts differ, or a unit is more exposed than permitted.
pub fn run(release: &Release, base: &Path, directory: &Path, deb: &Deb) -> Result<String> {
    let upgraded = deb.upgraded(directory)?;
    let mut story = Story::begin(base, directory, deb)?;
    story.steps(&upgraded)?;
    let exposures = story.exposures()?;
    story.removal()?;
    Ok(format!("{}{exposures}", table::table(release.number, &story.rows)))
}

impl Story {
    fn begin(base: &Path, directory: &Path, deb: &Deb) -> Result<Self> {
        let [node, main]: [PathBuf; 2] = ["node", "main"].map(|name| directory.join(name));
        rootfs::copy(base, &node)?;
        rootfs::copy(base, &main)?;
        let network = Network::make()?;
        observer::install(&network.peer, &[UDP_PORT, PORT, ADDED_PORT])?;
        let node = Machine::boot(&node, &network.node, true)?;
        let main = Machine::boot(&main, &network.peer, true)?;
        node::install(&node, deb)?;
        node::install(&main, deb)?;
        node::configure(&node, "auto")?;
        node::write_mudb(&node, &[PORT])?;
        Ok(Self { network, node, main, ports: vec![PORT], rows: Vec::new() })
    }

    fn steps(&mut self, upgraded: &Deb) -> Result<()> {
        self.node.run(&["systemctl", "enable", "--now", AGENT])?;
        node::enroll(&self.node, &self.main)?;
        self.step("enable, and enroll the main node", |_| Ok(()))?;
        self.step("restart", |story| story.restart())?;
        self.step("upgrade to a higher version", |story| {
            let before = story.main_pid()?;
            node::install(&story.node, upgraded)?;
            ensure!(story.main_pid()? != before, "the upgrade did not restart {AGENT}");
            Ok(())
        })?;
        self.step("kill -9", |story| {
            let before = story.main_pid()?;
            story.node.run(&["systemctl", "kill", "--signal=KILL", AGENT])?;
            wait_until("the agent was restarted", PATIENCE, || {
                story.main_pid().is_ok_and(|pid| pid != "0" && pid != before)
            });
            story.node.wait_for(AGENT, "active")
        })?;
        self.step("reload, with a broken configuration, too", |story| story.reload())?;
        self.add_port()?;
        self.step("add a port to mudb.json", |_| Ok(()))?;
        self.step("a start that fails because of the configuration", |story| story.failed_start())?;
        for (step, backend) in [
            ("switch to iptables (nft)", Some("nft")),
            ("switch to iptables (legacy)", Some("legacy")),
            ("switch back to eBPF", None),
        ] {
            // A switch is a gap in the log by design: traffic in between may be missed, and the log says so. So there
            // is none.
            self.switch(backend)?;
            self.step(step, |_| Ok(()))?;
        }
        self.reboot()?;
        self.step("reboot", |_| Ok(()))?;
        Ok(())
    }

    /// Runs `action` during traffic. Afterwards the logged bytes must equal the observed ones, and are gathered.
    fn step(&mut self, step: &'static str, action: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        eprintln!("== {step}");
        let began_at = Instant::now();
        let traffic = Traffic::start(&self.network, &self.ports, UDP_PORT)?;
        thread::sleep(AROUND);
        action(self).with_context(|| format!("{step}:\n{}", self.node.journal(AGENT).unwrap_or_default()))?;
        thread::sleep(AROUND);
        traffic.stop()?;
        self.compare(step, began_at).with_context(|| step)
    }

    fn compare(&mut self, step: &'static str, began_at: Instant) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let (observed, logged) = loop {
            let observed = observer::read(&self.network.peer)?;
            let logged = node::logged(&self.node)?;
            if difference(&observed, &logged) == 0 || Instant::now() > deadline {
                break (observed, logged);
            }
            thread::sleep(Duration::from_millis(200));
        };
        // The day is not over, so it has to be rolled up explicitly. Exit code 6 says that it is incomplete.
        let rolled_up = self.node.attempt(&["flow-agent", "rollup"])?;
        ensure!(matches!(rolled_up.status.code(), Some(0 | 6)), "{}", String::from_utf8_lossy(&rolled_up.stderr));
        let gathered = node::gather(&self.main)?;
        self.rows.push(StepRow {
            step,
            took: began_at.elapsed(),
            observed_bytes: sum(&observed),
            logged_bytes: sum(&logged),
            difference_bytes: difference(&observed, &logged),
            gathered_bytes: sum(&gathered),
        });
        eprint!("{}", table::table("so far", &self.rows));
        let journal = || self.node.journal(AGENT).unwrap_or_default();
        ensure!(difference(&observed, &logged) == 0, "observed {observed:?}, logged {logged:?}\n{}", journal());
        ensure!(difference(&logged, &gathered) == 0, "logged {logged:?}, gathered {gathered:?}");
        Ok(())
    }

    fn main_pid(&self) -> Result<String> {
        self.node.property(AGENT, "MainPID")
    }

    fn restart(&self) -> Result<()> {
        self.node.run(&["systemctl", "restart", AGENT]).map(drop)
    }

    fn reload(&self) -> Result<()> {
        let before = self.main_pid()?;
        node::break_configuration(&self.node)?;
        let reloaded = self.node.attempt(&["systemctl", "reload", AGENT])?;
        ensure!(!reloaded.status.success(), "a reload with a broken configuration succeeded");
        node::configure(&self.node, "auto")?;
        self.node.run(&["systemctl", "reload", AGENT])?;
        ensure!(self.main_pid()? == before, "the reload restarted {AGENT}");
        self.node.wait_for(AGENT, "active")
    }

    fn failed_start(&self) -> Result<()> {
        node::break_configuration(&self.node)?;
        let restarted = self.node.attempt(&["systemctl", "restart", AGENT])?;
        ensure!(!restarted.status.success(), "a start with a broken configuration succeeded");
        ensure!(self.node.property(AGENT, "ActiveState")? == "failed", "{AGENT} is not failed");
        node::configure(&self.node, "auto")?;
        self.node.run(&["systemctl", "start", AGENT]).map(drop)
    }

    /// Adds a port to the port file, which the agent notices by itself.
    fn add_port(&mut self) -> Result<()> {
        node::write_mudb(&self.node, &[PORT, ADDED_PORT])?;
        self.ports.push(ADDED_PORT);
        wait_until("the new port is counted", PATIENCE, || {
            self.node.journal(AGENT).is_ok_and(|journal| journal.contains("ports: +"))
        });
        Ok(())
    }

    /// Switches to the `nft` or `legacy` variant of iptables, or to eBPF with `None`.
    fn switch(&self, iptables: Option<&str>) -> Result<()> {
        if let Some(variant) = iptables {
            for tool in ["iptables", "ip6tables"] {
                self.node.run(&["update-alternatives", "--set", tool, &format!("/usr/sbin/{tool}-{variant}")])?;
            }
        }
        node::configure(&self.node, if iptables.is_some() { "iptables" } else { "ebpf" })?;
        self.restart()?;
        let found = node::in_kernel(&self.node, &self.network.node)?;
        let has = |what: &str| found.iter().any(|line| line.contains(what));
        ensure!(has("-A INPUT") == iptables.is_some() && has("/CELLS") != iptables.is_some(), "{found:#?}");
        Ok(())
    }

    /// Reboots the node. As after a real reboot, its network namespace and bpffs are new.
    fn reboot(&mut self) -> Result<()> {
        node::configure(&self.node, "auto")?;
        self.node.reboot(&self.network.node, || self.network.renew())?;
        self.node.wait_for(AGENT, "active")
    }

    fn exposures(&self) -> Result<String> {
        let mut said = String::new();
        for (unit, most) in EXPOSURE {
            let analysed = self.node.run(&["systemd-analyze", "security", "--no-pager", unit])?;
            let exposure = table::exposure(&analysed).with_context(|| format!("no exposure in:\n{analysed}"))?;
            said += &format!("exposure of {unit}: {exposure:.1} (at most {most:.1})\n");
            ensure!(exposure <= most, "{unit} is exposed by {exposure}, more than {most}:\n{analysed}");
        }
        Ok(said)
    }

    /// Removes and purges the package. After each, the kernel must be clean and the logs must still be there.
    fn removal(&mut self) -> Result<()> {
        let state = self.node.root.join("var/lib/flow-agent");
        let before = node::in_kernel(&self.node, &self.network.node)?;
        ensure!(!before.is_empty(), "nothing of ours is in the kernel while it counts");
        for (verb, step) in [("remove", "apt remove"), ("purge", "apt purge")] {
            self.node.run(&["apt-get", verb, "--yes", "flow-agent"])?;
            let left = node::in_kernel(&self.node, &self.network.node)?;
            ensure!(left.is_empty(), "after `{step}` the kernel has: {left:#?}");
            let (observed, logged) = (observer::read(&self.network.peer)?, node::logged(&self.node)?);
            ensure!(difference(&observed, &logged) == 0, "after `{step}`: observed {observed:?}, logged {logged:?}");
            let gathered = node::gather(&self.main).with_context(|| step)?;
            ensure!(difference(&logged, &gathered) == 0, "after `{step}`: logged {logged:?}, gathered {gathered:?}");
            ensure!(!node::is_empty(&state.join("daily")), "`{step}` took the daily logs");
            self.rows.push(StepRow {
                step,
                took: Duration::ZERO,
                observed_bytes: sum(&observed),
                logged_bytes: sum(&logged),
                difference_bytes: difference(&observed, &logged),
                gathered_bytes: sum(&gathered),
            });
        }
        Ok(())
    }
}

fn sum(bytes: &Bytes) -> u64 {
    bytes.values().sum()
}
