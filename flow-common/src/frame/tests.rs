//! Every counting rule, tested with handmade frames. Sizes are written out as sums.

#[path = "../../../tests/common/frames.rs"]
mod frames;
mod properties;

use super::slice::Slice;
use super::{Charge, Count, Direction, Entry, Link, Owner, Protocol, is_bare_reset, parse, parse_plain};
use crate::wire::{FragmentKey, Reserved};
use frames::*;

const PORT: u16 = 443;
const FAR_PORT: u16 = 50_000;

/// The parser's result, and the datagram of a fragment. If the plain parser gives a result, both must agree.
fn look(frame: &Slice, link: Link, direction: Direction, count: Count) -> (Entry, FragmentKey) {
    let mut datagram = FragmentKey::default();
    let entry = parse(frame, link, direction, count, &mut datagram);
    if let Some(plain) = parse_plain(frame, link, direction, count) {
        assert_eq!(plain, entry);
    }
    (entry, datagram)
}

fn ingress(frame: &[u8]) -> Entry {
    look(&Slice::new(frame), Link::Ethernet, Direction::Ingress, Count::Ip).0
}

fn one_packet(bytes: u64) -> Charge {
    Charge { bytes, packets: 1 }
}

fn port(protocol: Protocol, port: u16, bytes: u64) -> Entry {
    Entry { owner: Owner::Port, protocol, port, charge: one_packet(bytes), alone: one_packet(bytes) }
}

fn nobody(line: Reserved, bytes: u64) -> Entry {
    Entry {
        owner: Owner::Nobody(line),
        protocol: Protocol::Tcp,
        port: 0,
        charge: one_packet(bytes),
        alone: one_packet(bytes),
    }
}

#[test]
fn ingress_counts_for_the_destination_port_and_egress_for_the_source_port() {
    for (packet, protocol, bytes) in [
        (ipv4(TCP, &tcp(FAR_PORT, PORT, 100)), Protocol::Tcp, 20 + 20 + 100),
        (ipv4(UDP, &udp(FAR_PORT, PORT, 100)), Protocol::Udp, 20 + 8 + 100),
        (ipv6(TCP, &tcp(FAR_PORT, PORT, 100)), Protocol::Tcp, 40 + 20 + 100),
        (ipv6(UDP, &udp(FAR_PORT, PORT, 100)), Protocol::Udp, 40 + 8 + 100),
    ] {
        let frame = frame(&packet);
        let slice = Slice::new(&frame);
        for (direction, expected) in [(Direction::Ingress, PORT), (Direction::Egress, FAR_PORT)] {
            let (entry, _) = look(&slice, Link::Ethernet, direction, Count::Ip);
            assert_eq!(entry, port(protocol, expected, bytes));
            assert!(parse_plain(&slice, Link::Ethernet, direction, Count::Ip).is_some());
        }
    }
}

#[test]
fn padding_is_not_counted() {
    let short = padded(frame(&ipv4(UDP, &udp(FAR_PORT, PORT, 1))));
    assert_eq!(short.len(), 60);
    assert_eq!(ingress(&short), port(Protocol::Udp, PORT, 20 + 8 + 1));

    let mut trailed = frame(&ipv6(UDP, &udp(FAR_PORT, PORT, 1)));
    trailed.extend([0; 7]);
    assert_eq!(ingress(&trailed), port(Protocol::Udp, PORT, 40 + 8 + 1));
}

#[test]
fn a_super_packet_that_is_too_long_for_its_length_field_counts_what_is_there() {
    for (packet, headers) in
        [(ipv4(TCP, &tcp(FAR_PORT, PORT, 130_000)), 20 + 20), (ipv6(TCP, &tcp(FAR_PORT, PORT, 130_000)), 40 + 20)]
    {
        assert_eq!(ingress(&frame(&packet)), port(Protocol::Tcp, PORT, headers + 130_000));
    }
}

#[test]
fn a_length_that_reaches_beyond_the_frame_is_not_believed() {
    let mut packet = ipv4(UDP, &udp(FAR_PORT, PORT, 100));
    packet[2..4].copy_from_slice(&129u16.to_be_bytes());
    assert_eq!(ingress(&frame(&packet)), port(Protocol::Udp, PORT, 20 + 8 + 100));

    let mut packet = ipv6(UDP, &udp(FAR_PORT, PORT, 100));
    packet[4..6].copy_from_slice(&109u16.to_be_bytes());
    assert_eq!(ingress(&frame(&packet)), port(Protocol::Udp, PORT, 40 + 8 + 100));
}

