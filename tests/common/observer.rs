//! The independent observer of a host: iptables rules of its own, one per port, protocol and direction, or chains at
//! the device itself where it matters that the stack drops some packets before they reach those rules.

use std::collections::BTreeMap;
use std::process::Command;

use super::device::{DeviceObserver, End};
use super::netns::{inside, run};

/// Bytes and packets by (port, protocol, `INPUT` or `OUTPUT`).
pub type Observed = BTreeMap<(u16, String, String), (u64, u64)>;

/// Rules in the INPUT and OUTPUT chains of a namespace, which disappear with it. None has a target, so they decide
/// nothing.
pub struct Observer {
    netns: String,
    at_device: Option<DeviceObserver>,
}

impl Observer {
    pub fn install(netns: &str, ports: &[u16]) -> Self {
        let mut rules = String::from("*filter\n");
        for port in ports {
            for protocol in ["tcp", "udp"] {
                rules += &format!("-A INPUT -p {protocol} --dport {port}\n-A OUTPUT -p {protocol} --sport {port}\n");
            }
        }
        rules += "COMMIT\n";
        for program in ["iptables-restore", "ip6tables-restore"] {
            inside(netns, || {
                let mut restore = Command::new(program);
                let mut child = restore.arg("--noflush").stdin(std::process::Stdio::piped()).spawn().unwrap();
                std::io::Write::write_all(&mut child.stdin.take().unwrap(), rules.as_bytes()).unwrap();
                assert!(child.wait().unwrap().success(), "{program} failed");
            });
        }
        Self { netns: netns.to_owned(), at_device: None }
    }

    /// Observes exactly what passes the device, as eBPF does. On kernels without chains at egress, uses rules of INPUT
    /// and OUTPUT.
    pub fn install_at(netns: &str, device: &str, ports: &[u16]) -> Self {
        if !DeviceObserver::is_possible() {
            return Self::install(netns, ports);
        }
        let at_device = DeviceObserver::install(netns, device, End::Here, ports);
        Self { netns: netns.to_owned(), at_device: Some(at_device) }
    }

    /// The present counters, of both families together.
    pub fn read(&self) -> Observed {
        if let Some(observer) = &self.at_device {
            return observer.read();
        }
        let mut observed = Observed::new();
        for program in ["iptables-save", "ip6tables-save"] {
            let saved = inside(&self.netns, || run(Command::new(program).args(["-c", "-t", "filter"])));
            for (key, (bytes, packets)) in saved.lines().filter(|line| line.starts_with('[')).map(parse) {
                let sum = observed.entry(key).or_default();
                *sum = (sum.0 + bytes, sum.1 + packets);
            }
        }
        observed
    }
}

/// Parses a line such as `[12:3456] -A INPUT -p tcp -m tcp --dport 443`.
fn parse(line: &str) -> ((u16, String, String), (u64, u64)) {
    let (counters, rule) = line.strip_prefix('[').unwrap().split_once("] ").unwrap();
    let (packets, bytes) = counters.split_once(':').unwrap();
    let words: Vec<&str> = rule.split_whitespace().collect();
    let after = |word: &str| words.iter().skip_while(|w| **w != word).nth(1).map(|word| (*word).to_owned());
    let port = after("--dport").or_else(|| after("--sport")).unwrap().parse().unwrap();
    ((port, after("-p").unwrap(), after("-A").unwrap()), (bytes.parse().unwrap(), packets.parse().unwrap()))
}
