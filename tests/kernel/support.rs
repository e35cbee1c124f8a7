//! Helpers of these tests: options, starts, readings, and traffic of known size.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

use flow_agent::backend::{AttachPlace, Backend, BackendError, BackendOptions, Inspection, Started, ebpf};
use flow_agent::clock;
use flow_agent::ledger::counters::Counters;
use flow_agent::ledger::reading::Reading;
use flow_agent::ledger::record::CountMode;

use crate::common::netns::{Pair, WAN};
use crate::common::observer::Observed;

pub const INSTANCE: &str = "test-instance";

/// Options of an agent in the pair's host that counts `ports` on its WAN.
pub fn options(pair: &Pair, ports: &[u16]) -> BackendOptions {
    BackendOptions {
        instance: INSTANCE.into(),
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
    }
}

/// The release series of the running kernel.
pub fn kernel_series() -> (u32, u32) {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Whether this kernel has TCX. If not, prints that on stderr.
pub fn has_tcx() -> bool {
    let has_it = kernel_series() >= (6, 6);
    if !has_it {
        eprintln!("NOT HERE: TCX, which came with Linux 6.6");
    }
    has_it
}

/// Whether this machine is only for the tests, so that its kernel may be changed until it is switched off. If not,
/// prints on stderr what is skipped.
pub fn own_machine(what: &str) -> bool {
    let is_own = std::env::var_os("FLOW_AGENT_TEST_OWN_MACHINE").is_some_and(|value| value == "1");
    if !is_own {
        eprintln!("NOT HERE: {what}; `cargo xtask test --kernels` has machines for it");
    }
    is_own
}

/// How often to do what is normally done `full` times: less often on an emulated machine, where a program takes a
/// second to start.
pub fn rounds(full: usize) -> usize {
    let is_emulated = std::env::var_os("FLOW_AGENT_TEST_EMULATED").is_some_and(|value| value == "1");
    if is_emulated { full.div_ceil(5) } else { full }
}

/// Whether everything that can guard eBPF is enabled here. Such settings cannot be reverted.
pub fn is_guarded() -> bool {
    std::env::var_os("FLOW_AGENT_TEST_GUARDED").is_some_and(|value| value == "1")
}

/// The places at which programs can be attached on this kernel.
pub fn places() -> Vec<AttachPlace> {
    if has_tcx() { vec![AttachPlace::Tcx, AttachPlace::Clsact] } else { vec![AttachPlace::Clsact] }
}

/// Starts an agent's backend in the namespace of the calling thread.
pub fn start(options: &BackendOptions) -> Result<Started, BackendError> {
    ebpf::start(options, clock::now())
}

/// Why an agent's backend does not start.
pub fn refusal(options: &BackendOptions) -> BackendError {
    match start(options) {
        Ok(_) => panic!("it started"),
        Err(error) => error,
    }
}

/// Starts a successor of the agent whose counters these are, after it was killed: its backend no longer exists, but
/// what it had in the kernel does.
pub fn succeed(killed: Box<dyn Backend>, options: &BackendOptions) -> Started {
    let known_epochs = [killed.identity().epoch].into();
    drop(killed);
    start(&BackendOptions { known_epochs, ..options.clone() }).unwrap()
}

pub fn read_all(backend: &mut dyn Backend) -> Reading {
    backend.read(&clock::now).unwrap()
}

/// The present counters of one port.
pub fn read(backend: &mut dyn Backend, port: u16) -> Counters {
    read_all(backend).ports[&port]
}

/// A reading in the form of the independent observer: UDP only, bytes and packets.
pub fn as_observed(ports: impl IntoIterator<Item = (u16, Counters)>) -> Observed {
    let mut observed = Observed::new();
    for (port, counters) in ports {
        let [tcp_in, tcp_in_packets, tcp_out, tcp_out_packets, udp_in, udp_in_packets, udp_out, udp_out_packets] =
            counters.to_array();
        for (protocol, chain, numbers) in [
            ("tcp", "INPUT", (tcp_in, tcp_in_packets)),
            ("tcp", "OUTPUT", (tcp_out, tcp_out_packets)),
            ("udp", "INPUT", (udp_in, udp_in_packets)),
            ("udp", "OUTPUT", (udp_out, udp_out_packets)),
        ] {
            observed.insert((port, protocol.into(), chain.into()), numbers);
        }
    }
    observed
}

/// Sends `count` datagrams of `payload` bytes. IPv4 adds 28 bytes of headers to each, and IPv6 48.
pub fn send(from: IpAddr, to: (IpAddr, u16), payload: usize, count: usize) {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    for _ in 0..count {
        // Not connected: otherwise, if nobody listens, sending would fail because an earlier datagram was rejected.
        socket.send_to(&vec![b'x'; payload], SocketAddr::from(to)).unwrap();
    }
}

/// Inspects as an agent does: what is broken is reported first and then repaired. Returns both as one inspection.
pub fn inspect(backend: &mut dyn Backend) -> Inspection {
    let found = backend.inspect(clock::now()).unwrap();
    if !found.is_broken {
        return found;
    }
    assert!(!found.unseen.is_empty() && found.retired.is_empty());
    let repaired = backend.inspect(clock::now()).unwrap();
    assert!(!repaired.is_broken);
    repaired
}

/// The directory of the instance's pins.
pub fn pins(pair: &Pair) -> PathBuf {
    pair.bpffs.join("flow-agent").join(INSTANCE)
}

/// The names of the pinned sets.
pub fn pinned_sets(pair: &Pair) -> Vec<String> {
    sets_in(&pins(pair))
}

/// The names of the pinned sets of all instances.
pub fn sets_of_all_instances(pair: &Pair) -> Vec<String> {
    let Ok(instances) = std::fs::read_dir(pair.bpffs.join("flow-agent")) else { return Vec::new() };
    instances.flat_map(|instance| sets_in(&instance.unwrap().path())).collect()
}

fn sets_in(pins: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(pins).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("v1-"))
        .collect();
    names.sort();
    names
}

/// The index of a device in the calling thread's namespace.
pub fn index_of(device: &str) -> u32 {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev_mcast").unwrap();
    let line = text.lines().find(|line| line.split_whitespace().nth(1) == Some(device));
    line.unwrap().split_whitespace().next().unwrap().parse().unwrap()
}
