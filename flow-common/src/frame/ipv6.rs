//! IPv6, with extension headers and fragments.

use super::transport::{Packet, Part};
use super::{Entry, Frame, Parser, unparsed};
use crate::wire::FragmentKey;

/// Most extension headers that are walked; a packet with more of them is `unparsed`.
pub const MOST_EXTENSIONS: u32 = 8;

const HEADER: u32 = 40;
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
        // All but the addresses.
        let Some(header) = self.frame.read::<8>(start) else { return unparsed(self.ip_bytes(start, 0)) };
        let payload = u32::from(u16::from_be_bytes([header[4], header[5]]));
        let bytes = self.ip_bytes(start, if payload == 0 { 0 } else { HEADER + payload });
        if header[0] >> 4 != 6 || bytes < HEADER {
            return unparsed(bytes);
        }
        let mut packet = Packet { start, bytes, headers: HEADER, fragment_header: 0 };
        let mut protocol = header[6];
        let mut part = Part::Whole;
        for _ in 0..=MOST_EXTENSIONS {
            if !is_extension(protocol) || part == Part::Later {
                return self.transport(packet, protocol, part);
            }
            if !F::WALKS_EXTENSIONS {
                break;
            }
            let Some(extension) = self.frame.read::<8>(start + packet.headers) else { return unparsed(bytes) };
            packet.headers += match protocol {
                FRAGMENT => FRAGMENT_HEADER,
                AUTHENTICATION => (u32::from(extension[1]) + 2) * 4,
                _ => (u32::from(extension[1]) + 1) * 8,
            };
            if packet.headers > bytes {
                return unparsed(bytes);
            }
            if protocol == FRAGMENT {
                packet.fragment_header = FRAGMENT_HEADER;
                let identification = u32::from_be_bytes([extension[4], extension[5], extension[6], extension[7]]);
                if self.name_datagram(start, identification).is_none() {
                    return unparsed(bytes);
                }
                let fragment = u16::from_be_bytes([extension[2], extension[3]]);
                if fragment & FRAGMENT_OFFSET != 0 {
                    part = Part::Later;
                } else if fragment & MORE_FRAGMENTS != 0 {
                    part = Part::First;
                }
            }
            protocol = extension[0];
        }
        unparsed(bytes)
    }

    /// Sets the datagram that a fragment belongs to. Unlike IPv4's, its protocol is not part of its name: the fragments
    /// of one datagram may each say another next header (RFC 8200, 4.5).
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

/// Headers that stand between the IPv6 header and the transport header. ESP is not one: what follows it is encrypted.
#[inline(always)]
pub(super) fn is_extension(protocol: u8) -> bool {
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | MOBILITY | HIP | SHIM6)
}
