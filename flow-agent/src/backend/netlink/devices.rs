//! Devices, the default routes through them, and their own counters.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;

use super::{NLM_F_DUMP, Request, attributes, read_text, read_u16, read_u32, read_u64};
use crate::backend::BackendError;
use crate::backend::interface::{Interface, LinkLayer};
use crate::ledger::counters::Device;

// include/uapi/linux/rtnetlink.h, if_link.h
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_GETNEXTHOP: u16 = 106;
// include/uapi/linux/nexthop.h
const NHA_ID: u16 = 1;
const NHA_GROUP: u16 = 2;
const NHA_OIF: u16 = 5;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RT_SCOPE_UNIVERSE: u8 = 0;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_STATS64: u16 = 23;
const IFLA_EXT_MASK: u16 = 29;
const IFLA_LINK_NETNSID: u16 = 37;
const RTEXT_FILTER_SKIP_STATS: u32 = 8;
const RTA_DST: u16 = 1;
const RTA_SRC: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_MULTIPATH: u16 = 9;
const RTA_NH_ID: u16 = 30;
const RTN_UNICAST: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// The size of `struct ifinfomsg`: family, padding, type (at 2), index (at 4), flags, change.
const LINK_HEADER: usize = 16;
/// The size of `struct ifaddrmsg`: family, prefix length, flags, scope (at 3), index (at 4).
const ADDRESS_HEADER: usize = 8;
/// The size of `struct rtmsg`: family, destination's length (at 1), …, table (at 4), protocol, scope, type (at 7),
/// flags.
const ROUTE_HEADER: usize = 12;
/// The size of `struct nhmsg`: family, scope, protocol, reserved, flags.
const NEXT_HOP_OBJECT_HEADER: usize = 8;
/// The size of `struct rtnexthop`: length, flags, hops, index (at 4).
const NEXT_HOP_HEADER: usize = 8;

