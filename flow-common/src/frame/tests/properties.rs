//! Properties that hold for every frame.

use super::frames::*;
use super::{look, one_packet};
use crate::frame::slice::Slice;
use crate::frame::{Count, Direction, Entry, Link, Owner, Protocol};
use crate::wire::{FragmentKey, Reserved};
use proptest::prelude::*;

/// A frame that the parser must understand, and its parts.
#[derive(Clone, Debug)]
struct Known {
    tags: Vec<u16>,
    packet: Vec<u8>,
    /// The offset of the transport header in the packet.
    headers: usize,
    protocol: Protocol,
    source: u16,
    destination: u16,
    direction: Direction,
}

impl Known {
    fn frame(&self) -> Vec<u8> {
        tagged(&self.tags, &self.packet)
    }

    /// The offset in the frame at which the ports end.
    fn ports_end(&self) -> usize {
        14 + 4 * self.tags.len() + self.headers + 4
    }
}

fn directions() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Ingress), Just(Direction::Egress)]
}

fn counts() -> impl Strategy<Value = Count> {
    prop_oneof![Just(Count::Ip), Just(Count::Wire)]
}

fn links() -> impl Strategy<Value = Link> {
    prop_oneof![Just(Link::Ethernet), Just(Link::Ip)]
}

prop_compose! {
    /// TCP or UDP over IPv4 with options or over IPv6 with extension headers, after up to two tags.
    fn known()(
        tags in prop::collection::vec(prop_oneof![Just(0x8100), Just(0x88a8)], 0..=2),
        options in 0..=10u8,
        extensions in prop::collection::vec(
            (prop_oneof![Just(HOP_BY_HOP), Just(ROUTING), Just(DESTINATION), Just(135), Just(139), Just(140)], 1..=4u8),
            0..=8,
        ),
        v6 in any::<bool>(),
        protocol in prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)],
        source: u16,
        destination: u16,
        payload in 0..2000usize,
        direction in directions(),
    ) -> Known {
        let segment = match protocol {
            Protocol::Tcp => tcp(source, destination, payload),
            Protocol::Udp => udp(source, destination, payload),
        };
        let length = segment.len();
        let packet = if v6 {
            let (next, chain) = extensions.iter().fold((protocol as u8, segment), |(next, rest), (kind, eights)| {
                (*kind, extension(next, *eights, &rest))
            });
            ipv6(next, &chain)
        } else {
            ipv4_with(protocol as u8, options, 7, 0x4000, &segment)
        };
        let headers = packet.len() - length;
        Known { tags, packet, headers, protocol, source, destination, direction }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_counted_once_and_never_for_more_than_they_are(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        // What lies beyond the bytes cannot be read.
        beyond in 0..70_000u32,
        protocol in prop_oneof![Just(0x0800u16), Just(0x86dd), any::<u16>()],
        link in links(),
        direction in directions(),
    ) {
        let length = bytes.len() as u32 + beyond;
        let slice = Slice { length, protocol, ..Slice::new(&bytes) };
        let (entry, _) = look(&slice, link, direction, Count::Ip);
        prop_assert!(entry.charge.bytes <= u64::from(length));
        prop_assert!(entry.alone.bytes <= u64::from(length) && entry.alone.packets == 1);
        prop_assert!(entry.charge == entry.alone || matches!(entry.owner, Owner::FirstFragment | Owner::LaterFragment | Owner::Port));
    }

    /// Random bytes seldom get past the first header, but changed valid frames do.
    #[test]
    fn any_byte_of_a_good_frame_may_be_anything(
        known in known(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        gso_size in prop_oneof![Just(0), any::<u32>()],
        count in counts(),
    ) {
        let mut frame = known.frame();
        for (at, value) in changes {
            let at = at.index(frame.len().min(120));
            frame[at] = value;
        }
        let slice = Slice { gso_size, ..Slice::new(&frame) };
        let (entry, _) = look(&slice, Link::Ethernet, known.direction, count);
        prop_assert!(entry.alone.bytes <= frame.len() as u64);
    }

    #[test]
    fn a_good_frame_is_understood(known in known(), padding in prop::collection::vec(any::<u8>(), 0..50)) {
        let mut frame = known.frame();
        frame.extend(&padding);
        let port = match known.direction {
            Direction::Ingress => known.destination,
            Direction::Egress => known.source,
        };
        let charge = one_packet(known.packet.len() as u64);
        let expected = Entry { owner: Owner::Port, protocol: known.protocol, port, charge, alone: charge };
        let (entry, _) = look(&Slice::new(&frame), Link::Ethernet, known.direction, Count::Ip);
        prop_assert_eq!(entry, expected);
    }

    #[test]
    fn what_cannot_be_read_to_its_ports_is_unparsed(known in known(), cut in any::<prop::sample::Index>()) {
        let frame = known.frame();
        let cut = cut.index(frame.len());
        for length in [frame.len(), cut] {
            let slice = Slice { length: length as u32, ..Slice::new(&frame[..cut]) };
            let (entry, _) = look(&slice, Link::Ethernet, known.direction, Count::Ip);
            let expected =
                if cut < known.ports_end() { Owner::Nobody(Reserved::Unparsed) } else { Owner::Port };
            prop_assert_eq!(entry.owner, expected);
        }
    }

    #[test]
    fn fragments_add_up_to_the_datagram(
        payload in 16..3000usize,
        size in 1..100usize,
        options in 0..=10u8,
        identification: u16,
        v6 in any::<bool>(),
        direction in directions(),
    ) {
        let datagram = udp(1000, 2000, payload);
        let size = size * 8;
        prop_assume!(size < datagram.len());
        let mut bytes = 0;
        let mut packets = 0;
        let mut keys: Vec<FragmentKey> = Vec::new();
        for (number, part) in datagram.chunks(size).enumerate() {
            let offset = (number * size / 8) as u16;
            let more = (number + 1) * size < datagram.len();
            let packet = if v6 {
                ipv6(FRAGMENT, &fragment6(UDP, offset, more, u32::from(identification), part))
            } else {
                ipv4_with(UDP, options, identification, offset | u16::from(more) << 13, part)
            };
            let (entry, key) = look(&Slice::new(&frame(&packet)), Link::Ethernet, direction, Count::Ip);
            prop_assert_eq!(entry.owner == Owner::FirstFragment, number == 0);
            bytes += entry.charge.bytes;
            packets += entry.charge.packets;
            keys.push(key);
        }
        let header = if v6 { 40 } else { 20 + usize::from(options) * 4 };
        prop_assert_eq!(bytes, (header + datagram.len()) as u64);
        prop_assert_eq!(packets, 1);
        prop_assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_super_packet_comes_to_its_segments(known in known(), gso_size in 1..1500u32) {
        let frame = known.frame();
        let slice = Slice { gso_size, ..Slice::new(&frame) };
        let (entry, _) = look(&slice, Link::Ethernet, known.direction, Count::Wire);
        let transport = match known.protocol {
            Protocol::Tcp => 20,
            Protocol::Udp => 8,
        };
        let headers = known.headers + transport;
        let payload = &known.packet[headers..];
        let segments: Vec<usize> = match payload.len() {
            0 => [headers].into(),
            _ => payload.chunks(gso_size as usize).map(|part| headers + part.len()).collect(),
        };
        prop_assert_eq!(entry.charge.bytes, segments.iter().sum::<usize>() as u64);
        prop_assert_eq!(entry.charge.packets, segments.len() as u64);
    }
}
