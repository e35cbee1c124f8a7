//! A running agent, and what the kernel reports about it.

use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::common::netns::Pair;
use crate::scratch::Scratch;

/// No start takes this long on a usable machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host on which an agent can run. Everything happens in the namespace of the calling thread, which must be the
/// host's.
pub struct Node<'a> {
    pair: &'a Pair,
    directory: Scratch,
    ports: u16,
}

/// A running agent that counts.
pub struct Running {
    child: Child,
    notified: UnixDatagram,
    /// The time from its start until it reported that it counts.
    pub ready_after: Duration,
}

/// CPU time, and bytes written to disk, in whole pages.
#[derive(Clone, Copy)]
pub struct Cost {
    pub cpu_secs: f64,
    pub written_bytes: f64,
}

impl Cost {
    pub fn plus(self, other: Self) -> Self {
        Self { cpu_secs: self.cpu_secs + other.cpu_secs, written_bytes: self.written_bytes + other.written_bytes }
    }

    pub fn times(self, factor: f64) -> Self {
        Self { cpu_secs: self.cpu_secs * factor, written_bytes: self.written_bytes * factor }
    }
}

/// The cost of the calling thread so far.
pub fn this_thread() -> Result<Cost> {
    // SAFETY: all zeros are a valid `timespec`, and the kernel writes only into ours.
    let time = unsafe {
        let mut time: libc::timespec = std::mem::zeroed();
        let failure = libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time);
        ensure!(failure == 0, "{}", io::Error::last_os_error());
        time
    };
    let io = fs::read_to_string("/proc/thread-self/io")?;
    Ok(Cost { cpu_secs: time.tv_sec as f64 + time.tv_nsec as f64 / 1e9, written_bytes: number(&io, "write_bytes:")? })
}

impl<'a> Node<'a> {
    pub fn new(pair: &'a Pair, ports: u16) -> Result<Self> {
        Self::with(pair, ports, "agent", "")
    }

    /// A node with its own name and additional configuration keys.
    pub fn with(pair: &'a Pair, ports: u16, name: &str, keys: &str) -> Result<Self> {
        let node = Self { pair, directory: Scratch::make(&format!("{name}-{ports}"))?, ports };
        let watch = format!(
            "node = \"bench\"\ntimezone = \"UTC\"\nstate_dir = {:?}\nbpffs = {:?}\n{keys}\n[ports]\nwatch = [\"1-{ports}\"]\n",
            node.state(),
            node.pair.bpffs
        );
        fs::write(node.config(), watch)?;
        Ok(node)
    }

    pub fn ports(&self) -> u16 {
        self.ports
    }

    pub fn state(&self) -> PathBuf {
        self.directory.0.join("state")
    }

    pub fn config(&self) -> PathBuf {
        self.directory.0.join("config.toml")
    }

    /// A command that runs the program with `arguments` and this node's configuration.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flow-agent"));
        command.args(arguments).arg("--config").arg(self.config()).stdout(Stdio::null());
        command
    }

    /// Starts the agent, and waits until it reports that it counts.
    pub fn run(&self, arguments: &[&str]) -> Result<Running> {
        // The socket of systemd's notification protocol. It is beside the bpffs, because paths of sockets must be
        // short.
        let socket = self.pair.bpffs.with_file_name("notify");
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let notified = UnixDatagram::bind(&socket)?;
        notified.set_read_timeout(Some(PATIENCE))?;
        let mut command = self.command(&["run"]);
        command.args(arguments).env("NOTIFY_SOCKET", &socket).stderr(Stdio::null());
        let begun_at = Instant::now();
        let child = command.spawn()?;
        let mut running = Running { child, notified, ready_after: Duration::ZERO };
        running.wait_for("READY=1")?;
        running.ready_after = begun_at.elapsed();
        Ok(running)
    }

    /// Removes everything from the kernel, and deletes the logs.
    pub fn forget(&self) -> Result<()> {
        if self.state().exists() {
            let status = self.command(&["uninstall"]).status()?;
            ensure!(status.success(), "uninstall failed: {status}");
            fs::remove_dir_all(self.state())?;
        }
        Ok(())
    }
}

impl Running {
    fn wait_for(&self, word: &str) -> Result<()> {
        let mut message = [0; 256];
        loop {
            let length = self.notified.recv(&mut message).with_context(|| format!("the agent never said {word}"))?;
            if message[..length].split(|byte| *byte == b'\n').any(|line| line == word.as_bytes()) {
                return Ok(());
            }
        }
    }

    /// Stops the agent, which writes a last bucket first.
    pub fn leave(mut self) -> Result<()> {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the agent left with {status}");
        Ok(())
    }

    /// What the agent has used since its start.
    pub fn used(&self) -> Result<Cost> {
        Ok(Cost { cpu_secs: self.cpu_secs()?, written_bytes: number(&self.file("io")?, "write_bytes:")? })
    }

    /// The CPU time of all its threads, including those that have ended.
    fn cpu_secs(&self) -> Result<f64> {
        let pid = libc::pid_t::try_from(self.child.id())?;
        // SAFETY: all zeros are valid values of these types, and the kernel writes only into ours.
        let time = unsafe {
            let (mut clock, mut time): (libc::clockid_t, libc::timespec) = (0, std::mem::zeroed());
            let failure = libc::clock_getcpuclockid(pid, &mut clock);
            ensure!(failure == 0, "{}", io::Error::from_raw_os_error(failure));
            ensure!(libc::clock_gettime(clock, &mut time) == 0, "{}", io::Error::last_os_error());
            time
        };
        Ok(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
    }

    /// The resident memory now and at its peak, in MiB.
    pub fn resident_mib(&self) -> Result<(f64, f64)> {
        let status = self.file("status")?;
        Ok((number(&status, "VmRSS:")? / 1024.0, number(&status, "VmHWM:")? / 1024.0))
    }

    fn file(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(format!("/proc/{}/{name}", self.child.id()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // An agent that was stopped or has failed is gone already. For any other, a destructor can do nothing more.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn number(text: &str, key: &str) -> Result<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    match line.and_then(|line| line.split_whitespace().next()) {
        Some(number) => Ok(number.parse()?),
        None => bail!("no {key} in {text:?}"),
    }
}
