//! The agent on each node, and the report on the main node.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::mount::{UnmountFlags, unmount};

use super::hosts::{Host, Hosts};
use crate::common::daemon::{Daemon, in_netns, wait_until};
use crate::common::smtpd::Smtpd;
use crate::common::sshd::Sshd;
use crate::process::run as run_command;

/// An agent that counts on a node.
pub struct NodeAgent {
    program: PathBuf,
    config: PathBuf,
    netns: String,
    state_dir: PathBuf,
    bpffs: PathBuf,
    daemon: Option<Daemon>,
}

impl NodeAgent {
    /// Writes the agent's configuration and starts it. Returns once it is counting.
    pub fn start(program: &Path, host: &Host, dir: &Path, ports: &[u16]) -> Result<Self> {
        let (state_dir, bpffs, config) = (dir.join("state"), dir.join("bpf"), dir.join("config.toml"));
        fs::create_dir_all(&bpffs)?;
        fs::write(
            &config,
            format!(
                "node = {:?}\nstate_dir = {state_dir:?}\nbpffs = {bpffs:?}\n\n\
                 [count]\nbackend = \"ebpf\"\nbucket = \"5s\"\ncheckpoint = \"1s\"\n\n[ports]\nwatch = {ports:?}\n",
                host.name
            ),
        )?;
        let log = fs::File::create(dir.join("agent.log"))?;
        let mut command = in_netns(&host.netns, program);
        command.args(["run", "--config"]).arg(&config).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut agent = Self {
            program: program.to_owned(),
            config,
            netns: host.netns.clone(),
            state_dir,
            bpffs,
            daemon: Some(Daemon::start(&mut command)?),
        };
        let log = dir.join("agent.log");
        wait_until("the agent counts", Duration::from_secs(20), || {
            let ended = agent.daemon.as_mut().is_none_or(Daemon::has_ended);
            let said = fs::read_to_string(&log).unwrap_or_default();
            assert!(!ended, "the agent ended:\n{said}");
            said.contains("counting")
        });
        Ok(agent)
    }

    /// Whether the agent has written a bucket.
    pub fn has_sealed(&self) -> bool {
        fs::read_dir(self.state_dir.join("hourly")).is_ok_and(|mut entries| entries.next().is_some())
    }

    /// Stops the agent, and removes its programs from the kernel.
    pub fn stop(mut self) -> Result<()> {
        let daemon = self.daemon.take().expect("an agent is stopped once");
        let code = daemon.terminate()?;
        ensure!(code == Some(0), "the agent on {} ended with {code:?}, not 0", self.netns);
        run_command(in_netns(&self.netns, &self.program).args(["uninstall", "--config"]).arg(&self.config))
    }
}

impl Drop for NodeAgent {
    fn drop(&mut self) {
        // The agent is dropped first, because it holds the mount. ENOENT or EINVAL means that it never mounted
        // anything.
        drop(self.daemon.take());
        let _ = unmount(&self.bpffs, UnmountFlags::DETACH);
    }
}

/// The main node, with its configuration.
pub struct MainNode {
    program: PathBuf,
    netns: String,
    config: PathBuf,
    state_dir: PathBuf,
}

impl MainNode {
    /// Writes the configuration: nodes with their keys, users with their addresses, and the mail server.
    pub fn configure(
        program: &Path,
        hosts: &Hosts,
        dir: &Path,
        names: &[&str],
        sshds: &[Sshd],
        smtpd: &Smtpd,
    ) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let (state_dir, config, known_hosts) = (dir.join("state"), dir.join("config.toml"), dir.join("known_hosts"));
        let mut text = format!("node = \"main\"\nstate_dir = {state_dir:?}\n");
        let mut keys = String::new();
        for port in [443, 4433, 8388] {
            write!(
                text,
                "\n[[users]]\nname = \"acct-{port}\"\nports = [{port}]\nemail = \"acct-{port}@example.com\"\nquota = \"1 GiB\"\n"
            )?;
        }
        for (name, sshd) in names.iter().zip(sshds) {
            let host = hosts.node(name);
            let node_state = dir.with_file_name(name).join("state");
            write!(
                text,
                "\n[[nodes]]\nname = {name:?}\nhost = \"{}\"\nuser = \"root\"\nport = {}\nidentity_file = {:?}\nstate_dir = {node_state:?}\n",
                host.address, sshd.port, sshd.identity_file
            )?;
            keys += &sshd.known_hosts_line(&host.address.to_string());
        }
        write!(
            text,
            "\n[report]\nknown_hosts = {known_hosts:?}\n\n[mail]\nserver = \"smtp+insecure://127.0.0.1:{}\"\n\
             from = \"Flow Agent <report@example.com>\"\nadmins = [\"ops@example.com\"]\n",
            smtpd.port
        )?;
        fs::write(&known_hosts, keys)?;
        fs::write(&config, text).with_context(|| format!("failed to write {}", config.display()))?;
        Ok(Self { program: program.to_owned(), netns: hosts.main.clone(), config, state_dir })
    }

    /// Gathers and mails the present month. Exit code 6 (incomplete) is expected, because the month is not over and the
    /// agents have only just started.
    pub fn report(&self) -> Result<()> {
        let mut command = in_netns(&self.netns, &self.program);
        command.args(["report", "--month", "this", "--config"]).arg(&self.config);
        let code = command.status()?.code();
        ensure!(matches!(code, Some(0 | 6)), "`flow-agent report` ended with {code:?}, not 0 or 6");
        Ok(())
    }

    /// Prints the table of months.
    pub fn show_months(&self) -> Result<()> {
        run_command(in_netns(&self.netns, &self.program).args(["show", "months", "--config"]).arg(&self.config))
    }

    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }
}
