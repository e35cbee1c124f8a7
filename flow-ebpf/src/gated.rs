//! The second set of classifiers: they count like the first set, and refuse what a budget does not allow.
//!
//! They are loaded only if a user has a budget. The first set uses none of this code.

use aya_ebpf::Global;
use aya_ebpf::bindings::{__sk_buff, BPF_F_MMAPABLE, TC_ACT_SHOT, TC_ACT_UNSPEC};
use aya_ebpf::helpers::generated::{bpf_get_smp_processor_id, bpf_jiffies64, bpf_ktime_get_boot_ns};
use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::TcContext;
use flow_common::frame::{Charge, Direction, Link, Owner, Protocol, is_bare_reset, parse, parse_plain};
use flow_common::gate::{
    Budget, Holder, LEASE, Memory, PortBudget, Refused, Share, TurnWord, admit, admit_reset, admit_slowly, budget_of,
    side,
};
use flow_common::wire::{FragmentKey, Reserved};

use crate::atomic::atomic_add;
use crate::classifier::{ATOMIC, LOG, add_to_nobody, add_to_port, counted, log_unparsed, recall, remember, slot_of};
use crate::skb::{Linear, Whole};

/// The index is the port. The loader gives it its full size only if there are budgets.
#[map]
static PORT_BUDGET: Array<PortBudget> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The index is the number of the budget, from 1. The loader sets the size.
#[map]
static BUDGETS: Array<Budget> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// The index is `cpu * BUDGET_LINES + budget`. The loader sets the size.
#[map]
static SHARES: Array<Share> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// What was refused. The index is the slot. The loader sets the size.
#[map]
static REFUSED: Array<Refused> = Array::with_max_entries(1, BPF_F_MMAPABLE);

#[unsafe(no_mangle)]
static BUDGET_LINES: Global<u32> = Global::new(1);
/// How many bytes must be left in a budget for a CPU to take a lease: one lease for each CPU, and one more.
#[unsafe(no_mangle)]
static PLENTY: Global<u64> = Global::new(LEASE);

#[classifier]
fn gated_in_eth(ctx: TcContext) -> i32 {
    gate(ctx.skb.skb, Link::Ethernet, Direction::Ingress)
}

#[classifier]
fn gated_out_eth(ctx: TcContext) -> i32 {
    gate(ctx.skb.skb, Link::Ethernet, Direction::Egress)
}

#[classifier]
fn gated_in_ip(ctx: TcContext) -> i32 {
    gate(ctx.skb.skb, Link::Ip, Direction::Ingress)
}

#[classifier]
fn gated_out_ip(ctx: TcContext) -> i32 {
    gate(ctx.skb.skb, Link::Ip, Direction::Egress)
}

#[inline(always)]
fn gate(skb: *mut __sk_buff, link: Link, direction: Direction) -> i32 {
    match parse_plain(&Linear(skb), link, direction, counted()) {
        Some(entry) => pass_or_refuse(skb, link, entry.port, entry.protocol, direction, entry.charge),
        None => gate_other(skb, link, direction),
    }
}

/// Handles what is not a plain packet within direct reach.
#[inline(never)]
#[unsafe(no_mangle)]
fn gate_other(skb: *mut __sk_buff, link: Link, direction: Direction) -> i32 {
    let mut datagram = FragmentKey::default();
    let entry = parse(&Whole(skb), link, direction, counted(), &mut datagram);
    let (port, protocol) = match entry.owner {
        Owner::Port => (entry.port, entry.protocol),
        Owner::FirstFragment => {
            // This is done even if the packet is refused, because the later fragments are treated like the first.
            remember(&datagram, entry.port, entry.protocol);
            (entry.port, entry.protocol)
        }
        Owner::LaterFragment => match recall(&datagram) {
            Some(owner) => owner,
            None => {
                add_to_nobody(Reserved::FragmentUnmatched, direction, entry.alone);
                return TC_ACT_UNSPEC;
            }
        },
        Owner::Nobody(line) => {
            if line == Reserved::Unparsed && LOG.load() != 0 {
                log_unparsed(skb);
            }
            add_to_nobody(line, direction, entry.charge);
            return TC_ACT_UNSPEC;
        }
    };
    pass_or_refuse(skb, link, port, protocol, direction, entry.charge)
}

