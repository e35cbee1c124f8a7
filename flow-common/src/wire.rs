//! The types that lie in the kernel's maps, and where in them each thing lies.
//!
//! Three maps are mapped into user space: [`PortSlots`] (one element), an array of [`Line`]s (`possible CPUs × lines`
//! elements, index `cpu * lines + line`) and an array of [`SlotOwner`]s (one for every slot, index 0 unused).

/// Version of everything in this file: part of the pins' path, so that two layouts never meet in one map.
pub const LAYOUT_VERSION: u32 = 1;

/// Number of ports, and so of entries in the port table.
pub const PORTS: usize = 65_536;

/// Port to slot. Slot 0 is `other_ports`, so that a zeroed table is right. One map element: an ARRAY of `u16` would
/// round each of them up to eight bytes.
pub type PortSlots = [u16; PORTS];

/// The slot of every port that nobody watches.
pub const OTHER_PORTS: u16 = 0;

/// Most slots that fit: 65,536 line numbers less line 0 and the reserved lines after the slots.
pub const MAX_SLOTS: u32 = 65_530;

/// Bytes and packets that went one way over one protocol. A packet is one kernel buffer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    pub bytes: u64,
    pub packets: u64,
}

/// One cache line: what one CPU counted for one slot. No line is shared between CPUs.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub tcp_in: Cell,
    pub tcp_out: Cell,
    pub udp_in: Cell,
    pub udp_out: Cell,
}

/// The lines that lie after the last slot, in this order. They count what belongs to no port: a frame of any protocol
/// goes to the `tcp_in` or `tcp_out` cell of its line, the other two stay zero.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// IP, but neither TCP nor UDP (ICMP, ESP, …).
    OtherIp = 0,
    /// Not IP (ARP, LLDP, …).
    NonIp = 1,
    /// For another host (`PACKET_OTHERHOST`).
    OtherHost = 2,
    /// A later fragment whose first fragment was not seen, or is forgotten.
    FragmentUnmatched = 3,
    /// Said to be IP, but cut short or malformed.
    Unparsed = 4,
}

/// How many [`Reserved`] lines there are.
pub const RESERVED_LINES: u32 = 5;

/// Lines for each CPU when there are `slots` slots: line 0 (`other_ports`), the slots, the reserved lines.
pub const fn lines_for(slots: u32) -> u32 {
    1 + slots + RESERVED_LINES
}

/// The line of `reserved` when each CPU has `lines` lines.
pub const fn reserved_line(lines: u32, reserved: Reserved) -> u32 {
    lines - RESERVED_LINES + reserved as u32
}

/// What a slot is doing. Only user space reads and writes it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotOwner {
    pub port: u16,
    /// One of [`SLOT_FREE`], [`SLOT_ACTIVE`], [`SLOT_DRAINING`].
    pub state: u16,
    pub padding: u32,
}

/// Belongs to nobody; its cells may hold anything and are zeroed before it is given away.
pub const SLOT_FREE: u16 = 0;
/// Counts for `port`.
pub const SLOT_ACTIVE: u16 = 1;
/// Counted for `port`; its last bytes are not sealed yet, or it is being prepared for `port`.
pub const SLOT_DRAINING: u16 = 2;

/// Which datagram a fragment belongs to. No padding between the fields: the kernel hashes every byte.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentKey {
    /// An IPv4 address lies in the first two words, the rest is zero.
    pub source: [u16; 8],
    pub destination: [u16; 8],
    pub identification: u32,
    pub interface: u32,
    /// The IPv4 header's protocol; zero for IPv6, whose fragments need not agree on it.
    pub protocol: u8,
    /// 0 = ingress, 1 = egress.
    pub direction: u8,
    /// 4 or 6.
    pub ip_version: u8,
    pub padding: u8,
}

/// What the first fragment of a datagram told.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FragmentValue {
    /// Kernel monotonic clock, in nanoseconds.
    pub seen_at: u64,
    /// The local port, in host byte order.
    pub port: u16,
    /// The number of TCP or UDP.
    pub protocol: u8,
    pub padding: [u8; 5],
}

/// Fragments of datagrams that began longer ago are `fragment_unmatched`: the identification may be in use again.
pub const FRAGMENT_TIMEOUT_NS: u64 = 30_000_000_000;

/// Most datagrams whose fragments are awaited at one time.
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
