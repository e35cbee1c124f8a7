//! The programs and their maps.

use aya_ebpf::Global;
use aya_ebpf::bindings::TC_ACT_UNSPEC;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::{Array, LruHashMap, PerCpuHashMap, ProgramArray};
use aya_ebpf::programs::TcContext;
use flow_common::frame::{Charge, Count, Direction, Entry, Frame, Link, Protocol, parse_plain};
use flow_common::wire::Line;

use crate::atomic::atomic_add;
use crate::skb::Linear;

/// Maps local ports to their cells. The loader sets the size and inserts the watched ports.
#[map]
static PORTS: PerCpuHashMap<u32, Line> = PerCpuHashMap::with_max_entries(1, 0);

/// The loader sets the size.
#[map]
static FLOWS: LruHashMap<FlowKey, Flow> = LruHashMap::with_max_entries(1, 0);

/// The program with which `random_port` continues.
#[map]
static NEXT: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// The last random number.
#[map]
static RANDOM: Array<u64> = Array::with_max_entries(1, 0);

/// `random_port` picks one of this many ports, which are `STRIDE` apart and start at 1.
#[unsafe(no_mangle)]
static WATCHED: Global<u32> = Global::new(1);
#[unsafe(no_mangle)]
static STRIDE: Global<u32> = Global::new(1);

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// The offset of the destination port of TCP and UDP after Ethernet and IPv4 without options.
const DESTINATION_PORT: usize = 14 + 20 + 2;

const ETHERTYPE_IPV4: u16 = 0x0800;

/// The flow of a packet: addresses and ports in network byte order. There is no padding between the fields.
#[repr(C)]
struct FlowKey {
    source: [u16; 8],
    destination: [u16; 8],
    ports: [u16; 2],
    interface: u32,
    protocol: u32,
}

#[repr(C)]
struct Flow {
    bytes: u64,
    packets: u64,
    first_ns: u64,
    last_ns: u64,
}

#[classifier]
fn empty(_ctx: TcContext) -> i32 {
    TC_ACT_UNSPEC
}

#[classifier]
fn per_cpu_hash(ctx: TcContext) -> i32 {
    if let Some(entry) = plain(&ctx)
        && let Some(line) = PORTS.get_ptr_mut(u32::from(entry.port))
    {
        // SAFETY: the line belongs to this CPU and stays allocated; TC programs do not interrupt each other on one CPU.
        let line = unsafe { &mut *line };
        let cell = match entry.protocol {
            Protocol::Tcp => &mut line.tcp_in,
            Protocol::Udp => &mut line.udp_in,
        };
        cell.bytes += entry.charge.bytes;
        cell.packets += entry.charge.packets;
    }
    TC_ACT_UNSPEC
}

#[classifier]
fn flow_map(ctx: TcContext) -> i32 {
    if let Some(entry) = plain(&ctx)
        && let Some(key) = flow_key(&Linear(ctx.skb.skb), entry.protocol)
    {
        // SAFETY: the helper has no preconditions.
        add_to_flow(&key, entry.charge, unsafe { bpf_ktime_get_ns() });
    }
    TC_ACT_UNSPEC
}

/// A linear congruential generator (Knuth's MMIX), whose high half is scaled to the number of ports: a few
/// instructions, no helper call, and a single number of memory.
#[classifier]
fn random_port(ctx: TcContext) -> i32 {
    let Some(random) = RANDOM.get_ptr_mut(0) else { return TC_ACT_UNSPEC };
    // SAFETY: nobody else uses the element during a test run.
    let drawn = unsafe {
        *random = (*random).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((*random >> 32) * u64::from(WATCHED.load())) >> 32
    };
    let port = 1 + drawn as u32 * STRIDE.load();
    if ctx.data() + DESTINATION_PORT + 2 > ctx.data_end() {
        return TC_ACT_UNSPEC;
    }
    // SAFETY: these two bytes lie within the packet, which the verifier checks too.
    unsafe { *((ctx.data() + DESTINATION_PORT) as *mut u16) = (port as u16).to_be() };
    // SAFETY: no value here would have to be dropped.
    unsafe { NEXT.tail_call(&ctx, 0) };
    // The tail call failed. This verdict differs from a counter's, so that the bench notices.
    0
}

#[inline(always)]
fn plain(ctx: &TcContext) -> Option<Entry> {
    parse_plain(&Linear(ctx.skb.skb), Link::Ethernet, Direction::Ingress, Count::Ip)
}

#[inline(always)]
fn flow_key(frame: &Linear, protocol: Protocol) -> Option<FlowKey> {
    let (interface, protocol) = (frame.interface(), protocol as u32);
    let [ethertype] = frame.read(12)?;
    if ethertype == ETHERTYPE_IPV4 {
        // As in the packet: the compiler removes the double byte swap.
        let [s0, s1, d0, d1, ports @ ..] = frame.read::<6>(14 + 12)?.map(u16::to_be);
        let (source, destination) = ([s0, s1, 0, 0, 0, 0, 0, 0], [d0, d1, 0, 0, 0, 0, 0, 0]);
        return Some(FlowKey { source, destination, ports, interface, protocol });
    }
    let [s0, s1, s2, s3, s4, s5, s6, s7, destination @ .., source_port, destination_port] =
        frame.read::<18>(14 + 8)?.map(u16::to_be);
    let ports = [source_port, destination_port];
    Some(FlowKey { source: [s0, s1, s2, s3, s4, s5, s6, s7], destination, ports, interface, protocol })
}

#[inline(always)]
fn add_to_flow(key: &FlowKey, charge: Charge, now: u64) {
    if let Some(flow) = FLOWS.get_ptr_mut(key) {
        // SAFETY: the elements are preallocated. All CPUs share a flow.
        unsafe {
            atomic_add(&raw mut (*flow).bytes, charge.bytes);
            atomic_add(&raw mut (*flow).packets, charge.packets);
            (*flow).last_ns = now;
        }
        return;
    }
    let flow = Flow { bytes: charge.bytes, packets: charge.packets, first_ns: now, last_ns: now };
    // If the kernel has no room, the flow is lost, as with a flow exporter.
    let _ = FLOWS.insert(key, flow, 0);
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
