//! The real program in a host: starts it, waits for it, stops it, and reads what it wrote.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use flow_agent::answer::default_socket;
use serde_json::Value;

use crate::common::daemon::{Daemon, in_netns, wait_until};
use crate::common::netns::Pair;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_flow-agent");

/// A node: its directory, its configuration, and the agent that runs there, if any.
pub struct Node {
    agent: Option<Daemon>,
    /// The arguments after `run` with which it was started.
    arguments: Vec<String>,
    netns: String,
    bpffs: PathBuf,
    program: PathBuf,
    dir: tempfile::TempDir,
    config: PathBuf,
    /// The directory in which the agent looks for programs first.
    programs: Option<OsString>,
}

impl Drop for Node {
    /// Removes the socket that a killed agent left in the host's `/run`.
    fn drop(&mut self) {
        drop(self.agent.take());
        if let Ok(instance) = fs::read_to_string(self.state_dir().join("instance")) {
            // Most agents have removed theirs.
            let _ = fs::remove_file(default_socket(instance.trim()));
        }
    }
}

impl Node {
    /// The socket of this node's agent.
    pub fn socket(&self) -> PathBuf {
        default_socket(fs::read_to_string(self.state_dir().join("instance")).unwrap().trim())
    }

    /// A node in the pair's host that watches `ports`. `extra` is appended to its configuration.
    pub fn new(pair: &Pair, ports: &[u16], extra: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("flow-agent-node").tempdir().unwrap();
        let config = dir.path().join("config.toml");
        let (netns, bpffs, program) = (pair.host.clone(), pair.bpffs.clone(), PROGRAM.into());
        let node = Self { netns, bpffs, program, dir, config, agent: None, arguments: Vec::new(), programs: None };
        let mut text = format!("node = \"node\"\ntimezone = \"UTC\"\nstate_dir = {:?}\n", node.state_dir());
        write!(text, "bpffs = {:?}\n\n[count]\nbucket = \"1h\"\n\n[ports]\nwatch = {ports:?}\n{extra}", pair.bpffs)
            .unwrap();
        fs::write(&node.config, text).unwrap();
        node
    }

    /// Makes the agent find the programs in `directory` before all others.
    pub fn use_programs(&mut self, directory: OsString) {
        let path = std::env::var_os("PATH").unwrap();
        self.programs = Some([directory, path].join(OsStr::new(":")));
    }

    /// Replaces the program. The next agent runs the new one.
    pub fn replace_program(&mut self, program: &Path) {
        program.clone_into(&mut self.program);
    }

    /// The directory of this node's pins.
    pub fn pins(&self) -> PathBuf {
        let instance = fs::read_to_string(self.state_dir().join("instance")).unwrap();
        self.bpffs.join("flow-agent").join(instance.trim())
    }

    /// `tc` in this node.
    pub fn tc(&self) -> Command {
        in_netns(&self.netns, "tc")
    }

    /// Appends to the configuration: keys of `[ports]`, then tables.
    pub fn append_config(&self, text: &str) {
        let config = fs::read_to_string(&self.config).unwrap();
        fs::write(&self.config, config + text).unwrap();
    }

    /// Replaces part of the configuration.
    pub fn replace_config(&self, from: &str, to: &str) {
        let config = fs::read_to_string(&self.config).unwrap();
        assert!(config.contains(from), "{config}");
        fs::write(&self.config, config.replace(from, to)).unwrap();
    }