#[inline(always)]
fn pass_or_refuse(
    skb: *mut __sk_buff,
    link: Link,
    port: u16,
    protocol: Protocol,
    direction: Direction,
    charge: Charge,
) -> i32 {
    let entry = match PORT_BUDGET.get_ptr(u32::from(port)) {
        // SAFETY: it points to a live element, which user space changes by single stores.
        Some(entry) => unsafe { entry.read_volatile() },
        None => 0,
    };
    if entry == 0 {
        add_to_port(port, protocol, direction, charge);
        return TC_ACT_UNSPEC;
    }
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    let budget = budget_of(entry);
    let index = cpu * BUDGET_LINES.load() + budget;
    // Only user space could make an entry for a budget that does not exist, and it does not.
    let Some(share) = SHARES.get_ptr_mut(index) else { return TC_ACT_UNSPEC };
    let own = Own { share, index, budget };
    let side = side(entry, direction);
    if !admit(&own, side, charge.bytes) {
        let may_reset = direction == Direction::Egress
            && protocol == Protocol::Tcp
            && is_reset(skb, u32::from(link == Link::Ethernet)) != 0
            && admit_reset_of(budget, index, side_number(side), charge.bytes) != 0;
        if !may_reset {
            refuse(port, direction, charge.bytes, charge.packets);
            return TC_ACT_SHOT;
        }
    }
    add_to_port(port, protocol, direction, charge);
    if let Some(side) = side {
        own.add_passed(side, charge.bytes);
    }
    TC_ACT_UNSPEC
}

/// Whether a packet that does not fit is a TCP reset without data. Returns 0 if it is not.
#[inline(never)]
#[unsafe(no_mangle)]
fn is_reset(skb: *mut __sk_buff, is_ethernet: u32) -> u32 {
    let link = if is_ethernet != 0 { Link::Ethernet } else { Link::Ip };
    u32::from(is_bare_reset(&Whole(skb), link))
}

/// Counts what is refused, in one place for all CPUs, because it is rare.
#[inline(never)]
#[unsafe(no_mangle)]
fn refuse(port: u16, direction: Direction, bytes: u64, packets: u64) {
    let Some(slot) = slot_of(port) else { return };
    let Some(refused) = REFUSED.get_ptr_mut(u32::from(slot)) else { return };
    // SAFETY: it points to a live element.
    unsafe {
        match direction {
            Direction::Ingress => {
                atomic_add(&raw mut (*refused).in_bytes, bytes);
                atomic_add(&raw mut (*refused).in_packets, packets);
            }
            Direction::Egress => {
                atomic_add(&raw mut (*refused).out_bytes, bytes);
                atomic_add(&raw mut (*refused).out_packets, packets);
            }
        }
    }
}

/// This CPU's share of a budget.
#[derive(Clone, Copy)]
struct Own {
    share: *mut Share,
    /// The indexes of the share and of the budget, by which `look_at_budget` looks up both.
    index: u32,
    budget: u32,
}

impl Holder for Own {
    #[inline(always)]
    fn tick(&self) -> u64 {
        // SAFETY: the helper has no preconditions.
        unsafe { bpf_jiffies64() }
    }
    #[inline(always)]
    fn is_exclusive(&self) -> bool {
        ATOMIC.load() == 0
    }
    #[inline(always)]
    fn left(&self, side: usize) -> u64 {
        // SAFETY: `share` points to a live element, here and below.
        unsafe { (*self.share).left[side & 1] }
    }
    #[inline(always)]
    fn set_left(&self, side: usize, bytes: u64) {
        // SAFETY: as above.
        unsafe { (*self.share).left[side & 1] = bytes }
    }
    #[inline(always)]
    fn checked_at(&self) -> u64 {
        // SAFETY: as above.
        unsafe { (*self.share).checked_at }
    }
    #[inline(always)]
    fn state(&self) -> u64 {
        // SAFETY: as above.
        unsafe { (*self.share).state }
    }
    #[inline(always)]
    fn add_passed(&self, side: usize, bytes: u64) {
        // SAFETY: as above.
        unsafe {
            let passed = &raw mut (*self.share).passed[side & 1];
            if self.is_exclusive() {
                passed.write_volatile(passed.read_volatile() + bytes);
            } else {
                atomic_add(passed, bytes);
            }
        }
    }
    #[inline(always)]
    fn slow(&self, side: Option<usize>, bytes: u64) -> bool {
        look_at_budget(self.budget, self.index, side_number(side), bytes) != 0
    }
}

/// Decides by the budget itself. A separate function, because most packets do not need it. Returns 0 to refuse.
#[inline(never)]
#[unsafe(no_mangle)]
fn look_at_budget(budget: u32, index: u32, side: u32, bytes: u64) -> u32 {
    let (Some(live), Some(share)) = (BUDGETS.get_ptr_mut(budget), SHARES.get_ptr_mut(index)) else { return 1 };
    let whole = WithBudget { own: Own { share, index, budget }, budget: live };
    u32::from(admit_slowly(&whole, side_of(side), bytes))
}