#[test]
fn ipv4_options_are_stepped_over() {
    for words in 0..=10 {
        let packet = ipv4_with(TCP, words, 0, 0, &tcp(FAR_PORT, PORT, 5));
        assert_eq!(ingress(&frame(&packet)), port(Protocol::Tcp, PORT, 20 + u64::from(words) * 4 + 20 + 5));
    }
}

#[test]
fn three_extension_headers_are_stepped_over() {
    let udp = udp(FAR_PORT, PORT, 10);
    let packet = extension(ROUTING, 1, &extension(DESTINATION, 3, &extension(UDP, 2, &udp)));
    let frame = frame(&ipv6(HOP_BY_HOP, &packet));
    assert_eq!(ingress(&frame), port(Protocol::Udp, PORT, 40 + 8 + 24 + 16 + 8 + 10));
}

#[test]
fn an_authentication_header_counts_its_length_in_words_of_four() {
    // 2 + 4 words are 24 bytes.
    let mut header = Vec::from([0; 24]);
    header[..2].copy_from_slice(&[TCP, 4]);
    header.extend(tcp(FAR_PORT, PORT, 0));
    assert_eq!(ingress(&frame(&ipv6(51, &header))), port(Protocol::Tcp, PORT, 40 + 24 + 20));
}

#[test]
fn eight_extension_headers_are_walked_and_a_ninth_is_not() {
    let chain = |headers: usize| {
        let udp = udp(FAR_PORT, PORT, 0);
        (0..headers).fold((UDP, udp), |(next, rest), _| (DESTINATION, extension(next, 1, &rest)))
    };
    let (next, eight) = chain(8);
    assert_eq!(ingress(&frame(&ipv6(next, &eight))), port(Protocol::Udp, PORT, 40 + 8 * 8 + 8));
    let (next, nine) = chain(9);
    assert_eq!(ingress(&frame(&ipv6(next, &nine))), nobody(Reserved::Unparsed, 40 + 9 * 8 + 8));
}

#[test]
fn two_vlan_tags_are_read_and_a_third_hides_the_packet() {
    let packet = ipv4(UDP, &udp(FAR_PORT, PORT, 50));
    for tags in [&[0x8100][..], &[0x88a8], &[0x88a8, 0x8100], &[0x8100, 0x8100]] {
        assert_eq!(ingress(&tagged(tags, &packet)), port(Protocol::Udp, PORT, 20 + 8 + 50), "{tags:x?}");
    }
    // The third tag is the payload of the second.
    assert_eq!(ingress(&tagged(&[0x88a8, 0x8100, 0x8100], &packet)), nobody(Reserved::NonIp, 4 + 20 + 8 + 50));
}

#[test]
fn a_device_without_a_link_layer_header_is_read_by_what_the_kernel_says_of_the_packet() {
    let v4 = ipv4(TCP, &tcp(FAR_PORT, PORT, 9));
    let v6 = ipv6(TCP, &tcp(FAR_PORT, PORT, 9));
    let raw = |bytes, protocol| {
        let slice = Slice { protocol, ..Slice::new(bytes) };
        look(&slice, Link::Ip, Direction::Ingress, Count::Ip).0
    };
    assert_eq!(raw(&v4, 0x0800), port(Protocol::Tcp, PORT, 20 + 20 + 9));
    assert_eq!(raw(&v6, 0x86dd), port(Protocol::Tcp, PORT, 40 + 20 + 9));
    assert_eq!(raw(&v4, 0x8847), nobody(Reserved::NonIp, 20 + 20 + 9));
    // An IPv4 packet that the kernel calls IPv6.
    assert_eq!(raw(&v4, 0x86dd), nobody(Reserved::Unparsed, 20 + 20 + 9));
}

#[test]
fn what_has_no_ports_is_nobodys() {
    assert_eq!(ingress(&frame(&ipv4(1, &[0; 64]))), nobody(Reserved::OtherIp, 20 + 64));
    assert_eq!(ingress(&frame(&ipv6(58, &[0; 64]))), nobody(Reserved::OtherIp, 40 + 64));
    // The content of ESP is encrypted, even if it looks like a TCP header.
    assert_eq!(ingress(&frame(&ipv6(50, &tcp(FAR_PORT, PORT, 0)))), nobody(Reserved::OtherIp, 40 + 20));
    // "No next header", in a frame whose payload length of 0 hides the padding.
    assert_eq!(ingress(&padded(frame(&ipv6(59, &[])))), nobody(Reserved::OtherIp, 60 - 14));
    // ARP is 28 bytes, padded to 46.
    assert_eq!(ingress(&padded(ethernet(0x0806, &[1; 28]))), nobody(Reserved::NonIp, 46));
    // A frame with an 802.3 length instead of an EtherType.
    assert_eq!(ingress(&ethernet(38, &[0x42; 38])), nobody(Reserved::NonIp, 38));
}