    /// Replaces `ports.list` by a new one.
    pub fn write_list(&self, ports: &[u16]) {
        let lines: String = ports.iter().map(|port| format!("{port} user-{port}\n")).collect();
        // An empty file counts as one that is being written, so an intentionally empty list needs a comment.
        fs::write(self.path("ports.new"), format!("# ports\n{lines}")).unwrap();
        fs::rename(self.path("ports.new"), self.path("ports.list")).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn state_dir(&self) -> PathBuf {
        self.path("state")
    }

    /// Runs the program with `arguments` and this node's configuration to its end.
    pub fn command(&self, arguments: &[&str]) -> Output {
        self.command_under(&[], arguments)
    }

    /// Like `command`, but run by the program and arguments in `wrapper`.
    pub fn command_under(&self, wrapper: &[&str], arguments: &[&str]) -> Output {
        self.invocation(wrapper, arguments).output().unwrap()
    }

    /// Starts the agent with `arguments` after `run`, and waits until it counts.
    pub fn start(&mut self, arguments: &[&str]) {
        self.start_under(&[], arguments);
    }

    /// Like `start`, but run by the program and arguments in `wrapper`, which must replace itself with the agent.
    pub fn start_under(&mut self, wrapper: &[&str], arguments: &[&str]) {
        assert!(self.agent.is_none(), "one agent a node");
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let log = self.path("agent.log");
        let file = fs::File::create(&log).unwrap();
        let mut command = self.invocation(wrapper, &[&["run"], arguments].concat());
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let mut agent = Daemon::start(&mut command).unwrap();
        wait_until("the agent counts", Duration::from_secs(60), || {
            assert!(!agent.has_ended(), "the agent ended:\n{}", fs::read_to_string(&log).unwrap());
            fs::read_to_string(&log).unwrap().contains(": counting ")
        });
        self.agent = Some(agent);
    }

    fn invocation(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let words: Vec<&str> = wrapper.iter().copied().chain(self.program.to_str()).collect();
        let mut command = in_netns(&self.netns, words[0]);
        command.envs(self.programs.iter().map(|path| ("PATH", path)));
        command.args(&words[1..]).args(arguments).arg("--config").arg(&self.config).stdin(Stdio::null());
        command
    }

    /// Asks the agent to stop, and waits until it has.
    ///
    /// It stops within two seconds. If iptables takes longer than that on this machine, the next agent writes the last
    /// bucket.
    pub fn stop(&mut self) {
        let code = self.agent.take().expect("an agent runs").terminate().unwrap();
        if code == Some(4) && self.log().contains("asked to stop while a program or a disk kept it busy") {
            let arguments = self.arguments.iter().map(String::as_str);
            let output = self.command(&["run", "--once"].into_iter().chain(arguments).collect::<Vec<_>>());
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            return;
        }
        assert_eq!(code, Some(0), "{}", self.log());
    }

    /// Like `stop`, but waits for the end of this second. Buckets have whole seconds, so what happens in a part of a
    /// second belongs to the next bucket.
    pub fn stop_after_this_second(&mut self) {
        let now = chrono::Utc::now().timestamp();
        wait_until("the second is over", Duration::from_secs(5), || chrono::Utc::now().timestamp() > now);
        self.stop();
    }

    /// Waits until the running agent has written this many buckets.
    pub fn wait_for_buckets(&self, count: usize) {
        let written = || self.log().lines().filter(|line| line.contains(" in  ") && line.contains(" out  ")).count();
        wait_until("buckets are written", Duration::from_secs(30), || written() >= count);
    }

    /// Waits until one of the eight numbers of a port has this value in a checkpoint or in the log: at a full hour a
    /// bucket may hold it, and then no checkpoint needs to.
    pub fn wait_for_checkpoint(&self, port: u16, number: u64) {
        let says = |numbers: &Value| numbers.as_array().is_some_and(|numbers| numbers.contains(&number.into()));
        wait_until("a checkpoint knows it", Duration::from_secs(30), || {
            let text = fs::read_to_string(self.state_dir().join("checkpoint.json")).unwrap_or_default();
            let checkpoint: Value = serde_json::from_str(&text).unwrap_or_default();
            says(&checkpoint["totals"][port.to_string()])
                || self.hourly().iter().any(|line| line["port"] == port && says(&line["total"]))
        });
    }

    /// The newest checkpoint: its time, its epoch, and the bytes of all ports in it.
    pub fn newest_reading(&self) -> Option<(chrono::DateTime<chrono::Utc>, String, u64)> {
        let text = fs::read_to_string(self.state_dir().join("checkpoint.json")).ok()?;
        let checkpoint: Value = serde_json::from_str(&text).ok()?;
        let at = chrono::DateTime::parse_from_rfc3339(checkpoint["at"].as_str()?).ok()?.to_utc();
        let totals = checkpoint["totals"].as_object()?.values().filter_map(Value::as_array);
        let bytes = totals.flat_map(|numbers| numbers.iter().step_by(2)).filter_map(Value::as_u64).sum();
        Some((at, checkpoint["epoch"].as_str()?.to_owned(), bytes))
    }

    /// Stops the agent's process while `work` is done.
    pub fn asleep<T>(&self, work: impl FnOnce() -> T) -> T {
        let agent = self.agent.as_ref().expect("an agent runs");
        // In the moments in which it holds the lock of iptables, a stopped agent would keep everybody else waiting.
        loop {
            agent.signal(rustix::process::Signal::STOP);
            std::thread::sleep(Duration::from_millis(10));
            if !holds_xtables_lock(agent.id()) {
                break;
            }
            agent.signal(rustix::process::Signal::CONT);
            std::thread::sleep(Duration::from_millis(10));
        }
        let result = work();
        agent.signal(rustix::process::Signal::CONT);
        result
    }

    /// The process id of the running agent.
    pub fn pid(&self) -> u32 {
        self.agent.as_ref().expect("an agent runs").id()
    }

    /// Sends a signal to the running agent.
    pub fn signal(&self, signal: rustix::process::Signal) {
        self.agent.as_ref().expect("an agent runs").signal(signal);
    }

    /// Waits until the agent has ended by itself or after a request. Returns its exit code.
    pub fn wait_for_end(&mut self) -> Option<i32> {
        self.agent.take().expect("an agent runs").wait(Duration::from_secs(60)).expect("the agent ends")
    }

    /// Kills the agent as `kill -9` does.
    pub fn kill(&mut self) {
        let mut agent = self.agent.take().expect("an agent runs");
        agent.signal(rustix::process::Signal::KILL);
        wait_until("the killed agent is gone", Duration::from_secs(5), || agent.has_ended());
    }

    /// The process id of the running agent.
    pub fn id(&self) -> u32 {
        self.agent.as_ref().expect("an agent runs").id()
    }

    /// The output of the last agent.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("agent.log")).unwrap_or_default()
    }

