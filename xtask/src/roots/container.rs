//! A root file system with network, mount and process namespaces of its own, and bpffs. It is entered by chroot.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::process::command;

const SETUP: &str = include_str!("container.sh");

/// All its processes and mounts end with it.
pub struct Container {
    /// `unshare`; its child is the container's first process.
    first: Child,
    /// The first process, by its id outside.
    pid: String,
}

impl Container {
    /// Opens `root` in the network namespace `netns`.
    ///
    /// # Errors
    /// When something cannot be mounted, as without root, or the root has no programs.
    pub fn open(root: &Path, netns: &str) -> Result<Self> {
        let mut unshare = command("nsenter", [format!("--net=/run/netns/{netns}")]);
        unshare.args(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", SETUP, "container"]);
        let mut first = unshare.arg(root).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let answers = first.stdout.take().context("stdout is piped")?;
        let mut container = Self { first, pid: String::new() };
        container.first.stdin.as_ref().context("stdin is piped")?.write_all(b"ready?\n")?;
        let mut answer = String::new();
        BufReader::new(answers).read_line(&mut answer)?;
        ensure!(answer == "ready?\n", "{} could not be entered", root.display());
        let id = container.first.id();
        container.pid = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?.trim().to_owned();
        Ok(container)
    }

    /// `script`, to be run by the root's own shell.
    pub fn shell(&self, script: &str) -> Command {
        let mut nsenter = command("nsenter", ["--target", &self.pid, "--mount", "--net", "--pid", "--root", "--wd"]);
        nsenter.args(["--", "env", "-i", "LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-ec", script]);
        nsenter.stdin(Stdio::null());
        nsenter
    }

    /// Runs `script`, which must succeed; what it prints.
    ///
    /// # Errors
    /// When it does not; with what it said.
    pub fn run(&self, script: &str) -> Result<String> {
        let output = self.shell(script).output().context("failed to start `nsenter`")?;
        let [said, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
        ensure!(output.status.success(), "`{script}` failed: {}\n{said}{errors}", output.status);
        Ok(said)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It takes its child along, and the kernel whatever else runs there.
        if let Err(error) = self.first.kill().and_then(|()| self.first.wait()) {
            eprintln!("warning: a container was not ended: {error}");
        }
    }
}
