//! IPv6 headers with extension headers, and fragments.

use super::transport::{Packet, Part};
use super::{Entry, Frame, Parser, ip_bytes, unparsed};
use crate::wire::FragmentKey;

/// The largest number of extension headers to walk. A packet with more of them is `unparsed`.
pub const MOST_EXTENSIONS: u32 = 8;

pub(super) const HEADER: u32 = 40;
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;
const HIP: u8 = 139;
const SHIM6: u8 = 140;

const FRAGMENT_HEADER: u32 = 8;
const MORE_FRAGMENTS: u16 = 0x0001;
const FRAGMENT_OFFSET: u16 = 0xfff8;

impl<F: Frame> Parser<'_, F> {
    #[inline(always)]
    pub(super) fn ipv6(&mut self, start: u32) -> Entry {
        // All fields except the addresses.
        let Some([version, _, payload, next]) = self.frame.read(start) else { return unparsed(self.rest(start)) };
        let bytes = ip_bytes(self.frame, start, said(payload));
        if version >> 12 != 6 || bytes < HEADER {
            return unparsed(bytes);
        }
        let mut packet = Packet { start, bytes, headers: HEADER, fragment_header: 0 };
        let mut protocol = (next >> 8) as u8;
        let mut part = Part::Whole;
        for _ in 0..=MOST_EXTENSIONS {
            if part == Part::Later || !is_extension(protocol) {
                return self.transport(packet, protocol, part);
            }
            // Each of them starts with the number of the next header and its own length.
            let Some([next, fragment, high, low]) = self.frame.read(start + packet.headers) else {
                return unparsed(bytes);
            };
            let length = u32::from(next & 0xff);
            packet.headers += match protocol {
                FRAGMENT => FRAGMENT_HEADER,
                AUTHENTICATION => (length + 2) * 4,
                _ => (length + 1) * 8,
            };
            if packet.headers > bytes {
                return unparsed(bytes);
            }
            if protocol == FRAGMENT {
                packet.fragment_header = FRAGMENT_HEADER;
                if self.name_datagram(start, u32::from(high) << 16 | u32::from(low)).is_none() {
                    return unparsed(bytes);
                }
                if fragment & FRAGMENT_OFFSET != 0 {
                    part = Part::Later;
                } else if fragment & MORE_FRAGMENTS != 0 {
                    part = Part::First;
                }
            }
            protocol = (next >> 8) as u8;
        }
        unparsed(bytes)
    }

    /// Sets the datagram of a fragment. Unlike with IPv4, the protocol is not part of its identity, because the
    /// fragments of one datagram may state different next headers (RFC 8200, 4.5).
    #[inline(always)]
    fn name_datagram(&mut self, start: u32, identification: u32) -> Option<()> {
        *self.datagram = FragmentKey {
            source: self.frame.read(start + 8)?,
            destination: self.frame.read(start + 24)?,
            identification,
            interface: self.frame.interface(),
            protocol: 0,
            direction: self.direction as u8,
            ip_version: 6,
            padding: 0,
        };
        Some(())
    }
}

/// The length of the packet according to its payload length, or 0 if the header does not state one.
#[inline(always)]
pub(super) fn said(payload: u16) -> u32 {
    if payload == 0 { 0 } else { HEADER + u32::from(payload) }
}

/// Headers between the IPv6 header and the transport header. ESP is not one, because it encrypts the rest.
#[inline(always)]
pub(super) fn is_extension(protocol: u8) -> bool {
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | MOBILITY | HIP | SHIM6)
}