#[test]
fn a_frame_for_another_host_is_nobodys_whatever_it_holds() {
    for (packet, bytes) in [
        (ipv4(TCP, &tcp(FAR_PORT, PORT, 100)), 20 + 20 + 100),
        (ipv4_with(UDP, 0, 1, 3, &[0; 80]), 20 + 80),
        (ipv6(UDP, &udp(FAR_PORT, PORT, 1)), 40 + 8 + 1),
    ] {
        let frame = frame(&packet);
        let slice = Slice { for_other_host: true, ..Slice::new(&frame) };
        let (entry, _) = look(&slice, Link::Ethernet, Direction::Ingress, Count::Ip);
        assert_eq!((entry.owner, entry.charge), (Owner::Nobody(Reserved::OtherHost), one_packet(bytes)));
    }
}

#[test]
fn malformed_headers_are_unparsed() {
    let with = |at: usize, value: u8| {
        let mut packet = ipv4(TCP, &tcp(FAR_PORT, PORT, 0));
        packet[at] = value;
        ingress(&frame(&packet)).owner
    };
    let unparsed = Owner::Nobody(Reserved::Unparsed);
    assert_eq!(with(0, 0x65), unparsed, "version 6 under IPv4's EtherType");
    assert_eq!(with(0, 0x44), unparsed, "a header of 16 bytes");
    assert_eq!(with(0, 0x4b), unparsed, "a header longer than the packet");
    assert_eq!(with(3, 19), unparsed, "a packet shorter than its header");
    assert_eq!(with(3, 23), unparsed, "a packet that ends within its ports");
    assert_eq!(with(3, 24), Owner::Port, "a packet that ends after its ports");
}

#[test]
fn ports_are_not_read_out_of_the_padding() {
    // An IP header and nothing else; in the frame it is followed by what looks like ports.
    let mut frame = frame(&ipv4(TCP, &[]));
    frame.extend(tcp(FAR_PORT, PORT, 10));
    assert_eq!(ingress(&frame), nobody(Reserved::Unparsed, 20));
    // A destination options header that states a length beyond the end of the packet.
    let mut packet = ipv6(DESTINATION, &extension(TCP, 1, &[]));
    packet[41] = 1;
    packet.extend(tcp(FAR_PORT, PORT, 10));
    packet[4..6].copy_from_slice(&8u16.to_be_bytes());
    assert_eq!(ingress(&frames::frame(&packet)), nobody(Reserved::Unparsed, 40 + 8));
}

#[test]
fn what_is_cut_off_before_its_ports_is_unparsed() {
    for packet in [
        ipv4_with(TCP, 2, 0, 0, &tcp(FAR_PORT, PORT, 0)),
        ipv6(HOP_BY_HOP, &extension(TCP, 2, &tcp(FAR_PORT, PORT, 0))),
    ] {
        let frame = tagged(&[0x88a8, 0x8100], &packet);
        // Both the options and the extension headers end 20 bytes before the frame does.
        let ports_end = frame.len() - 20 + 4;
        for cut in 0..frame.len() {
            let expected = if cut < ports_end { Owner::Nobody(Reserved::Unparsed) } else { Owner::Port };
            // The frame itself is truncated, or only part of it can be read.
            for length in [cut, frame.len()] {
                let slice = Slice { length: length as u32, ..Slice::new(&frame[..cut]) };
                for direction in [Direction::Ingress, Direction::Egress] {
                    let (entry, _) = look(&slice, Link::Ethernet, direction, Count::Ip);
                    assert_eq!(entry.owner, expected, "{cut} of {length} bytes, {direction:?}");
                }
            }
        }
    }
}