/// All devices of this network namespace. `default_routes` holds the indices of those that carry a default route.
///
/// # Errors
/// When the kernel does not answer.
pub fn interfaces(default_routes: &BTreeSet<u32>) -> Result<Vec<Interface>, BackendError> {
    let mut request = Request::new(RTM_GETLINK, NLM_F_DUMP, &[0; LINK_HEADER]);
    request.attribute(IFLA_EXT_MASK, &RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
    let answers = request.ask().map_err(|source| BackendError::Netlink { action: "list the interfaces", source })?;
    Ok(answers
        .iter()
        .filter(|(message_type, _)| *message_type == RTM_NEWLINK)
        .filter_map(|(_, body)| interface(body, default_routes))
        .collect())
}

/// The indices of the devices through which a default route leaves, for IPv4 and IPv6 and in any table, because policy
/// rules and VRFs use tables of their own.
///
/// # Errors
/// When the kernel does not answer.
pub fn default_routes() -> Result<BTreeSet<u32>, BackendError> {
    let mut indices = BTreeSet::new();
    let mut objects = BTreeSet::new();
    for family in [AF_INET, AF_INET6] {
        let mut header = [0; ROUTE_HEADER];
        header[0] = family;
        let answers = match Request::new(RTM_GETROUTE, NLM_F_DUMP, &header).ask() {
            Ok(answers) => answers,
            // The kernel has no IPv6.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::OPNOTSUPP.raw_os_error()) => continue,
            Err(source) => return Err(BackendError::Netlink { action: "list the routes", source }),
        };
        for (_, body) in answers.iter().filter(|(kind, _)| *kind == RTM_NEWROUTE) {
            let leaves = leaves(body);
            indices.extend(leaves.devices);
            objects.extend(leaves.object);
        }
    }
    // Next hop objects exist since Linux 5.3. Routes list their devices as well, unless net.ipv4.nexthop_compat_mode is
    // 0.
    if !objects.is_empty() {
        let answers = Request::new(RTM_GETNEXTHOP, NLM_F_DUMP, &[0; NEXT_HOP_OBJECT_HEADER])
            .ask()
            .map_err(|source| BackendError::Netlink { action: "list the next hops", source })?;
        let answers = answers.iter().filter(|(kind, _)| *kind == RTM_NEWNEXTHOP);
        let hops: Vec<NextHop> = answers.filter_map(|(_, body)| next_hop(body)).collect();
        indices.extend(devices_of(&objects, &hops));
    }
    Ok(indices)
}

/// The device by which the kernel sends from `local` to `peer`.
///
/// # Errors
/// When there is no route, or `local` is not an address of this host.
pub fn route(local: IpAddr, peer: IpAddr) -> io::Result<Option<u32>> {
    let bytes = |address| match address {
        IpAddr::V4(address) => (AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (AF_INET6, address.octets().to_vec()),
    };
    let ((family, peer), (_, local)) = (bytes(peer), bytes(local));
    let bits = u8::try_from(peer.len() * 8).expect("at most 128");
    let mut header = [0; ROUTE_HEADER];
    (header[0], header[1], header[2]) = (family, bits, bits);
    let mut request = Request::new(RTM_GETROUTE, 0, &header);
    request.attribute(RTA_DST, &peer).attribute(RTA_SRC, &local);
    request.flags |= super::NLM_F_ACK;
    let answers = request.ask()?;
    let routes = answers.iter().filter(|(kind, _)| *kind == RTM_NEWROUTE);
    let device = |body| attributes(body, ROUTE_HEADER).find(|(kind, _)| *kind == RTA_OIF);
    Ok(routes.filter_map(|(_, body)| device(body)).find_map(|(_, value)| read_u32(value, 0)))
}

/// The device's own counters since it was made. `None` if there is no such device.
///
/// # Errors
/// When the kernel does not answer.
pub fn device(index: u32) -> Result<Option<Device>, BackendError> {
    let mut header = [0; LINK_HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    match Request::new(RTM_GETLINK, super::NLM_F_ACK, &header).ask() {
        Ok(answers) => Ok(answers.iter().find_map(|(_, body)| counters(body))),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => Ok(None),
        Err(source) => Err(BackendError::Netlink { action: "read the counters of an interface", source }),
    }
}

/// The own counters of all devices, by index, with a single request.
///
/// # Errors
/// When the kernel does not answer.
pub fn devices() -> Result<BTreeMap<u32, Device>, BackendError> {
    let answers = Request::new(RTM_GETLINK, NLM_F_DUMP, &[0; LINK_HEADER])
        .ask()
        .map_err(|source| BackendError::Netlink { action: "read the counters of the interfaces", source })?;
    let answers = answers.iter().filter(|(message_type, _)| *message_type == RTM_NEWLINK);
    Ok(answers.filter_map(|(_, body)| Some((read_u32(body, 4)?, counters(body)?))).collect())
}

fn interface(body: &[u8], default_routes: &BTreeSet<u32>) -> Option<Interface> {
    let index = read_u32(body, 4)?;
    Some(Interface {
        index,
        name: name(body)?,
        device_type: read_u16(body, 2)?,
        default_route: default_routes.contains(&index),
        kind: kind(body),
        below: below(body).filter(|below| *below != index),
        master: number(body, IFLA_MASTER),
        has_address: false,
    })
}

/// The kind of virtual device, such as `bridge`. Empty for hardware.
fn kind(body: &[u8]) -> String {
    let info = attributes(body, LINK_HEADER).find(|(kind, _)| *kind == IFLA_LINKINFO);
    let kind = info.and_then(|(_, info)| attributes(info, 0).find(|(kind, _)| *kind == IFLA_INFO_KIND));
    kind.map(|(_, text)| read_text(text)).unwrap_or_default()
}

/// The lower device, if it is in this network namespace.
fn below(body: &[u8]) -> Option<u32> {
    let elsewhere = attributes(body, LINK_HEADER).any(|(kind, _)| kind == IFLA_LINK_NETNSID);
    number(body, IFLA_LINK).filter(|index| !elsewhere && *index != 0)
}

fn number(body: &[u8], wanted: u16) -> Option<u32> {
    attributes(body, LINK_HEADER).find(|(kind, _)| *kind == wanted).and_then(|(_, value)| read_u32(value, 0))
}

/// The indices of the devices that have an address with global scope.
///
/// # Errors
/// When the kernel does not answer.
pub fn with_addresses() -> Result<BTreeSet<u32>, BackendError> {
    let answers = Request::new(RTM_GETADDR, NLM_F_DUMP, &[0; ADDRESS_HEADER])
        .ask()
        .map_err(|source| BackendError::Netlink { action: "list the addresses", source })?;
    let answers = answers.iter().filter(|(kind, body)| *kind == RTM_NEWADDR && body.get(3) == Some(&RT_SCOPE_UNIVERSE));
    Ok(answers.filter_map(|(_, body)| read_u32(body, 4)).collect())
}

fn name(body: &[u8]) -> Option<String> {
    attributes(body, LINK_HEADER).find(|(kind, _)| *kind == IFLA_IFNAME).map(|(_, value)| read_text(value))
}

/// Reads `struct rtnl_link_stats64`, which begins with rx_packets, tx_packets, rx_bytes, tx_bytes.
fn counters(body: &[u8]) -> Option<Device> {
    let (_, stats) = attributes(body, LINK_HEADER).find(|(kind, _)| *kind == IFLA_STATS64)?;
    let interface = interface(body, &BTreeSet::new())?;
    Some(Device {
        link_header_bytes: match interface.link_layer() {
            Some(LinkLayer::Ip) => Some(0),
            Some(LinkLayer::Ethernet) | None => None,
        },
        name: interface.name,
        rx_packets: read_u64(stats, 0)?,
        tx_packets: read_u64(stats, 8)?,
        rx_bytes: read_u64(stats, 16)?,
        tx_bytes: read_u64(stats, 24)?,
    })
}

/// The devices through which a route leaves.
#[derive(Debug, Default, PartialEq, Eq)]
struct Leaves {
    devices: Vec<u32>,
    /// The id of a next hop object, or of a group of such objects.
    object: Option<u32>,
}

/// Where a route leads, if it is a default route; otherwise nothing.
fn leaves(body: &[u8]) -> Leaves {
    let is_default = body.get(1) == Some(&0) && body.get(7) == Some(&RTN_UNICAST);
    let mut leaves = Leaves::default();
    if !is_default {
        return leaves;
    }
    for (kind, value) in attributes(body, ROUTE_HEADER) {
        match kind {
            RTA_OIF => leaves.devices.extend(read_u32(value, 0)),
            RTA_MULTIPATH => leaves.devices.extend(next_hops(value)),
            RTA_NH_ID => leaves.object = read_u32(value, 0),
            _ => {}
        }
    }
    leaves
}

/// A next hop object: a device, or a group of other objects.
#[derive(Debug, PartialEq, Eq)]
struct NextHop {
    id: u32,
    device: Option<u32>,
    group: Vec<u32>,
}

fn next_hop(body: &[u8]) -> Option<NextHop> {
    let mut hop = NextHop { id: 0, device: None, group: Vec::new() };
    for (kind, value) in attributes(body, NEXT_HOP_OBJECT_HEADER) {
        match kind {
            NHA_ID => hop.id = read_u32(value, 0)?,
            NHA_OIF => hop.device = read_u32(value, 0),
            // `struct nexthop_grp` is 8 bytes long and begins with the id.
            NHA_GROUP => hop.group = value.chunks_exact(8).filter_map(|member| read_u32(member, 0)).collect(),
            _ => {}
        }
    }
    Some(hop)
}

/// The devices of the next hops with these ids. Groups are not nested.
fn devices_of(ids: &BTreeSet<u32>, hops: &[NextHop]) -> Vec<u32> {
    let groups = hops.iter().filter(|hop| ids.contains(&hop.id)).flat_map(|hop| &hop.group);
    let all: BTreeSet<u32> = groups.chain(ids).copied().collect();
    hops.iter().filter(|hop| all.contains(&hop.id)).filter_map(|hop| hop.device).collect()
}

fn next_hops(mut hops: &[u8]) -> Vec<u32> {
    let mut indices = Vec::new();
    while let (Some(length), Some(index)) = (read_u16(hops, 0), read_u32(hops, 4)) {
        indices.push(index);
        let length = usize::from(length).max(NEXT_HOP_HEADER).next_multiple_of(4).min(hops.len());
        hops = &hops[length..];
    }
    indices
}

#[cfg(test)]
mod tests;
