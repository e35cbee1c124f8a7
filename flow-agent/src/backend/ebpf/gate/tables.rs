//! The maps of the gate as memory: read and written with relaxed atomics, no system call.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};

use flow_common::gate::{Budget, PortBudget, Share, account};
use flow_common::wire::PORTS;

use crate::backend::ebpf::maps::tables::SharedMemory;
use crate::backend::ebpf::pins::layout::GateName;

const BUDGET_WORDS: usize = size_of::<Budget>() / size_of::<u64>();
const SHARE_WORDS: usize = size_of::<Share>() / size_of::<u64>();
// Word offsets of the fields in `Budget`.
const LIMIT: usize = 0;
const TURN: usize = 4;
const CLOSES_AT: usize = 5;
const OWNER: usize = 6;
const TAKEN: usize = 8;
const REFUSED_AT: usize = 12;
// Word offsets of the fields in `Share`.
const LEFT: usize = 0;
const PASSED: usize = 2;
const STATE: usize = 7;

/// The memory of `PORT_BUDGET`, `BUDGETS` and `SHARES`.
pub struct GateTables {
    /// Each element takes eight bytes, because the kernel pads array elements to that size.
    ports: SharedMemory,
    budgets: SharedMemory,
    shares: SharedMemory,
    lines: usize,
    cpus: usize,
}

impl GateTables {
    /// Maps the three maps into memory. Their sizes follow from `name`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn map(ports: impl AsFd, budgets: impl AsFd, shares: impl AsFd, name: &GateName) -> std::io::Result<Self> {
        let (lines, cpus) = (name.lines as usize, name.cpus as usize);
        Ok(Self {
            ports: SharedMemory::map(&ports, PORTS * size_of::<u64>())?,
            budgets: SharedMemory::map(&budgets, lines * size_of::<Budget>())?,
            shares: SharedMemory::map(&shares, cpus * lines * size_of::<Share>())?,
            lines,
            cpus,
        })
    }

    /// The range of valid budget numbers.
    pub fn numbers(&self) -> std::ops::Range<usize> {
        1..self.lines
    }

    pub fn entry(&self, port: u16) -> PortBudget {
        self.ports.words()[usize::from(port)].load(Ordering::Relaxed) as PortBudget
    }

    /// A single store, so a packet sees either the former entry or the new one.
    pub fn set_entry(&self, port: u16, entry: PortBudget) {
        self.ports.words()[usize::from(port)].store(u64::from(entry), Ordering::Release);
    }

    pub fn owner(&self, number: usize) -> u64 {
        self.get(number, OWNER)
    }
    pub fn set_owner(&self, number: usize, owner: u64) {
        self.set(number, OWNER, owner);
    }
    pub fn set_limit(&self, number: usize, pool: usize, side: usize, limit: u64) {
        self.set(number, LIMIT + account(pool, side), limit);
    }
    pub fn turn(&self, number: usize) -> u64 {
        self.get(number, TURN)
    }
    pub fn set_turn(&self, number: usize, turn: u64) {
        self.set(number, TURN, turn);
    }
    /// Whether a pool is empty, or held too little for a packet that came since its limit was set.
    pub fn is_used_up(&self, number: usize, pool: usize, side: usize) -> bool {
        let limit = self.get(number, LIMIT + account(pool, side));
        self.get(number, REFUSED_AT + account(pool, side)) == limit || self.spent(number, pool, side) >= limit
    }
    pub fn closes_at(&self, number: usize) -> u64 {
        self.get(number, CLOSES_AT)
    }
    pub fn set_closes_at(&self, number: usize, at: u64) {
        self.set(number, CLOSES_AT, at);
    }
    pub fn set_refused_at(&self, number: usize, pool: usize, side: usize, limit: u64) {
        self.set(number, REFUSED_AT + account(pool, side), limit);
    }

    /// Refuses everything until the limit changes.
    pub fn refuse_at_limit(&self, number: usize, pool: usize, side: usize) {
        self.set_refused_at(number, pool, side, self.get(number, LIMIT + account(pool, side)));
    }

    /// The bytes that passed on one side, in all months together.
    pub fn passed(&self, number: usize, side: usize) -> u64 {
        self.shares(number).fold(0, |sum, share| sum.wrapping_add(share[PASSED + side].load(Ordering::Acquire)))
    }

    /// The bytes spent from a pool: those taken from it, less those that CPUs still hold as leases. If a CPU returns
    /// bytes during the call, the result may be too high but never too low.
    pub fn spent(&self, number: usize, pool: usize, side: usize) -> u64 {
        let taken = self.budgets.words()[number * BUDGET_WORDS + TAKEN + account(pool, side)].load(Ordering::Acquire);
        let held = |share: &[AtomicU64]| {
            let is_of_pool = share[STATE].load(Ordering::Relaxed) & 1 == pool as u64;
            if is_of_pool { share[LEFT + side].load(Ordering::Relaxed) } else { 0 }
        };
        taken.saturating_sub(self.shares(number).map(held).sum())
    }

    fn shares(&self, number: usize) -> impl Iterator<Item = &[AtomicU64]> {
        let words = self.shares.words();
        (0..self.cpus).map(move |cpu| &words[(cpu * self.lines + number) * SHARE_WORDS..][..SHARE_WORDS])
    }

    fn get(&self, number: usize, word: usize) -> u64 {
        self.budgets.words()[number * BUDGET_WORDS + word].load(Ordering::Relaxed)
    }

    fn set(&self, number: usize, word: usize, value: u64) {
        let word = &self.budgets.words()[number * BUDGET_WORDS + word];
        // Without a change nothing is stored, so that the cache line stays shared between the CPUs.
        if word.load(Ordering::Relaxed) != value {
            word.store(value, Ordering::Release);
        }
    }
}

