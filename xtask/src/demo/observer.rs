//! The independent observer of a node: iptables rules of its own, one a port, protocol and direction.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::common::daemon::in_netns;

/// IP bytes by (port, protocol, direction); both families together.
pub type Counted = BTreeMap<(u16, &'static str, &'static str), u64>;

const FAMILIES: [&str; 2] = ["iptables", "ip6tables"];

/// Rules in the INPUT and OUTPUT chains of a node's namespace; they go with it.
pub struct Observer {
    netns: String,
}

impl Observer {
    /// Adds the rules. They decide nothing: none of them has a target.
    pub fn install(netns: &str, ports: &[u16]) -> Result<Self> {
        let observer = Self { netns: netns.to_owned() };
        for family in FAMILIES {
            for port in ports.iter().map(u16::to_string) {
                for protocol in ["tcp", "udp"] {
                    observer.run(family, &["-A", "INPUT", "-p", protocol, "--dport", &port])?;
                    observer.run(family, &["-A", "OUTPUT", "-p", protocol, "--sport", &port])?;
                }
            }
        }
        Ok(observer)
    }

    /// The counters now.
    pub fn read(&self) -> Result<Counted> {
        let mut counted = Counted::new();
        for family in FAMILIES {
            for line in self.run(&format!("{family}-save"), &["-c"])?.lines().filter(|line| line.starts_with('[')) {
                let (key, bytes) = parse(line).with_context(|| format!("unexpected rule `{line}`"))?;
                *counted.entry(key).or_default() += bytes;
            }
        }
        Ok(counted)
    }

    /// Whether nothing was counted for a third of a second.
    pub fn is_quiet(&self) -> bool {
        let before = self.read();
        std::thread::sleep(Duration::from_millis(300));
        matches!((before, self.read()), (Ok(before), Ok(after)) if before == after)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let output = in_netns(&self.netns, program).args(arguments).stdin(Stdio::null()).output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`{program} {}` failed: {}", arguments.join(" "), errors.trim());
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// Reads `[12:3456] -A INPUT -p tcp -m tcp --dport 443`.
fn parse(line: &str) -> Result<((u16, &'static str, &'static str), u64)> {
    let (counters, rule) = line.strip_prefix('[').and_then(|rest| rest.split_once("] ")).context("no counters")?;
    let bytes = counters.split_once(':').context("no byte counter")?.1.parse()?;
    let words: Vec<&str> = rule.split_whitespace().collect();
    let after = |word: &str| words.iter().skip_while(|w| **w != word).nth(1).copied();
    let direction = match after("-A") {
        Some("INPUT") => "in",
        Some("OUTPUT") => "out",
        other => bail!("chain {other:?}"),
    };
    let protocol = match after("-p") {
        Some("tcp") => "tcp",
        Some("udp") => "udp",
        other => bail!("protocol {other:?}"),
    };
    let port = after("--dport").or_else(|| after("--sport")).context("no port")?.parse()?;
    Ok(((port, protocol, direction), bytes))
}
