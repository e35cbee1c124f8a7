//! The types in the kernel's maps, and the positions of their elements.
//!
//! Three maps are mapped into user space: [`PortSlots`] (one element), an array of [`Line`]s (`possible CPUs × lines`
//! elements, index `cpu * lines + line`) and an array of [`SlotOwner`]s (one for every slot, index 0 unused).

/// The version of everything in this file. It is part of the pins' path, so that two layouts never meet in one map.
pub const LAYOUT_VERSION: u32 = 1;

/// The number of ports, and thus of entries in the port table.
pub const PORTS: usize = 65_536;

/// Maps ports to slots. Slot 0 is `other_ports`, so a zeroed table is valid. The table is a single map element, because
/// an ARRAY of `u16` would pad each entry to eight bytes.
pub type PortSlots = [u16; PORTS];

/// The slot of every port that nobody watches.
pub const OTHER_PORTS: u16 = 0;

/// The largest number of slots: 65,536 line numbers minus line 0 and the reserved lines after the slots.
pub const MAX_SLOTS: u32 = 65_530;

/// Bytes and packets of one protocol in one direction. A packet is one kernel buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub bytes: u64,
    pub packets: u64,
}

/// One cache line: the counts of one CPU for one slot. No line is shared between CPUs.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub tcp_in: Cell,
    pub tcp_out: Cell,
    pub udp_in: Cell,
    pub udp_out: Cell,
}

/// The lines after the last slot, in this order. They count what belongs to no port: frames of any protocol are counted
/// in the `tcp_in` or `tcp_out` cell of the line, and the other two cells stay zero.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// IP, but neither TCP nor UDP (ICMP, ESP, …).
    OtherIp = 0,
    /// Not IP (ARP, LLDP, …).
    NonIp = 1,
    /// Addressed to another host (`PACKET_OTHERHOST`).
    OtherHost = 2,
    /// A later fragment whose first fragment was not seen, or has been forgotten.
    FragmentUnmatched = 3,
    /// Called IP, but truncated or malformed.
    Unparsed = 4,
}

/// The number of [`Reserved`] lines.
pub const RESERVED_LINES: u32 = 5;

/// The number of lines for each CPU with `slots` slots: line 0 (`other_ports`), the slots, and the reserved lines.
pub const fn lines_for(slots: u32) -> u32 {
    1 + slots + RESERVED_LINES
}

/// The line number of `reserved` if each CPU has `lines` lines.
pub const fn reserved_line(lines: u32, reserved: Reserved) -> u32 {
    lines - RESERVED_LINES + reserved as u32
}

/// The owner and the state of a slot. Only user space reads and writes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotOwner {
    pub port: u16,
    /// One of [`SLOT_FREE`], [`SLOT_ACTIVE`], [`SLOT_DRAINING`].
    pub state: u16,
    pub padding: u32,
}

/// It belongs to no port. Its cells may hold anything, and are zeroed before a port gets the slot.
pub const SLOT_FREE: u16 = 0;
/// It counts for `port`.
pub const SLOT_ACTIVE: u16 = 1;
/// It has counted for `port`, and its last bytes are not sealed yet.
pub const SLOT_DRAINING: u16 = 2;

/// The datagram of a fragment. There is no padding between the fields, because the kernel hashes every byte.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentKey {
    /// An IPv4 address is in the first two words, and the rest is zero.
    pub source: [u16; 8],
    pub destination: [u16; 8],
    pub identification: u32,
    pub interface: u32,
    /// The protocol in the IPv4 header. Zero for IPv6, whose fragments need not agree on it.
    pub protocol: u8,
    /// 0 for ingress, 1 for egress.
    pub direction: u8,
    /// 4 or 6.
    pub ip_version: u8,
    pub padding: u8,
}

/// What the first fragment of a datagram contained.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentValue {
    /// The kernel's monotonic clock, in nanoseconds.
    pub seen_at: u64,
    /// The local port, in host byte order.
    pub port: u16,
    /// The protocol number of TCP or UDP.
    pub protocol: u8,
    pub padding: [u8; 5],
}

/// Fragments of datagrams that began longer ago are `fragment_unmatched`: the identification may have been reused.
pub const FRAGMENT_TIMEOUT_NS: u64 = 30_000_000_000;

/// The largest number of datagrams whose fragments are awaited at the same time.
pub const FRAGMENT_ENTRIES: u32 = 4_096;

const _: () = {
    use core::mem::{align_of, offset_of, size_of};
    assert!(size_of::<PortSlots>() == 131_072);
    assert!(size_of::<Cell>() == 16);
    assert!(size_of::<Line>() == 64 && align_of::<Line>() == 64);
    assert!(offset_of!(Line, tcp_out) == 16 && offset_of!(Line, udp_in) == 32 && offset_of!(Line, udp_out) == 48);
    assert!(size_of::<SlotOwner>() == 8);
    assert!(size_of::<FragmentKey>() == 44 && size_of::<FragmentValue>() == 16);
    assert!(lines_for(MAX_SLOTS) == PORTS as u32);
};
