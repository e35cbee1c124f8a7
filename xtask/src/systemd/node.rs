//! The steps on the node and on the main node: the README's instructions, and what a test adds to them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::deb::Deb;
use super::machine::Machine;
use super::network::{NODE, PEER};
use super::observer::{self, Bytes};
use crate::common::daemon::wait_until;
use crate::process::root;

pub const AGENT: &str = "flow-agent.service";
pub const REPORT: &str = "flow-agent-report.service";

const CONFIG: &str = "etc/flow-agent/config.toml";
/// The port file, in a home directory that nobody else can enter.
const MUDB: &str = "home/ssr/mudb.json";

/// The code blocks in the README section with this title, in order.
fn readme(title: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(root().join("README.md"))?;
    let section = text.split("\n## ").find(|section| section.starts_with(title));
    let section = section.with_context(|| format!("the README has no section {title:?}"))?;
    let blocks = section.split("\n```").skip(1).step_by(2);
    Ok(blocks.filter_map(|block| Some(block.split_once('\n')?.1.to_owned() + "\n")).collect())
}

/// Installs `deb` or upgrades to it.
///
/// # Errors
/// When apt-get fails, or when another version is installed afterwards.
pub fn install(machine: &Machine, deb: &Deb) -> Result<()> {
    let name = format!("flow-agent_{}.deb", deb.version);
    fs::copy(&deb.path, machine.root.join(&name))?;
    machine.run(&["apt-get", "install", "--yes", "--no-install-recommends", &format!("/{name}")])?;
    let version = machine.run(&["dpkg-query", "--show", "--showformat=${Version}", "flow-agent"])?;
    ensure!(version == deb.version, "version {version} is installed, not {}", deb.version);
    Ok(())
}

/// Writes the README's configuration of a node, with buckets of 5 seconds instead of an hour.
///
/// # Errors
/// When a file cannot be written.
pub fn configure(machine: &Machine, backend: &str) -> Result<()> {
    let blocks = readme("A node in production")?;
    let ports = blocks.iter().find(|block| block.contains("[ports]")).context("the README has no [ports]")?;
    let ports = ports.replace("\"8000-8100\"", "\"8000-8003\"");
    let config =
        format!("node = \"hk-1\"\n{ports}\n[count]\nbackend = \"{backend}\"\nbucket = \"5s\"\ncheckpoint = \"1s\"\n");
    Ok(fs::write(machine.root.join(CONFIG), config)?)
}

/// Breaks the configuration with a typing error.
///
/// # Errors
/// When it cannot be written.
pub fn break_configuration(machine: &Machine) -> Result<()> {
    let path = machine.root.join(CONFIG);
    let text = fs::read_to_string(&path)?;
    Ok(fs::write(path, text.replace("bucket =", "bukcet ="))?)
}

/// Writes the port file, with one user for each port.
///
/// # Errors
/// When it cannot be written.
pub fn write_mudb(machine: &Machine, ports: &[u16]) -> Result<()> {
    let path = machine.root.join(MUDB);
    let home = path.parent().context("it lies in a home")?;
    if !home.exists() {
        machine.run(&["useradd", "--create-home", "ssr"])?;
        machine.run(&["chmod", "0700", "/home/ssr"])?;
    }
    let users: Vec<_> =
        ports.iter().map(|port| serde_json::json!({"user": format!("acct-{port}"), "port": port})).collect();
    // The file is replaced with a new one, as panels do.
    let part = path.with_extension("part");
    fs::write(&part, serde_json::to_string(&users)?)?;
    fs::rename(part, path)?;
    machine.run(&["sh", "-c", "chown ssr: /home/ssr/mudb.json && chmod 0600 /home/ssr/mudb.json"]).map(drop)
}

