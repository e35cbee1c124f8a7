//! IPv4, with options and fragments.

use super::transport::{Packet, Part};
use super::{Entry, Frame, Parser, unparsed};
use crate::wire::FragmentKey;

const SMALLEST_HEADER: u32 = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;

impl<F: Frame> Parser<'_, F> {
    #[inline(always)]
    pub(super) fn ipv4(&mut self, start: u32) -> Entry {
        // All but the addresses.
        let Some(header) = self.frame.read::<12>(start) else { return unparsed(self.ip_bytes(start, 0)) };
        let bytes = self.ip_bytes(start, u32::from(u16::from_be_bytes([header[2], header[3]])));
        let header_bytes = u32::from(header[0] & 0x0f) * 4;
        if header[0] >> 4 != 4 || header_bytes < SMALLEST_HEADER || header_bytes > bytes {
            return unparsed(bytes);
        }
        let protocol = header[9];
        let packet = Packet { start, bytes, headers: header_bytes, fragment_header: 0 };
        let fragment = u16::from_be_bytes([header[6], header[7]]);
        if fragment & (MORE_FRAGMENTS | FRAGMENT_OFFSET) == 0 {
            return self.transport(packet, protocol, Part::Whole);
        }
        let Some(source) = self.frame.read::<4>(start + 12) else { return unparsed(bytes) };
        let Some(destination) = self.frame.read::<4>(start + 16) else { return unparsed(bytes) };
        *self.datagram = FragmentKey {
            identification: u32::from(u16::from_be_bytes([header[4], header[5]])),
            interface: self.frame.interface(),
            protocol,
            direction: self.direction as u8,
            ip_version: 4,
            ..FragmentKey::default()
        };
        self.datagram.source[..4].copy_from_slice(&source);
        self.datagram.destination[..4].copy_from_slice(&destination);
        let part = if fragment & FRAGMENT_OFFSET == 0 { Part::First } else { Part::Later };
        self.transport(packet, protocol, part)
    }
}
