//! The shipped object, run by the kernel on frames that are made by hand (`BPF_PROG_TEST_RUN`): which cells grow and by
//! how much, and that no others do. In these runs the device is `lo`, whose address consists of zeros.

use std::collections::BTreeMap;

use aya::Ebpf;
use aya::maps::{Array, HashMap};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions};
use flow_common::wire::{Line, lines_for};

use crate::classifiers::{self, Settings};
use crate::common::frames::{
    DESTINATION, FRAGMENT, HOP_BY_HOP, MORE_FRAGMENTS, ROUTING, TCP, UDP, ethernet, extension, fragment6, ipv4,
    ipv4_with, ipv6, padded, tcp, tcp_with_options, udp,
};
use crate::common::{frames, have_root};

const SLOTS: u32 = 64;
/// The watched ports, in the order of their slots, and a port that nobody watches.
const WATCHED: [u16; 2] = [443, 8388];
const UNWATCHED: u16 = 9000;
const FAR: u16 = 50_000;

const IN: &str = "ingress_eth";
const OUT: &str = "egress_eth";

/// The offset of `gso_size` in `struct __sk_buff`.
const GSO_SIZE: usize = 176;
const CONTEXT_BYTES: usize = 180;

/// Cells that are not zero: bytes and packets by line and cell.
type Cells = BTreeMap<(String, &'static str), (u64, u64)>;

/// The object in the kernel, with maps of its own.
pub struct Loaded {
    object: Ebpf,
    lines: u32,
}

impl Loaded {
    /// Without root, prints that on stderr and returns `None`.
    pub fn load(count_wire: bool) -> Option<Self> {
        if !have_root("the eBPF programs") {
            return None;
        }
        let mut object = classifiers::object(SLOTS, Settings { count_wire, ..Settings::default() });
        for program in classifiers::PROGRAMS {
            classifiers::load(&mut object, program).unwrap();
        }
        classifiers::watch(&mut object, WATCHED);
        Some(Self { object, lines: lines_for(SLOTS) })
    }

    pub fn program(&self, name: &str) -> &SchedClassifier {
        classifiers::program(&self.object, name)
    }

    fn run(&self, program: &str, frame: &[u8]) {
        self.run_super_packet(program, frame, 0);
    }

    /// Runs a program on a frame that the kernel takes for segments of `gso_size` bytes each.
    fn run_super_packet(&self, program: &str, frame: &[u8], gso_size: u32) {
        let mut context = [0; CONTEXT_BYTES];
        context[GSO_SIZE..].copy_from_slice(&gso_size.to_ne_bytes());
        let run = TestRunOptions { data_in: Some(frame), ctx_in: Some(&context), ..TestRunOptions::new() };
        let verdict = self.program(program).test_run(run).unwrap().return_value;
        assert_eq!(verdict.cast_signed(), -1, "a counter never decides");
    }

    /// Every cell that is not zero, added up over all CPUs.
    fn cells(&self) -> Cells {
        let cells: Array<_, [u64; 8]> = self.object.map("CELLS").unwrap().try_into().unwrap();
        assert_eq!(size_of::<Line>(), size_of::<[u64; 8]>());
        let mut found = Cells::new();
        for index in 0..cells.len() {
            let line = cells.get(&index, 0).unwrap();
            for (name, cell) in ["tcp_in", "tcp_out", "udp_in", "udp_out"].iter().zip(line.chunks(2)) {
                if cell != [0, 0] {
                    let sum = found.entry((self.name(index % self.lines), name)).or_default();
                    *sum = (sum.0 + cell[0], sum.1 + cell[1]);
                }
            }
        }
        found
    }

    /// The name of a line. The lines are: unwatched ports, the slots, and what belongs to no port.
    fn name(&self, line: u32) -> String {
        let reserved = ["other_ip", "non_ip", "other_host", "fragment_unmatched", "unparsed"];
        match line {
            0 => "other_ports".into(),
            slot if slot <= SLOTS => WATCHED[slot as usize - 1].to_string(),
            after => reserved[(after - 1 - SLOTS) as usize].into(),
        }
    }

    /// Panics unless exactly these cells are not zero.
    fn expect<const N: usize>(&self, cells: [(&str, &'static str, u64, u64); N]) {
        let expected = cells.map(|(line, cell, bytes, packets)| ((line.to_string(), cell), (bytes, packets)));
        assert_eq!(self.cells(), Cells::from(expected));
    }

    /// Makes every datagram whose fragments are still expected older.
    fn age_fragments(&mut self, by_ns: u64) {
        let mut fragments: HashMap<_, [u8; 44], [u64; 2]> =
            self.object.map_mut("FRAGMENTS").unwrap().try_into().unwrap();
        let awaited: Vec<_> = fragments.iter().map(Result::unwrap).collect();
        assert!(!awaited.is_empty());
        for (datagram, [seen_at, port]) in awaited {
            fragments.insert(datagram, [seen_at.wrapping_sub(by_ns), port], 0).unwrap();
        }
    }
}

/// A frame for this host.
fn frame(packet: &[u8]) -> Vec<u8> {
    for_lo(frames::frame(packet))
}

/// The same frame, addressed to `lo`.
fn for_lo(mut frame: Vec<u8>) -> Vec<u8> {
    frame[..6].fill(0);
    frame
}

#[test]
fn tcp_and_udp_in_and_out_of_both_families_have_cells_of_their_own() {
    let Some(loaded) = Loaded::load(false) else { return };
    for _ in 0..3 {
        loaded.run(IN, &frame(&ipv4(TCP, &tcp(FAR, 443, 1000))));
        loaded.run(OUT, &frame(&ipv4(TCP, &tcp_with_options(443, FAR, 3, 0))));
        loaded.run(IN, &frame(&ipv6(UDP, &udp(FAR, 443, 500))));
        loaded.run(OUT, &frame(&ipv6(UDP, &udp(443, FAR, 1))));
    }
    loaded.run(IN, &frame(&ipv4(UDP, &udp(FAR, 443, 100))));
    loaded.run(IN, &frame(&ipv6(TCP, &tcp(FAR, 443, 10))));
    loaded.run(IN, &frame(&ipv4(UDP, &udp(443, 8388, 30))));
    loaded.expect([
        ("443", "tcp_in", 3 * (20 + 20 + 1000) + (40 + 20 + 10), 4),
        ("443", "tcp_out", 3 * (20 + 32), 3),
        ("443", "udp_in", 3 * (40 + 8 + 500) + (20 + 8 + 100), 4),
        ("443", "udp_out", 3 * (40 + 8 + 1), 3),
        ("8388", "udp_in", 20 + 8 + 30, 1),
    ]);
}

#[test]
fn a_port_that_nobody_watches_is_one_of_other_ports() {
    let Some(loaded) = Loaded::load(false) else { return };
    loaded.run(IN, &frame(&ipv4(TCP, &tcp(443, UNWATCHED, 0))));
    loaded.run(OUT, &frame(&ipv6(UDP, &udp(UNWATCHED, 443, 7))));
    loaded.expect([("other_ports", "tcp_in", 20 + 20, 1), ("other_ports", "udp_out", 40 + 8 + 7, 1)]);
}

#[test]
fn a_datagram_in_a_padded_frame_counts_its_own_bytes() {
    let Some(loaded) = Loaded::load(false) else { return };
    let padded = padded(frame(&ipv4(UDP, &udp(FAR, 443, 1))));
    assert_eq!(padded.len(), 60);
    loaded.run(IN, &padded);
    loaded.expect([("443", "udp_in", 29, 1)]);
}

#[test]
fn options_extension_headers_and_tags_are_stepped_over() {
    let Some(loaded) = Loaded::load(false) else { return };
    loaded.run(IN, &frame(&ipv4_with(TCP, 10, 0, 0, &tcp(FAR, 443, 0))));
    let extensions = extension(ROUTING, 1, &extension(DESTINATION, 3, &extension(UDP, 2, &udp(FAR, 443, 10))));
    loaded.run(IN, &frame(&ipv6(HOP_BY_HOP, &extensions)));
    for tags in [&[0x8100][..], &[0x88a8, 0x8100]] {
        loaded.run(OUT, &for_lo(frames::tagged(tags, &ipv4(UDP, &udp(8388, FAR, 50)))));
    }
    loaded.expect([
        ("443", "tcp_in", 20 + 40 + 20, 1),
        ("443", "udp_in", 40 + 8 + 24 + 16 + 8 + 10, 1),
        ("8388", "udp_out", 2 * (20 + 8 + 50), 2),
    ]);
}

#[test]
fn what_belongs_to_no_port_is_told_apart() {
    let Some(loaded) = Loaded::load(false) else { return };
    loaded.run(IN, &frame(&ipv4(1, &[0; 64])));
    loaded.run(OUT, &frame(&ipv6(58, &[0; 24])));
    loaded.run(IN, &for_lo(padded(ethernet(0x0806, &[1; 28]))));
    loaded.run(OUT, &for_lo(ethernet(0x88cc, &[1; 100])));
    // Cut within the ports; and an IP header that claims to be of another version.
    let cut = frame(&ipv4(TCP, &tcp(FAR, 443, 0)));
    loaded.run(IN, &cut[..14 + 20 + 3]);
    loaded.run(OUT, &for_lo(ethernet(0x86dd, &ipv4(TCP, &tcp(443, FAR, 0)))));
    loaded.expect([
        ("other_ip", "tcp_in", 20 + 64, 1),
        ("other_ip", "tcp_out", 40 + 24, 1),
        ("non_ip", "tcp_in", 46, 1),
        ("non_ip", "tcp_out", 100, 1),
        ("unparsed", "tcp_in", 20 + 3, 1),
        ("unparsed", "tcp_out", 20 + 20, 1),
    ]);
}

#[test]
fn a_frame_for_another_host_counts_for_nobody() {
    let Some(loaded) = Loaded::load(false) else { return };
    let foreign = frames::frame(&ipv4(UDP, &udp(FAR, 443, 100)));
    assert_ne!(foreign[..6], [0; 6]);
    loaded.run(IN, &foreign);
    // Neither do the later fragments of a datagram that was for another host.
    loaded.run(IN, &frames::frame(&ipv4_with(UDP, 0, 5, MORE_FRAGMENTS, &udp(FAR, 443, 72))));
    loaded.run(IN, &frame(&ipv4_with(UDP, 0, 5, 10, &[0; 30])));
    loaded.expect([
        ("other_host", "tcp_in", (20 + 8 + 100) + (20 + 80), 2),
        ("fragment_unmatched", "tcp_in", 20 + 30, 1),
    ]);
}

/// The three fragments of a datagram with 8 + 3,000 bytes of UDP: 1,480, 1,480 and 48 bytes.
fn three_fragments(identification: u16, port: u16) -> [Vec<u8>; 3] {
    let datagram = udp(FAR, port, 3000);
    [(0, 1480, MORE_FRAGMENTS), (1480, 2960, MORE_FRAGMENTS), (2960, 3008, 0)].map(|(from, to, more)| {
        let field = more | u16::try_from(from / 8).unwrap();
        frame(&ipv4_with(UDP, 0, identification, field, &datagram[from..to]))
    })
}

#[test]
fn the_fragments_of_a_datagram_count_as_if_it_came_in_one_piece() {
    let Some(loaded) = Loaded::load(false) else { return };
    let [first, second, third] = three_fragments(1, 443);
    let [other_first, other_second, other_third] = three_fragments(2, 8388);
    for fragment in [&first, &other_first, &third, &other_second, &other_third, &second] {
        loaded.run(IN, fragment);
    }
    loaded.expect([("443", "udp_in", 20 + 8 + 3000, 1), ("8388", "udp_in", 20 + 8 + 3000, 1)]);
}

#[test]
fn the_fragments_of_an_ipv6_datagram_count_as_if_it_came_in_one_piece() {
    let Some(loaded) = Loaded::load(false) else { return };
    let datagram = udp(443, FAR, 2000);
    for (from, to, more) in [(0, 1448, true), (1448, 2008, false)] {
        let part = fragment6(UDP, u16::try_from(from / 8).unwrap(), more, 0xdead_beef, &datagram[from..to]);
        loaded.run(OUT, &frame(&ipv6(FRAGMENT, &part)));
    }
    loaded.expect([("443", "udp_out", 40 + 8 + 2000, 1)]);
}

#[test]
fn a_fragment_before_the_first_one_is_unmatched() {
    let Some(loaded) = Loaded::load(false) else { return };
    let [first, second, third] = three_fragments(1, 443);
    for fragment in [&third, &first, &second] {
        loaded.run(IN, fragment);
    }
    loaded.expect([("443", "udp_in", 20 + 2960, 1), ("fragment_unmatched", "tcp_in", 20 + 48, 1)]);
}

#[test]
fn a_fragment_belongs_to_the_datagram_of_its_own_way() {
    let Some(loaded) = Loaded::load(false) else { return };
    let [first, second, _] = three_fragments(1, 443);
    loaded.run(IN, &first);
    loaded.run(OUT, &second);
    loaded.expect([("443", "udp_in", 20 + 1480, 1), ("fragment_unmatched", "tcp_out", 20 + 1480, 1)]);
}

#[test]
fn a_datagram_is_forgotten_after_thirty_seconds() {
    let Some(mut loaded) = Loaded::load(false) else { return };
    let [first, second, third] = three_fragments(1, 443);
    loaded.run(IN, &first);
    // The test itself takes less than ten seconds.
    loaded.age_fragments(20_000_000_000);
    loaded.run(IN, &second);
    loaded.age_fragments(10_000_000_000);
    loaded.run(IN, &third);
    loaded.expect([("443", "udp_in", 20 + 2960, 1), ("fragment_unmatched", "tcp_in", 20 + 48, 1)]);
}

#[test]
fn a_super_packet_is_one_packet_as_the_host_sees_it_and_its_segments_on_the_wire() {
    let Some(ip) = Loaded::load(false) else { return };
    let Some(wire) = Loaded::load(true) else { return };
    for loaded in [&ip, &wire] {
        // 3,000 bytes in segments of 1,448 are three, each with 20 + 32 bytes of headers.
        loaded.run_super_packet(OUT, &frame(&ipv4(TCP, &tcp_with_options(443, FAR, 3, 3000))), 1448);
        // UDP_SEGMENT: two datagrams of 1,200 bytes, each with 40 + 8 bytes of headers.
        loaded.run_super_packet(IN, &frame(&ipv6(UDP, &udp(FAR, 443, 2400))), 1200);
        // Not a super-packet.
        loaded.run(OUT, &frame(&ipv4(TCP, &tcp(8388, FAR, 100))));
    }
    ip.expect([
        ("443", "tcp_out", 20 + 32 + 3000, 1),
        ("443", "udp_in", 40 + 8 + 2400, 1),
        ("8388", "tcp_out", 20 + 20 + 100, 1),
    ]);
    wire.expect([
        ("443", "tcp_out", 3 * (20 + 32) + 3000, 3),
        ("443", "udp_in", 2 * (40 + 8) + 2400, 2),
        ("8388", "tcp_out", 20 + 20 + 100, 1),
    ]);
}

#[test]
fn on_the_wire_every_fragment_counts_as_it_is() {
    let Some(loaded) = Loaded::load(true) else { return };
    for fragment in three_fragments(1, 443) {
        loaded.run(IN, &fragment);
    }
    loaded.expect([("443", "udp_in", 3 * 20 + 3008, 3)]);
}

/// These runs always begin with what the kernel takes for an Ethernet header. Its EtherType is then bytes 4 and 5 of
/// the source address; and if the first byte is odd, it is a multicast frame, which is for this host, too.
#[test]
fn a_device_without_a_link_layer_header_is_read_from_its_first_byte() {
    let Some(loaded) = Loaded::load(false) else { return };
    let mut v4 = ipv4(UDP, &udp(FAR, 443, 60));
    v4[12..14].copy_from_slice(&0x0800_u16.to_be_bytes());
    let mut v6 = ipv6(TCP, &tcp(8388, FAR, 60));
    v6[12..14].copy_from_slice(&0x86dd_u16.to_be_bytes());
    v6[0] = 0x61;
    loaded.run("ingress_ip", &v4);
    loaded.run("egress_ip", &v6);
    // With another version number.
    v4[12] = 0x88;
    loaded.run("ingress_ip", &v4);
    loaded.expect([
        ("443", "udp_in", 20 + 8 + 60, 1),
        ("8388", "tcp_out", 40 + 20 + 60, 1),
        ("non_ip", "tcp_in", 20 + 8 + 60, 1),
    ]);
}
