//! A release on one root: installed, counting with each backend for which the root has the programs, and removed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::container::Container;
use super::{Release, files};
use crate::systemd::network::{NODE, Network};
use crate::systemd::observer::{self, Bytes};
use crate::systemd::rootfs;
use crate::systemd::traffic::inside;

/// The columns of the table; [`run`] gives all but the first.
pub const TITLES: [&str; 6] =
    ["root", "installed by", "first figure after", "eBPF", "iptables", "left after the removal"];

const PORT: u16 = 443;
/// Number of questions and of answers.
const DATAGRAMS: u64 = 100;
const QUESTION: [u8; 300] = [b'q'; 300];
const ANSWER: [u8; 1_000] = [b'a'; 1_000];
/// 100 datagrams of 300 bytes, and 100 of 1,000 bytes, each with 8 bytes of UDP and 20 bytes of IPv4.
const IN_BYTES: u64 = 32_800;
const OUT_BYTES: u64 = 102_800;

const PATIENCE: Duration = Duration::from_secs(60);

/// Documented to stay: the logs, and the configuration where the tarball was installed.
const LOGS: &str = "var/lib/flow-agent";
const CONFIGURATION: &str = "etc/flow-agent";

/// Everything from the installation to the removal, on a copy of `base` that is gone afterwards.
///
/// # Errors
/// When a step fails, a byte is missing or too much, or something is left that should not be.
pub fn run(base: &Path, directory: &Path, release: &Release) -> Result<Vec<String>> {
    let scratch = tempfile::tempdir_in(directory)?;
    let root = scratch.path().join("root");
    rootfs::copy(base, &root)?;
    let network = Network::make()?;
    let container = Container::open(&root, &network.node)?;
    let story = Story { container, network, agent_log: scratch.path().join("agent.log"), root };

    let method = story.hand_over(release)?;
    let before = files::all(&story.root)?;
    let began_at = Instant::now();
    story.container.run(method.install)?;
    let first_figure_at = story.count("ebpf", 1)?;
    let has_iptables = story.container.run("command -v iptables").is_ok();
    if has_iptables {
        story.count("iptables", 2)?;
    }
    story.container.run(method.remove)?;

    let kept = files::all(&story.root)?;
    ensure!(kept.contains(&Path::new(LOGS).join("hourly")), "the removal took the logs");
    let mut added: BTreeSet<_> = kept.difference(&before).cloned().collect();
    added.retain(|path| !method.stays.iter().any(|stays| path.starts_with(stays)));
    ensure!(added.is_empty(), "the removal has left {added:#?}");
    // /run belongs to the container, and has the lock of iptables.
    let in_memory = story.container.run("find /run /sys/fs/bpf -mindepth 1 -name '*flow*'")?;
    ensure!(in_memory.is_empty(), "the removal has left\n{in_memory}");
    Ok(vec![
        method.name.to_owned(),
        format!("{:.1} s", (first_figure_at - began_at).as_secs_f64()),
        "exact".to_owned(),
        if has_iptables { "exact" } else { "not there" }.to_owned(),
        method.stays.iter().map(|stays| format!("/{stays}")).collect::<Vec<_>>().join(", "),
    ])
}

/// How a release gets into a root, and out of it.
struct Method {
    name: &'static str,
    install: &'static str,
    remove: &'static str,
    stays: &'static [&'static str],
}

const DPKG: Method = Method {
    name: "dpkg",
    install: "dpkg --install /flow-agent.deb",
    remove: "dpkg --purge flow-agent",
    stays: &[LOGS],
};
const TARBALL: Method = Method {
    name: "install.sh",
    install: "/flow-agent/install.sh --yes",
    remove: "/flow-agent/install.sh --uninstall --yes",
    stays: &[LOGS, CONFIGURATION],
};

// The fields are dropped in this order: the network after the container in it.
struct Story {
    container: Container,
    network: Network,
    agent_log: PathBuf,
    root: PathBuf,
}

