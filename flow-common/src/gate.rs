//! Decides whether packets may pass. Budgets are never exceeded, however many CPUs spend them at the same time.
//!
//! A budget has two pools of bytes for each billed side: one for the present billing month and one for the next. The
//! latter is filled in advance, so that the month turns by the clock alone. A pool consists of the number of bytes
//! *taken* and a *limit*. A packet passes only after its bytes were taken:
//!
//! - Far from the limit a CPU takes a lease of [`LEASE`] bytes together with the packet's, and spends it without
//!   touching memory that other CPUs write. No CPU takes away the lease of another.
//! - Near the limit no CPU takes a lease. Each takes only what its packet needs beyond the rest of its lease.
//! - A packet that does not fit is refused, as is all that follows until the limit changes (but see [`admit_reset`]).
//!
//! The number taken never exceeds the limit, and the number passed never exceeds the number taken, so no byte passes
//! beyond the budget. At most one lease and one packet for each CPU are refused too early (a packet is one kernel
//! buffer: with segmentation offload up to 64 KiB, with BIG TCP more).
//!
//! Taking is an addition followed by a load, because additions that return their result exist only since Linux 5.12.
//! The load sees this addition and possibly later ones of other CPUs, so its result may be too high but never too low.
//!
//! This is the only implementation of the algorithm. The classifiers run it on the kernel's maps, and the tests run it
//! on threads in every possible interleaving.

mod memory;
#[cfg(test)]
mod tests;

pub use memory::{
    Budget, CUT, GATE_VERSION, Holder, LEASE, Memory, NEVER, NOT_REFUSED, Pools, PortBudget, Refused, Share, TurnWord,
    UNLIMITED, account,
};

use crate::frame::Direction;

/// Which bytes a budget bills. These are the two lowest bits of a port's entry.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Incoming and outgoing bytes together, on side 0.
    Both = 0,
    /// Incoming bytes only, on side 0.
    In = 1,
    /// Outgoing bytes only, on side 0.
    Out = 2,
    /// Incoming bytes on side 0 and outgoing bytes on side 1. The budget is used up when either side is.
    Max = 3,
}

/// A port's entry: the number of its budget (from 1) and that budget's rule. A port without a budget has the entry 0.
pub const fn port_entry(budget: u32, rule: Rule) -> PortBudget {
    (budget << 2) | rule as u32
}

/// The number of the budget in a port's entry; 0 if it has none.
#[inline(always)]
pub const fn budget_of(entry: PortBudget) -> u32 {
    entry >> 2
}

/// The side on which packets of this direction are billed; `None` if they are not billed.
#[inline(always)]
pub fn side(entry: PortBudget, direction: Direction) -> Option<usize> {
    let rule = entry & 3;
    match direction {
        Direction::Ingress if rule == Rule::Out as u32 => None,
        Direction::Egress if rule == Rule::In as u32 => None,
        Direction::Egress if rule == Rule::Max as u32 => Some(1),
        Direction::Ingress | Direction::Egress => Some(0),
    }
}

/// Whether a packet of `bytes`, which are billed on `side`, may pass. A packet that is not billed passes until the
/// budget is used up.
///
/// If it may pass, the caller first counts it and then calls [`Holder::add_passed`]. Because of this order, whoever
/// reads what has passed and then the counters never finds a packet only in the former.
#[inline(always)]
pub fn admit<H: Holder>(memory: &H, side: Option<usize>, bytes: u64) -> bool {
    if !memory.is_exclusive() || memory.checked_at() != memory.tick() {
        return memory.slow(side, bytes);
    }
    if memory.state() & CUT != 0 {
        return false;
    }
    let Some(side) = side else { return true };
    let left = memory.left(side);
    if bytes <= left {
        memory.set_left(side, left - bytes);
        return true;
    }
    memory.slow(Some(side), bytes)
}

