//! Ethernet headers and VLAN tags.

use super::{Entry, Frame, Parser, unparsed};

pub(super) const HEADER: u32 = 14;
const TAG: u32 = 4;
const MOST_TAGS: u32 = 2;
const ETHERTYPE_8021Q: u16 = 0x8100;
const ETHERTYPE_8021AD: u16 = 0x88a8;

impl<F: Frame> Parser<'_, F> {
    #[inline(always)]
    pub(super) fn ethernet(&mut self) -> Entry {
        let mut header = HEADER;
        let Some(mut ethertype) = self.ethertype(header) else { return unparsed(self.rest(HEADER)) };
        for _ in 0..MOST_TAGS {
            if !matches!(ethertype, ETHERTYPE_8021Q | ETHERTYPE_8021AD) {
                break;
            }
            header += TAG;
            let Some(tagged) = self.ethertype(header) else { return unparsed(self.rest(HEADER)) };
            ethertype = tagged;
        }
        // Anything after a third tag is not read, because it is not known to be IP.
        self.network(ethertype, header)
    }

    /// Reads the last two bytes of a link-layer header that ends at `end`.
    #[inline(always)]
    fn ethertype(&self, end: u32) -> Option<u16> {
        self.frame.read(end - 2).map(|[ethertype]| ethertype)
    }
}