#[cfg(test)]
impl GateTables {
    /// Tables in ordinary memory instead of kernel maps.
    pub fn own(lines: usize, cpus: usize) -> Self {
        Self {
            ports: SharedMemory::own(PORTS),
            budgets: SharedMemory::own(lines * BUDGET_WORDS),
            shares: SharedMemory::own(cpus * lines * SHARE_WORDS),
            lines,
            cpus,
        }
    }

    pub fn limit(&self, number: usize, pool: usize, side: usize) -> u64 {
        self.get(number, LIMIT + account(pool, side))
    }

    /// Whether packets are refused that are not billed, too.
    pub fn refuses_all(&self, number: usize, pool: usize, side: usize) -> bool {
        self.get(number, REFUSED_AT + account(pool, side)) == self.limit(number, pool, side)
    }

    /// What the kernel does when bytes pass on a CPU, without leases.
    pub fn pass(&self, number: usize, cpu: usize, pool: usize, side: usize, bytes: u64) {
        let taken = &self.budgets.words()[number * BUDGET_WORDS + TAKEN + account(pool, side)];
        taken.fetch_add(bytes, Ordering::Relaxed);
        let share = self.shares(number).nth(cpu).expect("the CPU is there");
        share[PASSED + side].fetch_add(bytes, Ordering::Relaxed);
        share[STATE].store(pool as u64, Ordering::Relaxed);
    }

    /// What the kernel does when a CPU takes bytes from a pool before packets need them.
    pub fn lease(&self, number: usize, cpu: usize, pool: usize, side: usize, bytes: u64) {
        let taken = &self.budgets.words()[number * BUDGET_WORDS + TAKEN + account(pool, side)];
        taken.fetch_add(bytes, Ordering::Relaxed);
        let share = self.shares(number).nth(cpu).expect("the CPU is there");
        share[LEFT + side].store(bytes, Ordering::Relaxed);
        share[STATE].store(pool as u64, Ordering::Relaxed);
    }
}
