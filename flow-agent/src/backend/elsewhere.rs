//! EDGE kernel: traffic of watched ports on devices that are not counted.
//!
//! Only open TCP connections are known, and the device that the kernel would use to send to each peer. For these
//! connections the answer is exact unless a policy routing rule uses packet marks. Connections that have ended by the
//! time of the look, UDP, and forwarded traffic are not seen.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::net::IpAddr;

use procfs::FromBufReadSI as _;
use procfs::net::{TcpNetEntries, TcpState};

use super::{BackendError, host, netlink, stacks};

/// The largest number of address pairs whose routes are looked up.
const MOST_ROUTES: usize = 1_000;

/// A device that is not counted although connections of watched ports use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    pub interface: String,
    pub ports: BTreeSet<u16>,
}

impl Elsewhere {
    pub fn help(&self) -> String {
        format!("add `{}` to `count.interfaces` if its traffic should be counted", self.interface)
    }
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ports = self.ports.iter().take(10).map(u16::to_string).collect::<Vec<_>>().join(", ");
        let more = if self.ports.len() > 10 { ", …" } else { "" };
        write!(f, "TCP connections of port {ports}{more} use `{}`, which is not counted", self.interface)
    }
}

/// The devices that carry connections of `watched` ports without being seen by any counter: neither the device itself
/// nor one that it is stacked on is `counted`.
///
/// # Errors
/// When the kernel does not list the devices.
pub fn look(watched: &BTreeSet<u16>, counted: &[String]) -> Result<Vec<Elsewhere>, BackendError> {
    let mut by_addresses: BTreeMap<(IpAddr, IpAddr), BTreeSet<u16>> = BTreeMap::new();
    for (port, addresses) in connections(watched) {
        if by_addresses.len() < MOST_ROUTES || by_addresses.contains_key(&addresses) {
            by_addresses.entry(addresses).or_default().insert(port);
        }
    }
    let mut by_device: BTreeMap<u32, BTreeSet<u16>> = BTreeMap::new();
    for ((local, peer), ports) in by_addresses {
        match netlink::route(local, peer) {
            Ok(Some(device)) => by_device.entry(device).or_default().extend(ports),
            Ok(None) => {}
            // The address or the route has gone away meanwhile.
            Err(error) => tracing::debug!(%error, %peer, "no route"),
        }
    }
    let present = netlink::interfaces(&BTreeSet::new())?;
    let seen: BTreeSet<u32> = present
        .iter()
        .filter(|interface| counted.contains(&interface.name))
        .flat_map(|interface| stacks::seen_at(interface, &present))
        .collect();
    let uncounted = by_device.into_iter().filter(|(device, _)| !seen.contains(device) && *device != host::LOOPBACK);
    let name = |device: u32| present.iter().find(|interface| interface.index == device);
    Ok(uncounted
        .filter_map(|(device, ports)| Some(Elsewhere { interface: name(device)?.name.clone(), ports }))
        .collect())
}

/// The open connections of `watched` ports: the port, the local address and the peer's address.
fn connections(watched: &BTreeSet<u16>) -> Vec<(u16, (IpAddr, IpAddr))> {
    let mut found = Vec::new();
    for table in ["tcp", "tcp6"] {
        let Ok(file) = File::open(format!("/proc/thread-self/net/{table}")) else { continue };
        let entries = TcpNetEntries::from_buf_read(BufReader::new(file), procfs::current_system_info());
        let open = entries.map(|entries| entries.0).unwrap_or_default().into_iter();
        let open = open.filter(|entry| entry.state == TcpState::Established);
        found.extend(open.filter(|entry| watched.contains(&entry.local_address.port())).map(|entry| {
            let addresses = (entry.local_address.ip().to_canonical(), entry.remote_address.ip().to_canonical());
            (entry.local_address.port(), addresses)
        }));
    }
    found
}