impl Story {
    /// Copies the package into the root, or unpacks the tarball there.
    fn hand_over(&self, release: &Release) -> Result<Method> {
        let hand_in = |file: &Path, name: &str| {
            fs::copy(file, self.root.join(name)).with_context(|| format!("failed to copy {}", file.display()))
        };
        // busybox may have a dpkg, too, but it manages nothing.
        if self.root.join("var/lib/dpkg/status").exists() {
            hand_in(&release.deb, "flow-agent.deb")?;
            return Ok(DPKG);
        }
        hand_in(&release.tarball, "flow-agent.tar.gz")?;
        self.container.run("cd / && tar xzf flow-agent.tar.gz && mv flow-agent-*-linux flow-agent")?;
        Ok(TARBALL)
    }

    /// Counts the datagrams of one exchange, the `nth`, and compares what was counted; when the first figure was shown.
    fn count(&self, backend: &str, nth: u64) -> Result<Instant> {
        let expected = Bytes::from([((PORT, "in"), nth * IN_BYTES), ((PORT, "out"), nth * OUT_BYTES)]);
        let config = format!("node = \"root\"\n[ports]\nwatch = [{PORT}]\n[count]\nbackend = \"{backend}\"\n");
        fs::write(self.root.join(CONFIGURATION).join("config.toml"), config)?;
        self.container.run("flow-agent check --config-only")?;
        let log = File::create(&self.agent_log)?;
        let mut agent = self.container.shell("echo $$ >/run/agent.pid; exec flow-agent run");
        let mut agent = agent.stdout(log.try_clone()?).stderr(log).spawn()?;
        let counted = self.with_agent(&mut agent, &expected);
        let stopped = self.container.run("kill $(cat /run/agent.pid)").map(drop);
        if stopped.is_err() {
            // Otherwise there would be no end to wait for.
            agent.kill()?;
        }
        let ended = agent.wait()?;
        let said = fs::read_to_string(&self.agent_log)?;
        let shown_at = counted.and_then(|at| stopped.map(|()| at)).with_context(|| format!("{backend}: {said}"))?;
        ensure!(ended.success(), "{backend}: {ended}\n{said}");
        let logged = observer::logged(&self.root.join(LOGS).join("hourly"), "hour")?;
        ensure!(logged == expected, "{backend}: expected {expected:?}, logged {logged:?}\n{said}");
        Ok(shown_at)
    }

    fn with_agent(&self, agent: &mut Child, expected: &Bytes) -> Result<Instant> {
        wait_for("the agent counts", || {
            ensure!(agent.try_wait()?.is_none(), "the agent ended");
            Ok(fs::read_to_string(&self.agent_log)?.contains("counting"))
        })?;
        self.exchange()?;
        wait_for("`show` has what was sent", || Ok(&self.shown()? == expected))?;
        let shown_at = Instant::now();
        self.container.run("flow-agent check")?;
        Ok(shown_at)
    }

    /// What `show` says of all hours, sealed and open.
    fn shown(&self) -> Result<Bytes> {
        let mut bytes = Bytes::from([((PORT, "in"), 0), ((PORT, "out"), 0)]);
        for line in self.container.run("flow-agent show hours --json")?.lines() {
            let line: Value = serde_json::from_str(line)?;
            for direction in ["in", "out"] {
                let counted = line[format!("{direction}_bytes")].as_u64().context("a line without bytes")?;
                *bytes.entry((PORT, direction)).or_default() += counted;
            }
        }
        Ok(bytes)
    }

    /// The peer asks [`DATAGRAMS`] questions, each of which is answered.
    fn exchange(&self) -> Result<()> {
        let node = SocketAddr::new(NODE.parse()?, PORT);
        let server = inside(&self.network.node, move || Ok(UdpSocket::bind(node)?))?;
        let client = inside(&self.network.peer, move || {
            let client = UdpSocket::bind("0.0.0.0:0")?;
            client.connect(node)?;
            Ok(client)
        })?;
        for socket in [&server, &client] {
            socket.set_read_timeout(Some(PATIENCE))?;
        }
        let mut buffer = [0; 2_048];
        for _ in 0..DATAGRAMS {
            client.send(&QUESTION)?;
            let (_, from) = server.recv_from(&mut buffer).context("a question did not arrive")?;
            server.send_to(&ANSWER, from)?;
            client.recv(&mut buffer).context("an answer did not arrive")?;
        }
        Ok(())
    }
}

fn wait_for(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition()? {
        ensure!(Instant::now() < deadline, "gave up after {} s waiting until {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
