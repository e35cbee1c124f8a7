//! A frame in memory.

use super::Frame;

/// The readable `bytes` of a frame, and what the kernel would tell about it.
#[derive(Clone, Copy, Debug)]
pub struct Slice<'a> {
    pub bytes: &'a [u8],
    /// May be larger than the number of readable bytes.
    pub length: u32,
    pub protocol: u16,
    pub gso_size: u32,
    pub interface: u32,
    pub for_other_host: bool,
}

impl<'a> Slice<'a> {
    /// A frame for this host that is not a super-packet and can be read completely.
    pub fn new(bytes: &'a [u8]) -> Self {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self { bytes, length, protocol: 0, gso_size: 0, interface: 1, for_other_host: false }
    }
}

impl Frame for Slice<'_> {
    fn length(&self) -> u32 {
        self.length
    }

    fn read<const N: usize>(&self, offset: u32) -> Option<[u16; N]> {
        let (pairs, _) = self.bytes.get(offset as usize..)?.as_chunks();
        let words: &[[u8; 2]; N] = pairs.first_chunk()?;
        Some(words.map(u16::from_be_bytes))
    }

    fn protocol(&self) -> u16 {
        self.protocol
    }

    fn gso_size(&self) -> u32 {
        self.gso_size
    }

    fn interface(&self) -> u32 {
        self.interface
    }

    fn is_for_other_host(&self) -> bool {
        self.for_other_host
    }
}
