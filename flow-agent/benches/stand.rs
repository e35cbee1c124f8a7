//! Separate hosts, each with a counter of its packets or with none.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use flow_agent::backend::{AttachPlace, Backend, BackendOptions, Started, ebpf, iptables, nftables};
use flow_agent::clock;
use flow_agent::ledger::limits::budget::UserBudget;
use flow_agent::ledger::reading::Reading;
use flow_agent::ledger::record::CountMode;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::common::daemon::in_netns;
use crate::common::netns::{Pair, WAN};
use crate::common::variant::Variant;
use crate::exchange::{Exchange, measure};
use crate::stranger;

/// A host, its peer, and the counter.
pub struct Stand {
    counter: Counter,
    /// The kinds of traffic that were measured here, by name.
    traffics: Vec<(&'static str, Vec<Exchange>)>,
    pair: Pair,
}

/// The counter, which counts as long as this value exists.
enum Counter {
    Nothing,
    /// Programs that count nothing.
    Empty {
        _links: [OwnedFd; 2],
    },
    Agent(Box<dyn Backend>),
    /// A command that lists what was counted, as `packets 12` or `[12:3456]`.
    Listed(Command),
}

impl Stand {
    fn make(count: impl FnOnce(&Pair) -> Result<Counter>) -> Result<Self> {
        let pair = Pair::make().context("no network namespaces")?;
        Ok(Self { counter: count(&pair)?, traffics: Vec::new(), pair })
    }

    pub fn with_nothing() -> Result<Self> {
        Self::make(|_| Ok(Counter::Nothing))
    }

    /// A program of two instructions at each TCX hook.
    pub fn with_empty_tcx() -> Result<Self> {
        Self::make(|pair| {
            let attach = |index, hook| stranger::attach_first(index, hook, stranger::TCX_NEXT);
            let links = within(&pair.host, || {
                let index = rustix::net::netdevice::name_to_index(&socket()?, WAN)?;
                Ok([attach(index, stranger::TCX_INGRESS)?, attach(index, stranger::TCX_INGRESS + 1)?])
            })?;
            Ok(Counter::Empty { _links: links })
        })
    }

    /// Our classifiers, as the agent attaches them.
    pub fn with_ebpf(place: AttachPlace, ports: &[u16]) -> Result<Self> {
        let start = |options: BackendOptions| Ok(ebpf::start(&BackendOptions { place, ..options }, clock::now())?);
        Self::make(|pair| Self::agent(pair, ports, start))
    }

    /// Our chains, as the agent makes them.
    pub fn with_our_rules(variant: &Variant, ports: &[u16]) -> Result<Self> {
        let start = |options: BackendOptions| Ok(iptables::start_with(&options, &clock::now, &variant.path())?);
        Self::make(|pair| Self::agent(pair, ports, start))
    }

    /// Our table of nftables, as the agent makes it.
    pub fn with_our_table(ports: &[u16]) -> Result<Self> {
        let start = |options: BackendOptions| Ok(nftables::start(&options, &clock::now)?);
        Self::make(|pair| Self::agent(pair, ports, start))
    }

    fn agent(pair: &Pair, ports: &[u16], start: impl FnOnce(BackendOptions) -> Result<Started>) -> Result<Counter> {
        let options = BackendOptions {
            instance: "bench".into(),
            bpffs: pair.bpffs.clone(),
            interfaces: vec![WAN.into()],
            count: CountMode::Ip,
            max_ports: 65_530,
            ports: ports.iter().copied().collect(),
            known_epochs: BTreeSet::new(),
            newest_epoch: None,
            counted_before: BTreeSet::new(),
            last_known: None,
            allow_stacked: false,
            place: AttachPlace::Auto,
            log: false,
        };
        Ok(Counter::Agent(within(&pair.host, || start(options))?.backend))
    }

    /// One rule for each port, protocol and direction, in `INPUT` and `OUTPUT`, as scripts make them.
    pub fn with_a_rule_each(variant: &Variant, ports: &[u16]) -> Result<Self> {
        let mut rules = String::from("*filter\n");
        for port in ports {
            for protocol in ["tcp", "udp"] {
                writeln!(rules, "-A INPUT -p {protocol} --dport {port}\n-A OUTPUT -p {protocol} --sport {port}")?;
            }
        }
        rules += "COMMIT\n";
        Self::make(|pair| {
            feed(in_netns(&pair.host, variant.program("iptables-restore")).arg("--noflush"), &rules)?;
            let mut list = in_netns(&pair.host, variant.program("iptables-save"));
            list.args(["-c", "-t", "filter"]);
            Ok(Counter::Listed(list))
        })
    }

