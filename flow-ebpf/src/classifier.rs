//! The maps, and the classifiers that count into them.

use core::arch::asm;

use aya_ebpf::Global;
use aya_ebpf::bindings::{__sk_buff, BPF_F_MMAPABLE, TC_ACT_UNSPEC};
use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_map_lookup_elem};
use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::{Array, LruHashMap};
use aya_ebpf::programs::TcContext;
use aya_log_ebpf::warn;
use flow_common::frame::{Charge, Count, Direction, Frame, Link, Owner, Protocol, parse, parse_plain};
use flow_common::wire::{
    Cell, FRAGMENT_ENTRIES, FRAGMENT_TIMEOUT_NS, FragmentKey, FragmentValue, Line, PortSlots, Reserved, SlotOwner,
    reserved_line,
};

use crate::atomic::atomic_add;
use crate::skb::{Linear, Whole};

#[map]
static PORT_SLOT: Array<PortSlots> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The index is `cpu * LINES + line`; the loader sets the size.
#[map]
static CELLS: Array<Line> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Defined here so that it has the same lifetime as the cells; only user space uses it. The loader sets the size.
#[map]
static SLOT_OWNER: Array<SlotOwner> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[map]
static FRAGMENTS: LruHashMap<FragmentKey, FragmentValue> = LruHashMap::with_max_entries(FRAGMENT_ENTRIES, 0);

#[unsafe(no_mangle)]
static LINES: Global<u32> = Global::new(1);
#[unsafe(no_mangle)]
static COUNT_WIRE: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub static ATOMIC: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub static LOG: Global<u32> = Global::new(0);
/// The key of [`PORT_SLOT`]'s only element. The kernel takes keys by address, and the address of a constant takes one
/// instruction, while a local key has to be written to the stack first.
#[unsafe(no_mangle)]
static ONLY: Global<u32> = Global::new(0);

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[classifier]
fn ingress_eth(ctx: TcContext) -> i32 {
    count(ctx.skb.skb, Link::Ethernet, Direction::Ingress)
}

#[classifier]
fn egress_eth(ctx: TcContext) -> i32 {
    count(ctx.skb.skb, Link::Ethernet, Direction::Egress)
}

#[classifier]
fn ingress_ip(ctx: TcContext) -> i32 {
    count(ctx.skb.skb, Link::Ip, Direction::Ingress)
}

#[classifier]
fn egress_ip(ctx: TcContext) -> i32 {
    count(ctx.skb.skb, Link::Ip, Direction::Egress)
}

/// The verdict is always "continue": a counter never decides what happens to a packet.
#[inline(always)]
fn count(skb: *mut __sk_buff, link: Link, direction: Direction) -> i32 {
    match parse_plain(&Linear(skb), link, direction, counted()) {
        Some(entry) => add_to_port(entry.port, entry.protocol, direction, entry.charge),
        None => count_other(skb, link, direction),
    }
    TC_ACT_UNSPEC
}

/// Counts what is not a plain packet within direct reach.
#[inline(never)]
#[unsafe(no_mangle)]
fn count_other(skb: *mut __sk_buff, link: Link, direction: Direction) {
    let mut datagram = FragmentKey::default();
    let entry = parse(&Whole(skb), link, direction, counted(), &mut datagram);
    match entry.owner {
        Owner::Port => add_to_port(entry.port, entry.protocol, direction, entry.charge),
        Owner::FirstFragment => {
            remember(&datagram, entry.port, entry.protocol);
            add_to_port(entry.port, entry.protocol, direction, entry.charge);
        }
        Owner::LaterFragment => match recall(&datagram) {
            Some((port, protocol)) => add_to_port(port, protocol, direction, entry.charge),
            None => add_to_nobody(Reserved::FragmentUnmatched, direction, entry.alone),
        },
        Owner::Nobody(line) => {
            if line == Reserved::Unparsed && LOG.load() != 0 {
                log_unparsed(skb);
            }
            add_to_nobody(line, direction, entry.charge);
        }
    }
}

/// The mode is fixed at load time, so the verifier removes the code for the other mode.
#[inline(always)]
pub fn counted() -> Count {
    if COUNT_WIRE.load() == 0 { Count::Ip } else { Count::Wire }
}

