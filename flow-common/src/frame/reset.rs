//! The TCP segment that ends a connection.

use super::{ETHERTYPE_IPV4, ETHERTYPE_IPV6, Frame, Link, ethernet, ipv4, ipv6, transport};

/// The RST flag in the seventh 16-bit word of a TCP header.
const RST: u16 = 0x04;

/// The length of a TCP header without options.
const SMALLEST_TCP: u32 = 20;

/// Whether `frame` is a TCP reset without data: at most 60 bytes of TCP after an IPv4 header without options or an IPv6
/// header without extension headers. `false` for every other frame, including those with VLAN tags.
#[inline(always)]
pub fn is_bare_reset<F: Frame>(frame: &F, link: Link) -> bool {
    is_reset(frame, link).unwrap_or(false)
}

#[inline(always)]
fn is_reset<F: Frame>(frame: &F, link: Link) -> Option<bool> {
    let (start, ethertype) = match link {
        Link::Ethernet => {
            let [.., ethertype] = frame.read::<7>(0)?;
            (ethernet::HEADER, ethertype)
        }
        Link::Ip => (0, frame.protocol()),
    };
    let (header, payload, protocol) = match ethertype {
        ETHERTYPE_IPV4 => {
            let [version, length, _, fragment, protocol] = frame.read::<5>(start)?;
            if version >> 8 != 0x45 || fragment & ipv4::FRAGMENT != 0 {
                return None;
            }
            (ipv4::SMALLEST_HEADER, u32::from(length).wrapping_sub(ipv4::SMALLEST_HEADER), protocol as u8)
        }
        ETHERTYPE_IPV6 => {
            let [version, _, payload, protocol] = frame.read::<4>(start)?;
            if version >> 12 != 6 {
                return None;
            }
            (ipv6::HEADER, u32::from(payload), (protocol >> 8) as u8)
        }
        _ => return None,
    };
    // The word contains the header's length in units of four bytes, and the flags.
    let [.., flags] = frame.read::<7>(start + header)?;
    let tcp_header = u32::from(flags >> 12) * 4;
    Some(protocol == transport::TCP && flags & RST != 0 && tcp_header >= SMALLEST_TCP && payload == tcp_header)
}