#[test]
fn the_fragments_of_an_ipv4_datagram_count_what_it_would_count_in_one_piece() {
    // 8 + 3,000 bytes of UDP in fragments of 1,480, 1,480 and 48; each IP header has 4 bytes of options.
    let datagram = udp(FAR_PORT, PORT, 3000);
    let fragment = |from: usize, to: usize, more: u16| {
        let packet = ipv4_with(UDP, 1, 0xbeef, more | (from / 8) as u16, &datagram[from..to]);
        look(&Slice::new(&frame(&packet)), Link::Ethernet, Direction::Ingress, Count::Ip)
    };
    let (first, key) = fragment(0, 1480, MORE_FRAGMENTS);
    assert_eq!(first.owner, Owner::FirstFragment);
    assert_eq!((first.protocol, first.port, first.charge), (Protocol::Udp, PORT, one_packet(24 + 1480)));
    let expected = FragmentKey {
        source: [0xc633, 0x6407, 0, 0, 0, 0, 0, 0],
        destination: [0xc000, 0x0201, 0, 0, 0, 0, 0, 0],
        identification: 0xbeef,
        interface: 1,
        protocol: UDP,
        direction: 0,
        ip_version: 4,
        padding: 0,
    };
    assert_eq!(key, expected);
    for (from, to, more, bytes) in [(1480, 2960, MORE_FRAGMENTS, 1480), (2960, 3008, 0, 48)] {
        let (later, key) = fragment(from, to, more);
        assert_eq!((later.owner, later.charge), (Owner::LaterFragment, Charge { bytes, packets: 0 }));
        assert_eq!((key, later.alone), (expected, one_packet(24 + bytes)));
    }
}

#[test]
fn the_fragments_of_an_ipv6_datagram_count_no_fragment_headers() {
    // 40 bytes of IPv6, 8 of routing header and 8 of fragment header. The datagram is 8 bytes of destination options
    // and 8 + 2,000 bytes of UDP, in fragments of 1,000 and 1,016 bytes.
    let datagram = extension(UDP, 1, &udp(FAR_PORT, PORT, 2000));
    let fragment = |next, from: usize, to: usize, more| {
        let part = fragment6(next, (from / 8) as u16, more, 0xdead_beef, &datagram[from..to]);
        let packet = ipv6(ROUTING, &extension(FRAGMENT, 1, &part));
        look(&Slice::new(&frame(&packet)), Link::Ethernet, Direction::Egress, Count::Ip)
    };
    let (first, key) = fragment(DESTINATION, 0, 1000, true);
    assert_eq!(first.owner, Owner::FirstFragment);
    assert_eq!((first.protocol, first.port, first.charge), (Protocol::Udp, FAR_PORT, one_packet(40 + 8 + 1000)));
    assert_eq!((key.identification, key.protocol, key.direction, key.ip_version), (0xdead_beef, 0, 1, 6));
    assert_eq!((key.source[0], key.source[7], key.destination[7]), (0x2001, 7, 1));
    // A later fragment may state another next header and still belongs to the same datagram.
    for next in [DESTINATION, UDP] {
        let (later, of) = fragment(next, 1000, 2016, false);
        assert_eq!((later.owner, later.charge), (Owner::LaterFragment, Charge { bytes: 1016, packets: 0 }));
        assert_eq!((of, later.alone), (key, one_packet(40 + 8 + 8 + 1016)));
    }
}

#[test]
fn a_datagram_in_a_single_fragment_has_no_others() {
    let packet = ipv6(FRAGMENT, &fragment6(UDP, 0, false, 1, &udp(FAR_PORT, PORT, 100)));
    let entry = ingress(&frame(&packet));
    assert_eq!((entry.owner, entry.port, entry.charge), (Owner::Port, PORT, one_packet(40 + 8 + 100)));
    // A packet with "do not fragment" set is not a fragment either.
    let packet = ipv4_with(UDP, 0, 1, 0x4000, &udp(FAR_PORT, PORT, 100));
    assert_eq!(ingress(&frame(&packet)), port(Protocol::Udp, PORT, 20 + 8 + 100));
}

#[test]
fn fragments_of_what_has_no_ports_are_other_ip() {
    assert_eq!(ingress(&frame(&ipv4_with(1, 0, 1, 185, &[0; 100]))), nobody(Reserved::OtherIp, 120));
    assert_eq!(ingress(&frame(&ipv4_with(1, 0, 1, MORE_FRAGMENTS, &[0; 104]))), nobody(Reserved::OtherIp, 124));
    let later = fragment6(58, 185, false, 1, &[0; 100]);
    assert_eq!(ingress(&frame(&ipv6(FRAGMENT, &later))), nobody(Reserved::OtherIp, 40 + 8 + 100));
}

