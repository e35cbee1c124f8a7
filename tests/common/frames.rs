//! Frames assembled byte by byte, without using the product's code. Checksums are left zero, because nobody checks them
//! here.

/// The host under test, to which the local ports belong.
pub const LOCAL4: [u8; 4] = [192, 0, 2, 1];
pub const REMOTE4: [u8; 4] = [198, 51, 100, 7];
pub const LOCAL6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
pub const REMOTE6: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;

pub const HOP_BY_HOP: u8 = 0;
pub const ROUTING: u8 = 43;
pub const FRAGMENT: u8 = 44;
pub const DESTINATION: u8 = 60;

pub const MORE_FRAGMENTS: u16 = 0x2000;

/// A frame with 14 bytes of Ethernet header.
pub fn ethernet(ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let addresses = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 7];
    [&addresses[..], &ethertype.to_be_bytes(), packet].concat()
}

/// An Ethernet frame with an IP packet of either version.
pub fn frame(packet: &[u8]) -> Vec<u8> {
    ethernet(ethertype(packet), packet)
}

/// The EtherType of an IP packet.
pub fn ethertype(packet: &[u8]) -> u16 {
    if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd }
}

/// An Ethernet frame with VLAN tags (given by their EtherTypes, the outer one first) of 4 bytes each before an IP
/// packet.
pub fn tagged(tags: &[u16], packet: &[u8]) -> Vec<u8> {
    let mut types = tags.iter().copied().chain([ethertype(packet)]);
    let first = types.next().unwrap();
    let behind: Vec<u8> = types.flat_map(|next| [&[0, 5][..], &next.to_be_bytes()].concat()).collect();
    ethernet(first, &[&behind, packet].concat())
}

/// Pads a frame with zeros to the 60 bytes that real Ethernet sends at least.
pub fn padded(mut frame: Vec<u8>) -> Vec<u8> {
    frame.resize(frame.len().max(60), 0);
    frame
}

/// 8 bytes of UDP header, and a payload.
pub fn udp(source: u16, destination: u16, payload: usize) -> Vec<u8> {
    let length = u16::try_from(8 + payload).unwrap_or(0);
    let header = [source, destination, length, 0].map(u16::to_be_bytes).concat();
    [header, vec![b'u'; payload]].concat()
}

/// 20 bytes of TCP header, and a payload.
pub fn tcp(source: u16, destination: u16, payload: usize) -> Vec<u8> {
    tcp_with_options(source, destination, 0, payload)
}

/// 20 bytes of TCP header, `words` times four bytes of options, and a payload.
pub fn tcp_with_options(source: u16, destination: u16, words: u8, payload: usize) -> Vec<u8> {
    let ports = [source, destination].map(u16::to_be_bytes).concat();
    let rest = [0, 0, 0, 1, 0, 0, 0, 1, (5 + words) << 4, 0x10, 1, 0, 0, 0, 0, 0];
    // Option 1 is "no operation".
    [&ports[..], &rest, &vec![1; usize::from(words) * 4], &vec![b't'; payload]].concat()
}

/// 20 bytes of IPv4 header, sent by the remote host, and a payload.
pub fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(protocol, 0, 0, 0, payload)
}

/// 20 bytes of IPv4 header, `words` times four bytes of options, and a payload. `fragment` is the field with the flags
/// and the offset (in units of 8 bytes).
pub fn ipv4_with(protocol: u8, words: u8, identification: u16, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let options = vec![1; usize::from(words) * 4];
    // The length is 0 if a super-packet is too long for the field.
    let length = u16::try_from(20 + options.len() + payload.len()).unwrap_or(0);
    let mut packet = vec![0x45 + words, 0];
    packet.extend([length, identification, fragment].map(u16::to_be_bytes).concat());
    packet.extend([64, protocol, 0, 0]);
    packet.extend([REMOTE4, LOCAL4].concat());
    packet.extend(options);
    packet.extend(payload);
    packet
}

/// 40 bytes of IPv6 header, sent by the remote host, and a payload that begins with the header `next`.
pub fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    // The length is 0 if a super-packet is too long for the field.
    let length = u16::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut packet = vec![0x60, 0, 0, 0, length[0], length[1], next, 64];
    packet.extend([REMOTE6, LOCAL6].concat());
    packet.extend(payload);
    packet
}

/// An IPv6 extension header of `8 × eights` bytes, and what follows it.
pub fn extension(next: u8, eights: u8, payload: &[u8]) -> Vec<u8> {
    // Option 1, as long as the rest, is padding.
    let mut header = vec![0; usize::from(eights) * 8];
    header[..4].copy_from_slice(&[next, eights - 1, 1, 0]);
    [&header, payload].concat()
}

/// The 8 bytes of an IPv6 fragment header, and the fragment. `offset` is in units of 8 bytes.
pub fn fragment6(next: u8, offset: u16, more: bool, identification: u32, payload: &[u8]) -> Vec<u8> {
    let field = (offset << 3 | u16::from(more)).to_be_bytes();
    [&[next, 0][..], &field, &identification.to_be_bytes(), payload].concat()
}