/// Makes `main` the main node of `node`, with the commands in the README.
///
/// # Errors
/// When one of the commands fails.
pub fn enroll(node: &Machine, main: &Machine) -> Result<()> {
    let blocks = readme("A main node in production")?;
    let [on_node, on_main] = &blocks[..] else { anyhow::bail!("not two blocks in the README: {blocks:#?}") };
    main.run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/etc/flow-agent/id_ed25519"])?;
    fs::copy(main.root.join("etc/flow-agent/id_ed25519.pub"), node.root.join("id_ed25519.pub"))?;
    let line = on_node.trim().replace("198.51.100.4", PEER).replace("id_ed25519.pub", "/id_ed25519.pub");
    let words: Vec<&str> = line.split(' ').chain(["--yes"]).collect();
    print!("{}", node.run(&words)?);

    let nodes = on_main.split("[[users]]").next().context("split yields one at least")?.replace("203.0.113.7", NODE);
    fs::write(main.root.join(CONFIG), format!("node = \"main\"\ntimezone = \"Asia/Shanghai\"\n{nodes}"))?;
    // While sshd reloads, nobody listens for a moment.
    wait_until("sshd answers again", Duration::from_secs(60), || {
        main.attempt(&["ssh-keyscan", "-t", "ed25519", NODE]).is_ok_and(|scanned| !scanned.stdout.is_empty())
    });
    let question = main.attempt(&["sh", "-c", "echo yes | flow-agent check --enroll hk-1"])?;
    ensure!(question.status.success(), "{}", String::from_utf8_lossy(&question.stderr));
    // This reports the month in progress, without letters. Otherwise nothing would be gathered before the month is
    // over.
    let drop_in = main.root.join("etc/systemd/system/flow-agent-report.service.d");
    fs::create_dir_all(&drop_in)?;
    fs::write(
        drop_in.join("test.conf"),
        "[Service]\nExecStart=\nExecStart=/usr/sbin/flow-agent report --month this --no-mail\n",
    )?;
    main.run(&["systemctl", "daemon-reload"]).map(drop)
}

/// Makes the main node gather with the report's own unit. Returns the bytes that it has afterwards.
///
/// # Errors
/// When the unit fails, or when it could not fetch the node's file.
pub fn gather(main: &Machine) -> Result<Bytes> {
    let started = main.run(&["systemctl", "start", REPORT]);
    if let Err(error) = started {
        return Err(error.context(main.journal(REPORT)?));
    }
    let journal = main.journal(REPORT)?;
    let gathered = main.root.join("var/lib/flow-agent/nodes/hk-1/daily");
    ensure!(!journal.contains("! node hk-1"), "gathering broke:\n{journal}");
    observer::logged(&gathered, "day").with_context(|| journal)
}

/// The bytes that the node has logged so far.
///
/// # Errors
/// When a file cannot be read.
pub fn logged(node: &Machine) -> Result<Bytes> {
    observer::logged(&node.root.join("var/lib/flow-agent/hourly"), "hour")
}

/// Everything of ours in the kernel, as lines of the tools that list it. Must be empty after a removal.
///
/// # Errors
/// When a tool fails.
pub fn in_kernel(node: &Machine, netns: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let pins = node.run(&["find", "/sys/fs/bpf", "-mindepth", "1", "-not", "-name", "*.debug"])?;
    found.extend(pins.lines().map(str::to_owned));
    for tool in ["iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"] {
        let rules = node.run(&[tool, "-t", "mangle", "-S"])?;
        found.extend(rules.lines().filter(|rule| rule.contains("flow")).map(str::to_owned));
    }
    found.extend(node.run(&["ipset", "list", "-name"])?.lines().map(str::to_owned));
    let qdiscs = node.run(&["tc", "qdisc", "show", "dev", "wan"])?;
    found.extend(qdiscs.lines().filter(|qdisc| qdisc.contains("clsact")).map(str::to_owned));
    let mut bpftool = crate::process::command("nsenter", [format!("--net=/run/netns/{netns}")]);
    bpftool.args(["bpftool", "net", "list", "dev", "wan"]);
    let attached = crate::process::output(&mut bpftool)?;
    found.extend(attached.lines().filter(|line| line.starts_with("wan(")).map(str::to_owned));
    Ok(found)
}

/// Whether a directory is empty or missing.
pub fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).map_or(true, |mut entries| entries.next().is_none())
}
