//! Plain packets, which nearly all packets are: the same result as [`super::parse`] in fewer steps.

use super::transport::{PORTS, TCP, UDP};
use super::{
    Count, Direction, ETHERTYPE_IPV4, ETHERTYPE_IPV6, Entry, Frame, Link, Owner, Protocol, ethernet, ipv4, ipv6,
    one_packet,
};

/// The same result as [`super::parse`] for a TCP or UDP packet without VLAN tags, IPv4 options or IPv6 extension
/// headers that is not a fragment, need not be split into segments, and whose header states a length within the frame.
/// `None` for every other frame, and if the frame cannot be read.
///
/// All headers are read in one step, so that their bounds are checked only once.
#[inline(always)]
pub fn parse_plain<F: Frame>(frame: &F, link: Link, direction: Direction, count: Count) -> Option<Entry> {
    if frame.is_for_other_host() || (count == Count::Wire && frame.gso_size() != 0) {
        return None;
    }
    match link {
        Link::Ethernet => {
            let [_, _, _, _, _, _, ethertype, headers @ ..] = frame.read::<19>(0)?;
            match ethertype {
                ETHERTYPE_IPV4 => ipv4(frame, ethernet::HEADER, headers, direction),
                ETHERTYPE_IPV6 => {
                    let [_, _, _, _, _, _, _, headers @ ..] = frame.read::<29>(0)?;
                    ipv6(frame, ethernet::HEADER, headers, direction)
                }
                _ => None,
            }
        }
        Link::Ip => match frame.protocol() {
            ETHERTYPE_IPV4 => ipv4(frame, 0, frame.read(0)?, direction),
            ETHERTYPE_IPV6 => ipv6(frame, 0, frame.read(0)?, direction),
            _ => None,
        },
    }
}

/// Parses the IPv4 header and the ports.
#[inline(always)]
fn ipv4<F: Frame>(frame: &F, start: u32, headers: [u16; 12], direction: Direction) -> Option<Entry> {
    let [version, length, _, fragment, protocol, .., source, destination] = headers;
    if version >> 8 != 0x45 || fragment & ipv4::FRAGMENT != 0 {
        return None;
    }
    let packet = Packet { start, bytes: u32::from(length), headers: ipv4::SMALLEST_HEADER + PORTS };
    transport(frame, packet, protocol as u8, [source, destination], direction)
}

/// Parses the IPv6 header and the ports.
#[inline(always)]
fn ipv6<F: Frame>(frame: &F, start: u32, headers: [u16; 22], direction: Direction) -> Option<Entry> {
    let [version, _, payload, protocol, .., source, destination] = headers;
    if version >> 12 != 6 {
        return None;
    }
    // If the header does not state a payload length, the result is too small to contain the ports.
    let packet = Packet { start, bytes: ipv6::HEADER + u32::from(payload), headers: ipv6::HEADER + PORTS };
    transport(frame, packet, (protocol >> 8) as u8, [source, destination], direction)
}

/// An IP packet as described by its header.
struct Packet {
    /// The offset in the frame at which it starts.
    start: u32,
    bytes: u32,
    /// The number of bytes up to the end of the ports.
    headers: u32,
}

#[inline(always)]
fn transport<F: Frame>(
    frame: &F,
    Packet { start, bytes, headers }: Packet,
    protocol: u8,
    [source, destination]: [u16; 2],
    direction: Direction,
) -> Option<Entry> {
    // One comparison checks that `bytes` is neither less than what was read (it would wrap) nor more than there is.
    if bytes.wrapping_sub(headers) > frame.length().wrapping_sub(start + headers) {
        return None;
    }
    let protocol = match protocol {
        TCP => Protocol::Tcp,
        UDP => Protocol::Udp,
        _ => return None,
    };
    let port = match direction {
        Direction::Ingress => destination,
        Direction::Egress => source,
    };
    let charge = one_packet(bytes);
    Some(Entry { owner: Owner::Port, protocol, port, charge, alone: charge })
}
