//! An independent observer of a device: nftables `netdev` chains at the device itself, which see exactly what passes
//! it. They share no hook with an agent's counters: rules are above the IP stack, and eBPF has hooks of its own.

use std::collections::BTreeMap;
use std::process::Command;

use super::netns::{inside, run};
use super::observer::Observed;

/// What an egress chain sees begins with the Ethernet header; at ingress the kernel has already removed it.
const ETHERNET_BYTES: u64 = 14;

/// A priority before every other chain.
const PRIORITY: i32 = -500;

/// The end of the wire at which the chains are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// At the device of the observed host.
    Here,
    /// At its peer's device. Nothing that happens to the host's rules affects it, but it also sees what is lost on the
    /// way.
    Peer,
}

/// Chains and counters at a device; they disappear with its namespace.
pub struct DeviceObserver {
    netns: String,
    end: End,
}

/// Bytes and packets by (family, port, protocol, `INPUT` or `OUTPUT` of the host).
pub type ByFamily = BTreeMap<(u8, u16, String, String), (u64, u64)>;

impl DeviceObserver {
    /// Whether this kernel has chains at egress (5.16 and later) and `nft` is installed; if not, prints that on stderr.
    pub fn is_possible() -> bool {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
        let series = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let has_it = series >= (5, 16);
        if !has_it {
            eprintln!("NOT HERE: chains at a device's egress, which came with Linux 5.16");
        }
        has_it && super::have_program("nft", "the observer of a device")
    }

    /// Observes TCP and UDP of `ports` of the host, at `device` in the namespace `netns`.
    pub fn install(netns: &str, device: &str, end: End, ports: &[u16]) -> Self {
        let (incoming, outgoing) = match end {
            End::Here => ("ingress", "egress"),
            End::Peer => ("egress", "ingress"),
        };
        let mut counters = String::new();
        let mut chains = String::new();
        for (chain, hook, option) in [("INPUT", incoming, "dport"), ("OUTPUT", outgoing, "sport")] {
            let at = format!("type filter hook {hook} device \"{device}\" priority {PRIORITY};");
            let mut rules = String::new();
            for (family, ethertype) in [(4, "ip"), (6, "ip6")] {
                for protocol in ["tcp", "udp"] {
                    for port in ports {
                        let name = format!("c-{family}-{port}-{protocol}-{chain}");
                        counters += &format!("counter {name} {{}}\n");
                        rules += &format!("meta protocol {ethertype} {protocol} {option} {port} counter name {name}\n");
                    }
                }
            }
            chains += &format!("chain {chain} {{ {at}\n{rules} }}\n");
        }
        let table = format!("table netdev observer {{\n{counters}{chains}}}\n");
        inside(netns, || {
            let mut nft = Command::new("nft");
            let mut child = nft.args(["-f", "-"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), table.as_bytes()).unwrap();
            assert!(child.wait().unwrap().success(), "nft failed");
        });
        Self { netns: netns.to_owned(), end }
    }

    /// The present IP bytes and packets, by family.
    pub fn read_by_family(&self) -> ByFamily {
        let nft = || run(Command::new("nft").args(["-j", "list", "counters", "table", "netdev", "observer"]));
        let json: serde_json::Value = serde_json::from_str(&inside(&self.netns, nft)).unwrap();
        let counters = json["nftables"].as_array().unwrap().iter().filter_map(|object| object.get("counter"));
        let parse = |counter: &serde_json::Value| {
            let name: Vec<&str> = counter["name"].as_str().unwrap().split('-').collect();
            let [_, family, port, protocol, chain] = name.as_slice() else { panic!("{name:?}") };
            let (bytes, packets) = (counter["bytes"].as_u64().unwrap(), counter["packets"].as_u64().unwrap());
            let is_at_egress = (self.end == End::Here) == (*chain == "OUTPUT");
            let headers = if is_at_egress { ETHERNET_BYTES * packets } else { 0 };
            let key = (family.parse().unwrap(), port.parse().unwrap(), (*protocol).into(), (*chain).into());
            (key, (bytes - headers, packets))
        };
        counters.map(parse).collect()
    }

    /// The present IP bytes and packets, of both families together.
    pub fn read(&self) -> Observed {
        let mut observed = Observed::new();
        for ((_, port, protocol, chain), (bytes, packets)) in self.read_by_family() {
            let sum = observed.entry((port, protocol, chain)).or_default();
            *sum = (sum.0 + bytes, sum.1 + packets);
        }
        observed
    }
}
