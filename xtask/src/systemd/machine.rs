//! A machine with its own systemd: systemd-nspawn boots a root file system in an existing network namespace.
//!
//! It differs from a real machine in two respects: its kernel is the host's, and bpffs is mounted by `boot.sh`, because
//! systemd does not mount it in a container.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::process::{command, shown};

/// A boot takes three seconds, but longer on a busy host.
const PATIENCE: Duration = Duration::from_secs(180);

const BOOT: &str = include_str!("boot.sh");

/// A running machine. It is powered off on drop.
pub struct Machine {
    pub root: PathBuf,
    boot: Child,
    /// Process 1 of the machine, by its id on the host.
    init: Pid,
}

impl Machine {
    /// Boots `root` in the network namespace `netns`, and waits until it is up. Its console log is kept beside `root`.
    ///
    /// # Errors
    /// When it does not come up in time.
    pub fn boot(root: &Path, netns: &str, with_bpffs: bool) -> Result<Self> {
        let name = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (log, bpffs) = (root.with_extension("console"), root.with_extension("bpffs"));
        let console = File::create(&log).with_context(|| format!("failed to create {}", log.display()))?;
        let mut unshare = command("unshare", ["--mount", "sh", "-c", BOOT, "boot"]);
        unshare.arg(root).arg(netns).arg(if with_bpffs { bpffs.as_path() } else { Path::new("") });
        unshare.arg(format!("fa-{}-{name}", std::process::id()));
        unshare.stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console);
        let mut boot = unshare.spawn().context("failed to start `unshare`")?;
        let deadline = Instant::now() + PATIENCE;
        let init = loop {
            if let Some(init) = init_of(&boot)
                && is_up(init)
            {
                break init;
            }
            let ended = boot.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                stop(&mut boot);
                bail!("{name} did not come up: see {}", log.display());
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        Ok(Self { root: root.to_owned(), boot, init })
    }

    /// Runs a program in the machine. Returns its exit status and its output.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn attempt(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = inside(self.init, arguments);
        command.output().with_context(|| format!("failed to start `{}`", shown(&command)))
    }

    /// Runs a program that must succeed, and returns its standard output.
    ///
    /// # Errors
    /// When it fails; the error contains its output.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.attempt(arguments)?;
        let [said, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        ensure!(output.status.success(), "`{}` failed: {}\n{said}{errors}", arguments.join(" "), output.status);
        Ok(said)
    }

    /// A property of a unit.
    ///
    /// # Errors
    /// When systemctl fails.
    pub fn property(&self, unit: &str, property: &str) -> Result<String> {
        Ok(self.run(&["systemctl", "show", unit, "--property", property, "--value"])?.trim().to_owned())
    }

    /// Waits until `unit` is in `state`.
    ///
    /// # Errors
    /// When that does not happen in time; the error contains the end of its journal.
    pub fn wait_for(&self, unit: &str, state: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.property(unit, "ActiveState")? != state {
            if Instant::now() > deadline {
                bail!("{unit} did not become {state}:\n{}", self.journal(unit)?);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// The last lines of a unit's journal.
    ///
    /// # Errors
    /// When journalctl fails.
    pub fn journal(&self, unit: &str) -> Result<String> {
        self.run(&["journalctl", "--no-pager", "--output=cat", "--lines=40", "--unit", unit])
    }

    /// Shuts the machine down like `systemctl poweroff`, and waits until it has ended.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn power_off(&mut self) -> Result<()> {
        self.run(&["systemctl", "poweroff", "--no-block"])?;
        let deadline = Instant::now() + PATIENCE;
        while self.boot.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "{} does not shut down", self.root.display());
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Powers the machine off, runs `meanwhile`, and boots it again with a new bpffs.
    ///
    /// # Errors
    /// When it does not shut down, or does not come up.
    pub fn reboot(&mut self, netns: &str, meanwhile: impl FnOnce() -> Result<()>) -> Result<()> {
        self.power_off()?;
        meanwhile()?;
        *self = Self::boot(&self.root, netns, true)?;
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        stop(&mut self.boot);
    }
}

/// Makes `boot.sh` power the machine off. Kills the machine if that takes too long.
fn stop(boot: &mut Child) {
    if !matches!(boot.try_wait(), Ok(None)) {
        return;
    }
    let init = init_of(boot);
    let asked = kill_process(Pid::from_child(boot), Signal::TERM);
    let deadline = Instant::now() + Duration::from_secs(60);
    while matches!(boot.try_wait(), Ok(None)) {
        if asked.is_err() || Instant::now() > deadline {
            eprintln!("warning: a machine did not shut down and was killed");
            let killed = init.map(|init| kill_process(init, Signal::KILL));
            if let Some(Err(error)) = killed {
                eprintln!("warning: {error}");
            }
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Finds process 1: boot.sh is the parent of systemd-nspawn, which is the parent of process 1.
fn init_of(boot: &Child) -> Option<Pid> {
    let children = |pid: &str| fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok();
    let nspawn = children(&boot.id().to_string())?;
    let of_nspawn = children(nspawn.split_whitespace().next_back()?)?;
    let init = of_nspawn.split_whitespace().next()?.parse().ok()?;
    Pid::from_raw(init)
}

fn is_up(init: Pid) -> bool {
    let asked = inside(init, &["systemctl", "is-system-running"]).output();
    // `degraded` counts as up, because irrelevant units may fail in a container.
    asked.is_ok_and(|output| matches!(output.stdout.trim_ascii(), b"running" | b"degraded"))
}

fn inside(init: Pid, arguments: &[&str]) -> Command {
    let target = init.as_raw_nonzero().to_string();
    let mut nsenter =
        command("nsenter", ["--target", &target, "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]);
    nsenter.args(["--root", "--wd", "--", "env", "-i", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]);
    nsenter.arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").args(arguments);
    nsenter.stdin(Stdio::null());
    nsenter
}
