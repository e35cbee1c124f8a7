//! The machine that a kernel boots on: plain QEMU emulation, which needs neither KVM nor a network.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::apt::Apt;
use super::verdict;
use crate::packages;
use crate::process::{command, root, shown};

const PROGRAM: &str = "qemu-system-x86_64";
const PACKAGE: &str = "qemu-system-x86";
/// Version 7.2 in Debian 12 corrupts the memory of a 6.12 guest.
const OLDEST_MAJOR: u32 = 10;

/// Installs QEMU; on Debian from the backports if its own version is too old.
///
/// # Errors
/// When apt-get fails, or when the installed version is too old.
pub fn install() -> Result<()> {
    if is_new_enough() {
        return Ok(());
    }
    let release = fs::read_to_string("/etc/os-release").context("failed to read /etc/os-release")?;
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    if let Some(codename) = codename.filter(|_| release.lines().any(|line| line == "ID=debian")) {
        let backports = format!("{codename}-backports");
        eprintln!("installing {PROGRAM} from {backports}");
        let suites = [codename, &format!("{codename}-updates"), &format!("{codename}-security"), &backports];
        Apt::update(root().join("target/kernels/qemu"), &suites)?.install(PACKAGE, &backports)?;
    } else {
        packages::install(&[PACKAGE])?;
    }
    if !is_new_enough() {
        bail!("this system has no {PROGRAM} {OLDEST_MAJOR} or newer: install one yourself");
    }
    Ok(())
}

fn is_new_enough() -> bool {
    let version = command(PROGRAM, ["--version"]).output();
    let found = version.ok().and_then(|version| major(&String::from_utf8_lossy(&version.stdout)));
    found.is_some_and(|major| major >= OLDEST_MAJOR)
}

/// The major version in `QEMU emulator version 10.0.2 (Debian …)`.
fn major(version: &str) -> Option<u32> {
    let (_, number) = version.split_once("version ")?;
    number.split('.').next()?.parse().ok()
}

/// Boots `kernel` with `initramfs` and shows the progress. Stores the console output in `log`, and returns it when the
/// machine has shut down.
///
/// # Errors
/// When QEMU cannot be started, or when the machine prints nothing for the time `patience`. The log is kept.
pub fn boot(kernel: &Path, initramfs: &Path, log: &Path, patience: Duration) -> Result<String> {
    let mut machine = command(PROGRAM, ["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"]);
    machine.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"]);
    machine.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
    // `-no-reboot` makes a panic end the machine. Kernel messages less severe than errors would tear the tests' lines
    // apart.
    machine.args(["-append", "console=ttyS0 panic=-1 loglevel=4"]);
    let shown = shown(&machine);
    eprintln!("$ {shown}");
    let child = machine.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut machine = Machine(child.with_context(|| format!("failed to start `{shown}`"))?);
    let console = machine.0.stdout.take().expect("stdout is piped");
    let mut kept = File::create(log).with_context(|| format!("failed to create {}", log.display()))?;
    let lines = lines(console);
    let started_at = Instant::now();
    let mut said = String::new();
    loop {
        match lines.recv_timeout(patience) {
            Ok(line) => {
                kept.write_all(line.as_bytes())?;
                if verdict::is_progress(&line) {
                    eprint!("{:>6} s  {line}", started_at.elapsed().as_secs());
                }
                said.push_str(&line);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                bail!("no output for {} s; its console: {}", patience.as_secs(), log.display())
            }
        }
    }
    let status = machine.0.wait()?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(said)
}

/// A QEMU process, which is killed on drop.
struct Machine(Child);

impl Drop for Machine {
    fn drop(&mut self) {
        // Normally it has ended already, unless it hung.
        if let Ok(None) = self.0.try_wait()
            && let Err(error) = self.0.kill().and_then(|()| self.0.wait())
        {
            eprintln!("warning: failed to end {PROGRAM} {}: {error}", self.0.id());
        }
    }
}

/// The lines of `console` as they arrive. The channel is disconnected at the end.
fn lines(console: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut console = BufReader::new(console);
        let mut line = Vec::new();
        while console.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            line.clear();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests;
