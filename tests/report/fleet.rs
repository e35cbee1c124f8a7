//! A main node and its nodes, each in a network namespace, joined by veth pairs. Each node has a real sshd, and the
//! main node has a real mail server. Everything is removed when dropped; what test processes that died have left is
//! removed by the next one.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::common::daemon::in_netns;
use crate::common::have_root;
use crate::common::netns::run;
use crate::common::smtpd::Smtpd;
use crate::common::sshd::Sshd;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_flow-agent");
const PREFIX: &str = "fa-rep";
const SMTP_PORT: u16 = 2525;

/// A node, with its state directory and how it is reached.
pub struct Node {
    pub name: &'static str,
    pub netns: String,
    pub address: String,
    pub state_dir: PathBuf,
    pub sshd: Option<Sshd>,
}

pub struct Fleet {
    pub main: String,
    pub nodes: Vec<Node>,
    pub smtpd: Option<Smtpd>,
    pub dir: tempfile::TempDir,
    netnses: Vec<String>,
}

impl Fleet {
    /// Makes a fleet in which every node has an sshd. Without root, prints that on stderr and returns `None`.
    pub fn make(names: &[&'static str]) -> Option<Self> {
        if !have_root("real sshds in network namespaces") {
            return None;
        }
        static REMOVE_REMAINS: Once = Once::new();
        REMOVE_REMAINS.call_once(remove_remains);
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("{PREFIX}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = tempfile::Builder::new().prefix("flow-agent-report").tempdir().unwrap();
        // OpenSMTPD delivers as nobody, who needs access.
        std::os::unix::fs::chown(dir.path(), None, None).unwrap();
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let main = format!("{prefix}-main");
        let mut fleet = Self { main: main.clone(), nodes: Vec::new(), smtpd: None, dir, netnses: Vec::new() };
        fleet.add_netns(&main);
        for (index, name) in (1..).zip(names) {
            let netns = format!("{prefix}-{index}");
            fleet.add_netns(&netns);
            let lan = format!("lan{index}");
            ip(&["-n", &main, "link", "add", &lan, "type", "veth", "peer", "name", "wan", "netns", &netns]);
            for (netns, device, last) in [(&main, lan.as_str(), 1), (&netns, "wan", 2)] {
                ip(&["-n", netns, "addr", "add", &format!("10.98.{index}.{last}/24"), "dev", device]);
                ip(&["-n", netns, "link", "set", device, "up"]);
            }
            let address = format!("10.98.{index}.2");
            let sshd_dir = fleet.dir.path().join(format!("sshd-{name}"));
            let sshd = Sshd::start(&netns, &sshd_dir, &address, 22, "").unwrap();
            let state_dir = fleet.dir.path().join(format!("node-{name}"));
            fleet.nodes.push(Node { name, netns, address, state_dir, sshd: Some(sshd) });
        }
        Some(fleet)
    }

    /// Like `make`, with a mail server on the main node.
    pub fn with_mail(names: &[&'static str]) -> Option<Self> {
        let mut fleet = Self::make(names)?;
        let dir = fleet.dir.path().join("mail");
        fs::create_dir_all(&dir).unwrap();
        fleet.smtpd = Some(Smtpd::start(&fleet.main, &dir, SMTP_PORT).unwrap());
        Some(fleet)
    }

    /// Ends the sshd of the last node.
    pub fn silence_last(&mut self) {
        self.nodes.last_mut().unwrap().sshd = None;
    }

    /// Gives the last node another sshd with other keys. `extra` is appended to its configuration.
    pub fn replace_last(&mut self, extra: &str) {
        self.silence_last();
        let dir = tempfile::tempdir_in(self.dir.path()).unwrap().keep();
        let node = self.nodes.last_mut().unwrap();
        node.sshd = Some(Sshd::start(&node.netns, &dir, &node.address, 22, extra).unwrap());
    }

    fn add_netns(&mut self, name: &str) {
        ip(&["netns", "add", name]);
        self.netnses.push(name.to_owned());
        ip(&["-n", name, "link", "set", "lo", "up"]);
    }

    pub fn node(&self, name: &str) -> &Node {
        self.nodes.iter().find(|node| node.name == name).unwrap()
    }

    /// The state directory of the main node.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("main")
    }

    pub fn known_hosts(&self) -> PathBuf {
        self.dir.path().join("known_hosts")
    }

    /// Writes the configuration with all nodes. `report` is appended, and may begin with keys of `[report]`.
    pub fn configure(&self, users: &str, report: &str) {
        let mut text = format!("node = \"main\"\ntimezone = \"UTC\"\nstate_dir = {:?}\n{users}\n", self.state_dir());
        let mut keys = String::new();
        for node in &self.nodes {
            writeln!(text, "[[nodes]]\nname = {:?}\nhost = {:?}\nuser = \"root\"", node.name, node.address).unwrap();
            writeln!(text, "state_dir = {:?}", node.state_dir).unwrap();
            if let Some(sshd) = &node.sshd {
                writeln!(text, "identity_file = {:?}", sshd.identity_file).unwrap();
                keys += &sshd.known_hosts_line(&node.address);
            }
        }
        writeln!(text, "[report]\nknown_hosts = {:?}\n{report}", self.known_hosts()).unwrap();
        if self.smtpd.is_some() {
            write!(
                text,
                "[mail]\nserver = \"smtp+insecure://127.0.0.1:{SMTP_PORT}\"\n\
                 from = \"Flow Agent <report@example.com>\"\nadmins = [\"ops@example.com\"]\n"
            )
            .unwrap();
        }
        fs::write(self.known_hosts(), keys).unwrap();
        fs::write(self.config(), text).unwrap();
    }

    pub fn config(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }

    /// `flow-agent report` on the main node, ready to be run.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = in_netns(&self.main, PROGRAM);
        command.arg("report").args(arguments).arg("--config").arg(self.config()).stdin(Stdio::null());
        command
    }

    /// Runs `flow-agent report` to its end.
    pub fn report(&self, arguments: &[&str]) -> Ended {
        self.command(arguments).output().unwrap().into()
    }

    /// The lines of the monthly log.
    pub fn monthly(&self, year: &str) -> Vec<Value> {
        lines(&self.state_dir().join("monthly").join(format!("{year}.jsonl")))
    }

    /// The lines of the mail ledger.
    pub fn sent(&self) -> Vec<Value> {
        lines(&self.state_dir().join("sent.jsonl"))
    }

    /// What `user@example.com` received, as parsed by Python.
    pub fn letters(&self, user: &str) -> Vec<Value> {
        self.smtpd.as_ref().unwrap().letters(user).iter().map(|letter| parsed(letter)).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for node in &mut self.nodes {
            node.sshd = None;
        }
        self.smtpd = None;
        for netns in &self.netnses {
            // If this fails, nothing more can be done in a destructor; the next test process tries again.
            let _ = Command::new("ip").args(["netns", "del", netns]).status();
        }
    }
}

/// The outcome of a run.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// Asserts the exit code, and shows the output if it is another.
    #[track_caller]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

pub fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A letter as Python's `email` parses it: headers, text, HTML, and attachments by name.
pub fn parsed(letter: &str) -> Value {
    const SCRIPT: &str = r#"
import email, email.policy, json, sys
message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
body = lambda kind: message.get_body((kind,)).get_content()
defects = [str(defect) for part in message.walk() for defect in part.defects]
print(json.dumps({
    "headers": dict(message.items()), "text": body("plain"), "html": body("html"), "defects": defects,
    "attachments": {part.get_filename(): part.get_content() for part in message.iter_attachments()},
}))
"#;
    let mut python = Command::new("python3");
    python.args(["-c", SCRIPT]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = python.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), letter.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "Python cannot read this letter:\n{letter}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn ip(arguments: &[&str]) {
    run(Command::new("ip").args(arguments));
}

/// Removes the namespaces of test processes that did not end properly.
fn remove_remains() {
    for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(pid) = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1)) else { continue };
        if !Path::new("/proc").join(pid).exists() {
            let _ = Command::new("ip").args(["netns", "del", &name]).status();
        }
    }
}
