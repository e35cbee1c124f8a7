//! TCP and UDP: the local port, and what the packet counts.

use core::num::NonZero;

use super::{Charge, Count, Direction, Entry, Frame, Owner, Parser, Protocol, ipv6, nobody, one_packet, unparsed};
use crate::wire::Reserved;

pub(super) const TCP: u8 = Protocol::Tcp as u8;
pub(super) const UDP: u8 = Protocol::Udp as u8;
const UDP_HEADER: u32 = 8;
/// Both ports are in the first four bytes of either header.
pub(super) const PORTS: u32 = 4;

/// An IP packet whose own headers have been read.
#[derive(Clone, Copy)]
pub(super) struct Packet {
    /// The offset in the frame at which it starts.
    pub(super) start: u32,
    pub(super) bytes: u32,
    /// The number of bytes before the transport header, or before the fragment's part of the datagram.
    pub(super) headers: u32,
    /// Those bytes of `headers` that the datagram would not have in one piece.
    pub(super) fragment_header: u32,
}

/// The part of its datagram that a packet contains.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// The first fragment, which contains the transport header.
    First,
    /// Any other fragment.
    Later,
}

impl<F: Frame> Parser<'_, F> {
    #[inline(always)]
    pub(super) fn transport(&mut self, packet: Packet, protocol: u8, part: Part) -> Entry {
        if part == Part::Later {
            return self.later_fragment(packet, protocol);
        }
        let protocol = match protocol {
            TCP => Protocol::Tcp,
            UDP => Protocol::Udp,
            _ => return nobody(Reserved::OtherIp, packet.bytes),
        };
        if packet.headers + PORTS > packet.bytes {
            return unparsed(packet.bytes);
        }
        let Some([source, destination]) = self.frame.read(packet.start + packet.headers) else {
            return unparsed(packet.bytes);
        };
        let port = match self.direction {
            Direction::Ingress => destination,
            Direction::Egress => source,
        };
        let charge = match self.count {
            Count::Ip => one_packet(packet.bytes - packet.fragment_header),
            Count::Wire => match self.on_the_wire(packet, protocol) {
                Some(charge) => charge,
                None => return unparsed(packet.bytes),
            },
        };
        let owner = if part == Part::First { Owner::FirstFragment } else { Owner::Port };
        Entry { owner, protocol, port, charge, alone: one_packet(packet.bytes) }
    }

    #[inline(always)]
    fn later_fragment(&self, packet: Packet, protocol: u8) -> Entry {
        // In IPv6 only the first fragment tells which protocol follows the other headers.
        let may_have_ports =
            matches!(protocol, TCP | UDP) || (self.datagram.ip_version == 6 && ipv6::is_extension(protocol));
        if !may_have_ports {
            return nobody(Reserved::OtherIp, packet.bytes);
        }
        let alone = one_packet(packet.bytes);
        let charge = match self.count {
            Count::Ip => Charge { bytes: u64::from(packet.bytes - packet.headers), packets: 0 },
            Count::Wire => alone,
        };
        Entry { owner: Owner::LaterFragment, protocol: Protocol::Tcp, port: 0, charge, alone }
    }

    /// What a packet amounts to on the wire, where every `gso_size` bytes of a super-packet's payload have their own
    /// copy of the headers.
    #[inline(always)]
    fn on_the_wire(&self, packet: Packet, protocol: Protocol) -> Option<Charge> {
        let Some(gso_size) = NonZero::new(self.frame.gso_size()) else { return Some(one_packet(packet.bytes)) };
        let transport = match protocol {
            Protocol::Tcp => {
                let [data_offset] = self.frame.read(packet.start + packet.headers + 12)?;
                u32::from(data_offset >> 12) * 4
            }
            Protocol::Udp => UDP_HEADER,
        };
        let headers = packet.headers + transport;
        let segments = u64::from(packet.bytes.saturating_sub(headers).div_ceil(gso_size.get()).max(1));
        Some(Charge { bytes: u64::from(packet.bytes) + (segments - 1) * u64::from(headers), packets: segments })
    }
}
