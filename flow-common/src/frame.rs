//! The pure frame parser: whose a frame is, and how many bytes and packets it counts.
//!
//! Generic over [`Frame`], which reads bytes at an offset, so that the same code runs in the kernel, in the tests and in
//! the fuzzer. It looks at headers only, never at a payload, and walks at most two VLAN tags and
//! [`ipv6::MOST_EXTENSIONS`] extension headers.
//!
//! A byte is one byte of the IP packet, its headers included and the link-layer header and padding excluded: the IP
//! header's own length where that is not zero and lies within the frame, else (a super-packet that is too long for the
//! field) all that follows the link-layer header. What is not IP counts all that follows the link-layer header.
//!
//! The parts of a fragmented datagram count what the datagram would count if it came in one piece: one IP header, no IPv6
//! fragment headers, one packet. With [`Count::Wire`] they count as they are.

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

/// A frame as somebody holds it: the kernel's packet, or a slice.
pub trait Frame {
    /// Bytes from the link-layer header (where there is one) to the end, as the device counts them.
    fn length(&self) -> u32;

    /// `N` words of 16 bits, in network byte order, at `offset` bytes from the start of the frame; `None` where they
    /// cannot be read. Every header that is read here begins at an even offset and is made of such words.
    fn read<const N: usize>(&self, offset: u32) -> Option<[u16; N]>;

    /// What the kernel takes the frame for (an EtherType). Only asked where there is no link-layer header.
    fn protocol(&self) -> u16;

    /// Payload bytes of each segment of a super-packet; 0 for any other frame.
    fn gso_size(&self) -> u32;

    /// Index of the network interface.
    fn interface(&self) -> u32;

    /// Whether the frame is addressed to another host on the link (`PACKET_OTHERHOST`).
    fn is_for_other_host(&self) -> bool;
}

/// What a frame begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// An Ethernet header.
    Ethernet,
    /// Nothing: the IP header comes first.
    Ip,
}

/// Which way a frame goes, as the host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
// The classifiers need none of these, and must stay what they are, instruction for instruction.
#[cfg_attr(not(target_arch = "bpf"), derive(PartialOrd, Ord, Hash))]
pub enum Direction {
    /// The local port is the destination port.
    Ingress,
    /// The local port is the source port.
    Egress,
}

#[cfg(not(target_arch = "bpf"))]
impl Direction {
    /// Both, in the order in which they are attached.
    pub const BOTH: [Self; 2] = [Self::Ingress, Self::Egress];

    /// `ingress` or `egress`.
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

/// What is counted of a super-packet and of fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// The IP packets that the host's own stack sees: what iptables counts.
    Ip,
    /// The IP packets that cross the wire: each segment and each fragment with headers of its own. Not exact for
    /// super-packets inside a tunnel, whose inner headers are not seen.
    Wire,
}

/// The transport protocols that have ports of their own.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_arch = "bpf"), derive(PartialOrd, Ord, Hash))]
pub enum Protocol {
    Tcp = 6,
    Udp = 17,
}

#[cfg(not(target_arch = "bpf"))]
impl Protocol {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Tcp, Self::Udp];
}

/// What is added to a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    pub bytes: u64,
    pub packets: u64,
}

/// Whose a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The local port's.
    Port,
    /// The local port's, and so are all other fragments of the datagram, which do not say their port.
    FirstFragment,
    /// The port's that the datagram's first fragment named; where nobody knows it, [`Reserved::FragmentUnmatched`].
    LaterFragment,
    /// No port's.
    Nobody(Reserved),
}

/// Whose a frame is, and what it counts.
///
/// Every field is always set, though not every field means something for every owner: where a value may be absent, the
/// compiler saves and restores registers that hold nothing, and the kernel's verifier refuses that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub owner: Owner,
    /// TCP where there is no port.
    pub protocol: Protocol,
    /// The local port, or 0.
    pub port: u16,
    /// What the owner is charged.
    pub charge: Charge,
    /// What the frame counts if it belongs to no datagram.
    pub alone: Charge,
}

/// Says whose `frame` is and what it counts. Where it is a fragment, `datagram` is set to what it is a part of.
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

/// What is asked of every header. Each file of this module reads one kind of them.
struct Parser<'a, F> {
    frame: &'a F,
    direction: Direction,
    count: Count,
    datagram: &'a mut FragmentKey,
}

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

impl<F: Frame> Parser<'_, F> {
    /// The network layer, which begins at `start`.
    #[inline(always)]
    fn network(&mut self, ethertype: u16, start: u32) -> Entry {
        match ethertype {
            ETHERTYPE_IPV4 => self.ipv4(start),
            ETHERTYPE_IPV6 => self.ipv6(start),
            _ => nobody(Reserved::NonIp, self.rest(start)),
        }
    }

    /// All bytes from `start` on.
    #[inline(always)]
    fn rest(&self, start: u32) -> u32 {
        self.frame.length().saturating_sub(start)
    }
}

/// The bytes of the IP packet at `start`, whose header has been read and says that they are `said` (0: it does not
/// say).
#[inline(always)]
fn ip_bytes<F: Frame>(frame: &F, start: u32, said: u32) -> u32 {
    // What has been read lies within the frame.
    let present = frame.length().wrapping_sub(start);
    // Of 0 this makes the largest number.
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

/// Cut short or malformed.
#[inline(always)]
fn unparsed(bytes: u32) -> Entry {
    nobody(Reserved::Unparsed, bytes)
}
