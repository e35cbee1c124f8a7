//! IPv4 headers with options, and fragments.

use super::transport::{Packet, Part};
use super::{Entry, Frame, Parser, ip_bytes, unparsed};
use crate::wire::FragmentKey;

pub(super) const SMALLEST_HEADER: u32 = 20;
const MORE_FRAGMENTS: u16 = 0x2000;
const FRAGMENT_OFFSET: u16 = 0x1fff;
pub(super) const FRAGMENT: u16 = MORE_FRAGMENTS | FRAGMENT_OFFSET;

impl<F: Frame> Parser<'_, F> {
    #[inline(always)]
    pub(super) fn ipv4(&mut self, start: u32) -> Entry {
        let Some([version, length, identification, fragment, time_to_live, _, source @ .., d0, d1]) =
            self.frame.read::<10>(start)
        else {
            return unparsed(self.rest(start));
        };
        let bytes = ip_bytes(self.frame, start, u32::from(length));
        let header_bytes = u32::from(version >> 8 & 0x0f) * 4;
        if version >> 12 != 4 || header_bytes < SMALLEST_HEADER || header_bytes > bytes {
            return unparsed(bytes);
        }
        let protocol = time_to_live as u8;
        let packet = Packet { start, bytes, headers: header_bytes, fragment_header: 0 };
        if fragment & FRAGMENT == 0 {
            return self.transport(packet, protocol, Part::Whole);
        }
        let [s0, s1] = source;
        *self.datagram = FragmentKey {
            source: [s0, s1, 0, 0, 0, 0, 0, 0],
            destination: [d0, d1, 0, 0, 0, 0, 0, 0],
            identification: u32::from(identification),
            interface: self.frame.interface(),
            protocol,
            direction: self.direction as u8,
            ip_version: 4,
            padding: 0,
        };
        let part = if fragment & FRAGMENT_OFFSET == 0 { Part::First } else { Part::Later };
        self.transport(packet, protocol, part)
    }
}