pub fn remember(datagram: &FragmentKey, port: u16, protocol: Protocol) {
    // SAFETY: the helper has no preconditions.
    let seen_at = unsafe { bpf_ktime_get_ns() };
    let first = FragmentValue { seen_at, port, protocol: protocol as u8, padding: [0; 5] };
    // If the kernel has no memory for it, the later fragments are counted as `fragment_unmatched`, which is no port.
    let _ = FRAGMENTS.insert(datagram, first, 0);
}

/// The port and protocol of a datagram whose first fragment passed recently.
pub fn recall(datagram: &FragmentKey) -> Option<(u16, Protocol)> {
    // SAFETY: the elements are preallocated. If this one is reused meanwhile, it can name a wrong port, but only if
    // 4,096 datagrams began between the lookup and the next two lines.
    let first = unsafe { FRAGMENTS.get(datagram) }?;
    let protocol = if first.protocol == Protocol::Tcp as u8 { Protocol::Tcp } else { Protocol::Udp };
    // SAFETY: the helper has no preconditions.
    let age = unsafe { bpf_ktime_get_ns() }.wrapping_sub(first.seen_at);
    (age < FRAGMENT_TIMEOUT_NS).then_some((first.port, protocol))
}

#[inline(never)]
#[unsafe(no_mangle)]
pub fn log_unparsed(skb: *mut __sk_buff) {
    let ctx = TcContext::new(skb);
    let frame = Whole(skb);
    warn!(
        &ctx,
        "unparsed frame: interface {}, protocol {:x}, {} bytes",
        frame.interface(),
        frame.protocol(),
        frame.length()
    );
}

/// Counts a frame without a port in the first cells of its line.
#[inline(always)]
pub fn add_to_nobody(line: Reserved, direction: Direction, charge: Charge) {
    add(reserved_line(LINES.load(), line), Protocol::Tcp, direction, charge);
}

#[inline(always)]
pub fn add_to_port(port: u16, protocol: Protocol, direction: Direction, charge: Charge) {
    let Some(slot) = slot_of(port) else { return };
    add(u32::from(slot), protocol, direction, charge);
}

/// The slot in which the port is counted.
#[inline(always)]
pub fn slot_of(port: u16) -> Option<u16> {
    // SAFETY: the map and the key have the types that the helper expects.
    let slots = unsafe { bpf_map_lookup_elem((&raw const PORT_SLOT).cast_mut().cast(), (&raw const ONLY).cast()) };
    if slots.is_null() {
        return None;
    }
    // SAFETY: the element has one entry for each `u16`. User space stores single entries while we read.
    Some(unsafe { slots.cast::<u16>().add(index_of(port)).read_volatile() })
}

/// The port as an index that every verifier knows to be below 65,536. The verifier of Linux 5.10 forgets the bounds of
/// a `u16` that was swapped or spilled, while the compiler knows them and would remove an ordinary mask.
#[inline(always)]
fn index_of(port: u16) -> usize {
    let mut index = usize::from(port);
    // SAFETY: the instruction touches only its operand, and leaves its value unchanged.
    unsafe { asm!("{index} &= 0xffff", index = inout(reg) index, options(pure, nomem, nostack)) };
    index
}

/// Adds to this CPU's own line. Plain additions are exact, because TC programs run with bottom halves disabled and no
/// other program can interrupt this one.
#[inline(always)]
fn add(line: u32, protocol: Protocol, direction: Direction, charge: Charge) {
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let Some(line) = CELLS.get_ptr_mut(cpu * LINES.load() + line) else { return };
    // SAFETY: `line` points to a live element; both additions stay within it.
    unsafe {
        let cell: *mut Cell = match (protocol, direction) {
            (Protocol::Tcp, Direction::Ingress) => &raw mut (*line).tcp_in,
            (Protocol::Tcp, Direction::Egress) => &raw mut (*line).tcp_out,
            (Protocol::Udp, Direction::Ingress) => &raw mut (*line).udp_in,
            (Protocol::Udp, Direction::Egress) => &raw mut (*line).udp_out,
        };
        if ATOMIC.load() == 0 {
            (*cell).bytes += charge.bytes;
            (*cell).packets += charge.packets;
        } else {
            atomic_add(&raw mut (*cell).bytes, charge.bytes);
            atomic_add(&raw mut (*cell).packets, charge.packets);
        }
    }
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