/// [`admit`] for the case that this CPU's share does not suffice, or that the budget was last checked too long ago.
#[inline(always)]
pub fn admit_slowly<M: Memory>(memory: &M, side: Option<usize>, bytes: u64) -> bool {
    let tick = memory.tick();
    let now = memory.now();
    let turn = memory.turn();
    let pool = pool_at(turn, now);
    let is_closed = now >= memory.closes_at();
    let limits = [limit(memory, pool, 0, is_closed), limit(memory, pool, 1, is_closed)];
    let is_cut = is_closed || is_refused(memory, pool, 0, limits[0]) || is_refused(memory, pool, 1, limits[1]);
    if memory.is_exclusive() {
        renew(memory, pool, limits);
        memory.set_checked_at(tick);
        memory.set_state(pool as u64 | if is_cut { CUT } else { 0 });
    }
    if is_cut {
        return false;
    }
    match side {
        None => true,
        Some(0) => take(memory, pool, 0, limits[0], bytes),
        Some(_) => take(memory, pool, 1, limits[1], bytes),
    }
}

/// Whether a TCP reset without data, of `bytes`, may pass although the budget is used up or has expired. It may if the
/// packet that did not fit left enough room, and it is billed like any other packet. So clients learn that the agent
/// has closed their connections, and still no byte passes beyond the budget.
#[inline(always)]
pub fn admit_reset<M: Memory>(memory: &M, side: Option<usize>, bytes: u64) -> bool {
    let Some(side) = side else { return true };
    let account = account(pool_at(memory.turn(), memory.now()), side);
    if memory.take(account, bytes) <= memory.limit(account) {
        return true;
    }
    memory.give_back(account, bytes);
    false
}

/// The pool that is in force at `now`.
#[inline(always)]
fn pool_at(turn: TurnWord, now: u64) -> usize {
    let before = (turn & 1) as usize;
    if now >= turn & !1 { 1 - before } else { before }
}

#[inline(always)]
fn limit<M: Memory>(memory: &M, pool: usize, side: usize, is_closed: bool) -> u64 {
    if is_closed { 0 } else { memory.limit(account(pool, side)) }
}

#[inline(always)]
fn is_refused<M: Memory>(memory: &M, pool: usize, side: usize, limit: u64) -> bool {
    memory.refused_at(account(pool, side)) == limit
}

/// Gives back leases that were taken from the other pool or under another limit.
#[inline(always)]
fn renew<M: Memory>(memory: &M, pool: usize, limits: [u64; 2]) {
    let former = (memory.state() & 1) as usize;
    for (side, limit) in limits.into_iter().enumerate() {
        if former == pool && memory.lease_limit(side) == limit {
            continue;
        }
        let left = memory.left(side);
        if left != 0 {
            memory.set_left(side, 0);
            memory.give_back(account(former, side), left);
        }
        memory.set_lease_limit(side, limit);
    }
}

/// Takes what the packet needs beyond this CPU's lease, and a new lease as well if plenty is left.
#[inline(always)]
fn take<M: Memory>(memory: &M, pool: usize, side: usize, limit: u64, bytes: u64) -> bool {
    let account = account(pool, side);
    let exclusive = memory.is_exclusive();
    let left = if exclusive { memory.left(side) } else { 0 };
    if bytes <= left {
        memory.set_left(side, left - bytes);
        return true;
    }
    let need = bytes - left;
    if exclusive && limit.saturating_sub(memory.taken(account)) >= memory.plenty().saturating_add(need) {
        if memory.take(account, need + M::LEASE) <= limit {
            memory.set_left(side, M::LEASE);
            return true;
        }
        memory.give_back(account, need + M::LEASE);
    }
    if memory.take(account, need) <= limit {
        if exclusive {
            memory.set_left(side, 0);
        }
        return true;
    }
    memory.give_back(account, need);
    memory.set_refused_at(account, limit);
    if exclusive {
        memory.set_state(pool as u64 | CUT);
    }
    false
}