    /// nftables sets of ports whose elements have counters.
    pub fn with_nft_sets(ports: &[u16]) -> Result<Self> {
        let elements = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        let mut rules = String::from("table inet count {\n");
        for (hook, option) in [("input", "dport"), ("output", "sport")] {
            let mut uses = String::new();
            for protocol in ["tcp", "udp"] {
                let set = format!("{protocol}_{hook}");
                writeln!(rules, "set {set} {{ type inet_service; counter; elements = {{ {elements} }} }}")?;
                writeln!(uses, "{protocol} {option} @{set}")?;
            }
            writeln!(rules, "chain {hook} {{ type filter hook {hook} priority 0;\n{uses}}}")?;
        }
        rules += "}\n";
        Self::make(|pair| {
            feed(in_netns(&pair.host, "nft").args(["-f", "-"]), &rules)?;
            let mut list = in_netns(&pair.host, "nft");
            list.args(["list", "ruleset"]);
            Ok(Counter::Listed(list))
        })
    }

    /// Measures the nanoseconds of CPU time for one packet in and one out. There is one client per CPU, and each has
    /// the ports that it visits. `traffic` is the name of this kind of traffic.
    ///
    /// # Errors
    /// See [`measure`].
    pub fn measure(&mut self, traffic: &'static str, clients: &[&[u16]]) -> Result<f64> {
        let at = match self.traffics.iter().position(|(name, _)| *name == traffic) {
            Some(at) => at,
            None => {
                let first = 9 + self.traffics.iter().map(|(_, clients)| clients.len() as u16).sum::<u16>();
                let open = |(client, ports)| Exchange::open(&self.pair, ports, client);
                let exchanges = (first..).zip(clients.iter().copied()).map(open).collect::<Result<_>>()?;
                self.traffics.push((traffic, exchanges));
                self.traffics.len() - 1
            }
        };
        measure(&mut self.traffics[at].1)
    }

    /// The host and its peer.
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// Enforces a budget.
    ///
    /// # Errors
    /// When no agent counts here, or the kernel refuses.
    pub fn enforce(&mut self, budget: &UserBudget) -> Result<()> {
        let Counter::Agent(backend) = &mut self.counter else { bail!("no agent counts here") };
        within(&self.pair.host, || Ok(backend.enforce(std::slice::from_ref(budget), clock::now())?))
    }

    /// What the agent has counted and refused.
    ///
    /// # Errors
    /// When no agent counts here, or it cannot read.
    pub fn read(&mut self) -> Result<Reading> {
        let Counter::Agent(backend) = &mut self.counter else { bail!("no agent counts here") };
        within(&self.pair.host, || Ok(backend.read(&clock::now)?))
    }

    /// Fails if the counter has counted nothing, because then its cost is meaningless.
    ///
    /// # Errors
    /// When it has not counted, or cannot be read.
    pub fn verify(&mut self) -> Result<()> {
        let packets = match &mut self.counter {
            Counter::Nothing | Counter::Empty { .. } => return Ok(()),
            Counter::Agent(backend) => {
                let reading = within(&self.pair.host, || Ok(backend.read(&clock::now)?))?;
                reading.ports.values().map(|counters| counters.udp_in_packets.min(counters.udp_out_packets)).max()
            }
            Counter::Listed(list) => {
                let listed = String::from_utf8(list.output()?.stdout)?;
                let of_rules = listed.lines().filter_map(|line| line.strip_prefix('['));
                let counts = of_rules.chain(listed.split(" packets ").skip(1));
                counts.filter_map(|text| text.split([':', ' ']).next()?.parse().ok()).max()
            }
        };
        ensure!(packets.unwrap_or_default() > 0, "it has counted nothing");
        Ok(())
    }
}

/// Runs `work` in a namespace on this thread, because a backend must not be moved to another thread.
fn within<T>(netns: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let home = File::open("/proc/thread-self/ns/net")?;
    let there = File::open(Path::new("/run/netns").join(netns))?;
    let enter = |namespace: &File| move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network));
    enter(&there)?;
    let result = work();
    enter(&home)?;
    result
}

/// Any socket will do, because it is only used to ask for a device.
fn socket() -> Result<std::net::UdpSocket> {
    Ok(std::net::UdpSocket::bind("0.0.0.0:0")?)
}

fn feed(command: &mut Command, text: &str) -> Result<()> {
    let mut child = command.stdin(Stdio::piped()).spawn().with_context(|| format!("failed to start {command:?}"))?;
    child.stdin.take().context("it has a stdin")?.write_all(text.as_bytes())?;
    if !child.wait()?.success() {
        bail!("{command:?} failed");
    }
    Ok(())
}