#[test]
fn on_the_wire_each_segment_has_headers_of_its_own() {
    for (packet, gso_size, charge) in [
        // 10,000 bytes in segments of 1,448 are seven segments, each with 20 + 32 bytes of headers.
        (ipv4(TCP, &tcp_with_options(FAR_PORT, PORT, 3, 10_000)), 1448, (10_000 + 7 * 52, 7)),
        // 2 × 1,200 bytes of QUIC are two datagrams, each with 40 + 8 bytes of headers.
        (ipv6(UDP, &udp(FAR_PORT, PORT, 2400)), 1200, (2400 + 2 * 48, 2)),
        // The headers that are repeated include options and extension headers.
        (ipv4_with(UDP, 2, 0, 0, &udp(FAR_PORT, PORT, 300)), 100, (300 + 3 * (28 + 8), 3)),
        (ipv6(DESTINATION, &extension(UDP, 1, &udp(FAR_PORT, PORT, 301))), 100, (301 + 4 * (48 + 8), 4)),
        // Less than one segment, then no payload at all.
        (ipv4(TCP, &tcp(FAR_PORT, PORT, 100)), 1448, (100 + 40, 1)),
        (ipv4(TCP, &tcp(FAR_PORT, PORT, 0)), 1448, (40, 1)),
        (ipv4(TCP, &tcp(FAR_PORT, PORT, 100)), 0, (100 + 40, 1)),
    ] {
        let frame = frame(&packet);
        let slice = Slice { gso_size, ..Slice::new(&frame) };
        let charge = Charge { bytes: charge.0, packets: charge.1 };
        let (entry, _) = look(&slice, Link::Ethernet, Direction::Ingress, Count::Wire);
        assert_eq!((entry.owner, entry.charge), (Owner::Port, charge));
        let (entry, _) = look(&slice, Link::Ethernet, Direction::Ingress, Count::Ip);
        assert_eq!(entry.charge, one_packet(packet.len() as u64));
    }
}

#[test]
fn on_the_wire_each_fragment_counts_as_it_is() {
    let first = ipv4_with(UDP, 0, 1, MORE_FRAGMENTS, &udp(FAR_PORT, PORT, 1472));
    let later = ipv6(FRAGMENT, &fragment6(UDP, 185, false, 1, &[0; 100]));
    for (packet, owner, bytes) in
        [(first, Owner::FirstFragment, 20 + 8 + 1472), (later, Owner::LaterFragment, 40 + 8 + 100)]
    {
        let (entry, _) = look(&Slice::new(&frame(&packet)), Link::Ethernet, Direction::Ingress, Count::Wire);
        assert_eq!((entry.owner, entry.charge), (owner, one_packet(bytes)));
    }
}

#[test]
fn a_reset_without_data_is_told_from_every_other_frame() {
    let reset = |words, payload| {
        let mut segment = tcp_with_options(PORT, FAR_PORT, words, payload);
        segment[13] |= 0x04;
        segment
    };
    let says = |packet: &[u8]| is_bare_reset(&Slice::new(&frame(packet)), Link::Ethernet);
    for words in [0, 3, 10] {
        assert!(says(&ipv4(TCP, &reset(words, 0))));
        assert!(says(&ipv6(TCP, &reset(words, 0))));
        // Data, or no reset.
        assert!(!says(&ipv4(TCP, &reset(words, 1))));
        assert!(!says(&ipv6(TCP, &reset(words, 1))));
        assert!(!says(&ipv4(TCP, &tcp_with_options(PORT, FAR_PORT, words, 0))));
    }
    // Another protocol, a fragment, IPv4 options, a VLAN tag: refused like anything else.
    assert!(!says(&ipv4(UDP, &reset(0, 0))));
    assert!(!says(&ipv4_with(TCP, 0, 7, MORE_FRAGMENTS, &reset(0, 0))));
    assert!(!says(&ipv4_with(TCP, 1, 0, 0, &reset(0, 0))));
    assert!(!is_bare_reset(&Slice::new(&tagged(&[0x8100], &ipv4(TCP, &reset(0, 0)))), Link::Ethernet));
    // A device without Ethernet; a frame that is cut short.
    let packet = ipv4(TCP, &reset(0, 0));
    assert!(is_bare_reset(&Slice { protocol: 0x0800, ..Slice::new(&packet) }, Link::Ip));
    for length in 0..packet.len() {
        let cut = Slice { protocol: 0x0800, ..Slice::new(&packet[..length]) };
        assert!(length >= 34 || !is_bare_reset(&cut, Link::Ip), "{length}");
    }
}