/// Decides whether a reset may pass although the budget is used up. Returns 0 to refuse.
#[inline(never)]
#[unsafe(no_mangle)]
fn admit_reset_of(budget: u32, index: u32, side: u32, bytes: u64) -> u32 {
    let (Some(live), Some(share)) = (BUDGETS.get_ptr_mut(budget), SHARES.get_ptr_mut(index)) else { return 0 };
    let whole = WithBudget { own: Own { share, index, budget }, budget: live };
    u32::from(admit_reset(&whole, side_of(side), bytes))
}

/// A side as a number, because separate functions of a program take only numbers.
#[inline(always)]
fn side_number(side: Option<usize>) -> u32 {
    match side {
        None => 2,
        Some(0) => 0,
        Some(_) => 1,
    }
}

/// The inverse of [`side_number`].
#[inline(always)]
fn side_of(number: u32) -> Option<usize> {
    match number {
        0 => Some(0),
        1 => Some(1),
        _ => None,
    }
}

/// A budget, and this CPU's share of it.
struct WithBudget {
    own: Own,
    budget: *mut Budget,
}

impl Holder for WithBudget {
    #[inline(always)]
    fn tick(&self) -> u64 {
        self.own.tick()
    }
    #[inline(always)]
    fn is_exclusive(&self) -> bool {
        self.own.is_exclusive()
    }
    #[inline(always)]
    fn left(&self, side: usize) -> u64 {
        self.own.left(side)
    }
    #[inline(always)]
    fn set_left(&self, side: usize, bytes: u64) {
        self.own.set_left(side, bytes);
    }
    #[inline(always)]
    fn checked_at(&self) -> u64 {
        self.own.checked_at()
    }
    #[inline(always)]
    fn state(&self) -> u64 {
        self.own.state()
    }
    #[inline(always)]
    fn add_passed(&self, side: usize, bytes: u64) {
        self.own.add_passed(side, bytes);
    }
    #[inline(always)]
    fn slow(&self, _side: Option<usize>, _bytes: u64) -> bool {
        // This code is reached through `slow` itself and never calls it.
        false
    }
}

impl Memory for WithBudget {
    #[inline(always)]
    fn now(&self) -> u64 {
        // SAFETY: the helper has no preconditions.
        unsafe { bpf_ktime_get_boot_ns() }
    }
    #[inline(always)]
    fn plenty(&self) -> u64 {
        PLENTY.load()
    }
    #[inline(always)]
    fn limit(&self, account: usize) -> u64 {
        // SAFETY: `budget` points to a live element, here and below; others change it by single stores only.
        unsafe { (&raw const (*self.budget).limit[account & 3]).read_volatile() }
    }
    #[inline(always)]
    fn turn(&self) -> TurnWord {
        // SAFETY: as above.
        unsafe { (&raw const (*self.budget).turn).read_volatile() }
    }
    #[inline(always)]
    fn closes_at(&self) -> u64 {
        // SAFETY: as above.
        unsafe { (&raw const (*self.budget).closes_at).read_volatile() }
    }
    #[inline(always)]
    fn taken(&self, account: usize) -> u64 {
        // SAFETY: as above.
        unsafe { (&raw const (*self.budget).pools.taken[account & 3]).read_volatile() }
    }
    #[inline(always)]
    fn take(&self, account: usize, bytes: u64) -> u64 {
        // SAFETY: as above.
        unsafe { atomic_add(&raw mut (*self.budget).pools.taken[account & 3], bytes) };
        self.taken(account)
    }
    #[inline(always)]
    fn give_back(&self, account: usize, bytes: u64) {
        // SAFETY: as above.
        unsafe { atomic_add(&raw mut (*self.budget).pools.taken[account & 3], bytes.wrapping_neg()) };
    }
    #[inline(always)]
    fn refused_at(&self, account: usize) -> u64 {
        // SAFETY: as above.
        unsafe { (&raw const (*self.budget).pools.refused_at[account & 3]).read_volatile() }
    }
    #[inline(always)]
    fn set_refused_at(&self, account: usize, limit: u64) {
        // SAFETY: as above.
        unsafe { (&raw mut (*self.budget).pools.refused_at[account & 3]).write_volatile(limit) };
    }
    #[inline(always)]
    fn lease_limit(&self, side: usize) -> u64 {
        // SAFETY: `share` points to a live element, here and below.
        unsafe { (*self.own.share).lease_limit[side & 1] }
    }
    #[inline(always)]
    fn set_lease_limit(&self, side: usize, limit: u64) {
        // SAFETY: as above.
        unsafe { (*self.own.share).lease_limit[side & 1] = limit }
    }
    #[inline(always)]
    fn set_checked_at(&self, tick: u64) {
        // SAFETY: as above.
        unsafe { (*self.own.share).checked_at = tick }
    }
    #[inline(always)]
    fn set_state(&self, state: u64) {
        // SAFETY: as above.
        unsafe { (*self.own.share).state = state }
    }
}