    /// Every line of the hourly log.
    pub fn hourly(&self) -> Vec<Value> {
        files(&self.state_dir().join("hourly")).iter().flat_map(|path| lines(path)).collect()
    }

    /// The eight numbers of each port over the whole hourly log, by name.
    pub fn totals(&self) -> BTreeMap<u16, BTreeMap<String, u64>> {
        let mut totals: BTreeMap<u16, BTreeMap<String, u64>> = BTreeMap::new();
        for line in self.hourly().iter().filter(|line| line["kind"] == "hour") {
            let port = u16::try_from(line["port"].as_u64().unwrap()).unwrap();
            for (name, value) in line.as_object().unwrap() {
                if name.ends_with("_bytes") || name.ends_with("_packets") {
                    *totals.entry(port).or_default().entry(name.clone()).or_default() += value.as_u64().unwrap();
                }
            }
        }
        totals
    }

    /// A reserved line over the whole hourly log, as `(in_bytes, in_packets, out_bytes, out_packets)`.
    pub fn other(&self, name: &str) -> (u64, u64, u64, u64) {
        let seals = self.hourly().into_iter().filter(|line| line["kind"] == "seal").collect::<Vec<_>>();
        let sum = |field: &str| seals.iter().map(|seal| seal["other"][name][field].as_u64().unwrap()).sum();
        (sum("in_bytes"), sum("in_packets"), sum("out_bytes"), sum("out_packets"))
    }
}

/// The `.jsonl` files of a directory, sorted.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort();
    paths
}

/// Whether the process holds the lock that the programs of iptables wait for.
fn holds_xtables_lock(pid: u32) -> bool {
    let Ok(lock) = fs::metadata("/run/xtables.lock") else { return false };
    let (holder, file) = (pid.to_string(), format!(":{}", lock.ino()));
    // As in `1: FLOCK  ADVISORY  WRITE 5096 fe:00:9805825 0 EOF`; a line with `->` is of one that waits.
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let mut fields = locks.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.any(|fields| fields[1] == "FLOCK" && fields[4] == holder && fields[5].ends_with(&file))
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
