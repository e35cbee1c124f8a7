//! The pure frame parser: determines which port owns a frame, and how many bytes and packets it counts.
//!
//! It is generic over [`Frame`], which reads bytes at an offset, so that the same code runs in the kernel, in the tests
//! and in the fuzzer. It reads only headers, never a payload, and walks at most two VLAN tags and
//! [`ipv6::MOST_EXTENSIONS`] extension headers.
//!
//! The bytes counted are those of the IP packet, including its headers and excluding the link-layer header and padding:
//! the IP header's own length if it is not zero and lies within the frame. Otherwise (for a super-packet too long for
//! the field), and for what is not IP, they are all bytes after the link-layer header.
//!
//! The fragments of a datagram together count what the datagram would count in one piece: one IP header, no IPv6
//! fragment headers, one packet. With [`Count::Wire`] every fragment counts as it is.

mod ethernet;
mod ipv4;
pub mod ipv6;
mod plain;
mod reset;
pub mod slice;
#[cfg(test)]
mod tests;
mod transport;

pub use plain::parse_plain;
pub use reset::is_bare_reset;

#[cfg(not(target_arch = "bpf"))]
use core::fmt;

use crate::wire::{FragmentKey, Reserved};

/// A frame that can be read: the kernel's packet, or a slice.
pub trait Frame {
    /// The length in bytes, from the link-layer header (if there is one) to the end, as the device counts it.
    fn length(&self) -> u32;

    /// Reads `N` words of 16 bits in network byte order, at `offset` bytes from the start of the frame; `None` if they
    /// cannot be read. Every header that is read here starts at an even offset and consists of such words.
    fn read<const N: usize>(&self, offset: u32) -> Option<[u16; N]>;

    /// The kernel's classification of the frame (an EtherType). Used only if there is no link-layer header.
    fn protocol(&self) -> u16;

    /// The payload bytes of each segment of a super-packet; 0 for any other frame.
    fn gso_size(&self) -> u32;

    /// The index of the network interface.
    fn interface(&self) -> u32;

    /// Whether the frame is addressed to another host on the link (`PACKET_OTHERHOST`).
    fn is_for_other_host(&self) -> bool;
}

/// The first header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// An Ethernet header.
    Ethernet,
    /// Nothing: the IP header comes first.
    Ip,
}

/// The direction of a frame as seen by the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
// The classifiers do not use these derives, which would change their machine code.
#[cfg_attr(not(target_arch = "bpf"), derive(PartialOrd, Ord, Hash))]
pub enum Direction {
    /// The local port is the destination port.
    Ingress,
    /// The local port is the source port.
    Egress,
}

#[cfg(not(target_arch = "bpf"))]
impl Direction {
    /// Both directions, in the order in which programs are attached.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// Either `ingress` or `egress`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

#[cfg(not(target_arch = "bpf"))]
impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How super-packets and fragments are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// As the IP packets that the host's own network stack sees, which is also what iptables counts.
    Ip,
    /// As the IP packets on the wire: each segment and each fragment with its own headers. This is inexact for
    /// super-packets inside a tunnel, because their inner headers are not read.
    Wire,
}

/// The transport protocols whose ports are counted.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "bpf"), derive(PartialOrd, Ord, Hash))]
pub enum Protocol {
    Tcp = 6,
    Udp = 17,
}

#[cfg(not(target_arch = "bpf"))]
impl Protocol {
    /// Both protocols.
    pub const BOTH: [Self; 2] = [Self::Tcp, Self::Udp];
}

/// The amounts to add to a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    pub bytes: u64,
    pub packets: u64,
}

/// The owner of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The local port.
    Port,
    /// The local port, which also owns the datagram's other fragments. Those do not contain their port.
    FirstFragment,
    /// The port in the datagram's first fragment, or [`Reserved::FragmentUnmatched`] if that is unknown.
    LaterFragment,
    /// No port.
    Nobody(Reserved),
}

/// The owner of a frame, and what the frame counts.
///
/// Every field is always set, although not every field is meaningful for every owner. With optional values the compiler
/// would save and restore uninitialized registers, which the kernel's verifier refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub owner: Owner,
    /// TCP if there is no port.
    pub protocol: Protocol,
    /// The local port, or 0 if there is none.
    pub port: u16,
    /// The amounts to charge to the owner.
    pub charge: Charge,
    /// The amounts to charge if the frame is not treated as part of a datagram.
    pub alone: Charge,
}

/// Determines who owns `frame` and what it counts. If it is a fragment, `datagram` is set to its datagram.
#[inline(always)]
pub fn parse<F: Frame>(frame: &F, link: Link, direction: Direction, count: Count, datagram: &mut FragmentKey) -> Entry {
    let mut parser = Parser { frame, direction, count, datagram };
    let entry = match link {
        Link::Ethernet => parser.ethernet(),
        Link::Ip => parser.network(frame.protocol(), 0),
    };
    if frame.is_for_other_host() {
        return Entry { owner: Owner::Nobody(Reserved::OtherHost), charge: entry.alone, ..entry };
    }
    entry
}

/// The state of the parser. Each file of this module parses one kind of header.
struct Parser<'a, F> {
    frame: &'a F,
    direction: Direction,
    count: Count,
    datagram: &'a mut FragmentKey,
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

impl<F: Frame> Parser<'_, F> {
    /// Parses the network layer, which starts at `start`.
    #[inline(always)]
    fn network(&mut self, ethertype: u16, start: u32) -> Entry {
        match ethertype {
            ETHERTYPE_IPV4 => self.ipv4(start),
            ETHERTYPE_IPV6 => self.ipv6(start),
            _ => nobody(Reserved::NonIp, self.rest(start)),
        }
    }

    /// The number of bytes from `start` to the end of the frame.
    #[inline(always)]
    fn rest(&self, start: u32) -> u32 {
        self.frame.length().saturating_sub(start)
    }
}

/// The length of the IP packet at `start`, whose header has been read already and states the length `said` (0 if it
/// does not state one).
#[inline(always)]
fn ip_bytes<F: Frame>(frame: &F, start: u32, said: u32) -> u32 {
    // The header has been read, so `start` lies within the frame.
    let present = frame.length().wrapping_sub(start);
    // If `said` is 0, the subtraction wraps to the largest number.
    if said.wrapping_sub(1) < present { said } else { present }
}

#[inline(always)]
fn one_packet(bytes: u32) -> Charge {
    Charge { bytes: u64::from(bytes), packets: 1 }
}

#[inline(always)]
fn nobody(line: Reserved, bytes: u32) -> Entry {
    let charge = one_packet(bytes);
    Entry { owner: Owner::Nobody(line), protocol: Protocol::Tcp, port: 0, charge, alone: charge }
}

/// A truncated or malformed packet.
#[inline(always)]
fn unparsed(bytes: u32) -> Entry {
    nobody(Reserved::Unparsed, bytes)
}
