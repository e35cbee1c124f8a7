//! The contents of the gate's maps, and the operations on them that the algorithm needs.

/// The version of everything in this file. It is part of the name of the directory in which the maps are pinned.
pub const GATE_VERSION: u32 = 1;

/// The number of bytes that a CPU takes in advance.
pub const LEASE: u64 = 65_536;

/// The limit of a side that has none.
pub const UNLIMITED: u64 = u64::MAX;

/// A value of [`Pools::refused_at`] that equals no limit.
pub const NOT_REFUSED: u64 = u64::MAX - 1;

/// An instant that never comes. It is even, because the lowest bit of a [`TurnWord`] is not part of the instant.
pub const NEVER: u64 = u64::MAX - 1;

/// The entry of a port; see [`super::port_entry`].
pub type PortBudget = u32;

/// When the pools change roles, in nanoseconds of the boot-time clock; the lowest bit is the pool in force until then.
/// Both are in one word, so that nobody ever sees the instant of one turn with the pool of another.
pub type TurnWord = u64;

/// A bit of [`Share::state`] that is set while nothing may pass.
pub const CUT: u64 = 2;

/// The index of a pool's numbers for one side.
#[inline(always)]
pub const fn account(pool: usize, side: usize) -> usize {
    ((pool & 1) << 1) | (side & 1)
}

/// One budget. Its first half is written only by user space.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// The number of bytes that may be taken, by [`account`].
    pub limit: [u64; 4],
    pub turn: TurnWord,
    /// The instant at which the budget expires, in nanoseconds of the boot-time clock.
    pub closes_at: u64,
    /// Identifies the user who owns the budget; 0 for none. Only user space uses it.
    pub owner: u64,
    pub spare: u64,
    pub pools: Pools,
}

/// The part of a budget that all CPUs write.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    /// The number of bytes that were taken, by [`account`].
    pub taken: [u64; 4],
    /// The limit at which a packet was refused. Nothing passes while the limit has this value.
    pub refused_at: [u64; 4],
}

/// What one CPU holds of one budget.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Bytes that were taken and not spent yet, by side.
    pub left: [u64; 2],
    /// Bytes that passed and were counted, by side, for all pools together.
    pub passed: [u64; 2],
    /// The limit under which `left` was taken, by side.
    pub lease_limit: [u64; 2],
    /// The kernel's tick counter when the budget was last checked.
    pub checked_at: u64,
    /// Bit 0 is the pool from which `left` was taken; bit 1 is [`CUT`].
    pub state: u64,
}

/// What was refused of the port in one slot, on all CPUs together.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    pub in_bytes: u64,
    pub in_packets: u64,
    pub out_bytes: u64,
    pub out_packets: u64,
}

const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<Budget>() == 128 && offset_of!(Budget, pools) == 64);
    assert!(size_of::<Share>() == 64 && size_of::<Refused>() == 32);
};

/// One CPU's share of one budget, and what can be done without reading the budget itself.
pub trait Holder {
    /// The kernel's tick counter, which is cheap to read.
    fn tick(&self) -> u64;
    /// Whether no other packet on this CPU can interrupt this one, so that the share can be changed without atomics.
    fn is_exclusive(&self) -> bool;

    fn left(&self, side: usize) -> u64;
    fn set_left(&self, side: usize, bytes: u64);
    fn checked_at(&self) -> u64;
    fn state(&self) -> u64;
    fn add_passed(&self, side: usize, bytes: u64);

    /// Calls [`super::admit_slowly`], possibly as a separate function of the program.
    fn slow(&self, side: Option<usize>, bytes: u64) -> bool;
}

/// One budget as seen by one CPU.
pub trait Memory: Holder {
    const LEASE: u64 = LEASE;

    /// The boot-time clock in nanoseconds.
    fn now(&self) -> u64;
    /// How many bytes must be left beyond what a packet needs for a lease to be taken.
    fn plenty(&self) -> u64;

    fn limit(&self, account: usize) -> u64;
    fn turn(&self) -> TurnWord;
    fn closes_at(&self) -> u64;

    fn taken(&self, account: usize) -> u64;
    /// Adds to the bytes taken and then reads their number, which includes this addition and possibly later ones.
    fn take(&self, account: usize, bytes: u64) -> u64;
    fn give_back(&self, account: usize, bytes: u64);
    fn refused_at(&self, account: usize) -> u64;
    fn set_refused_at(&self, account: usize, limit: u64);

    fn lease_limit(&self, side: usize) -> u64;
    fn set_lease_limit(&self, side: usize, limit: u64);
    fn set_checked_at(&self, tick: u64);
    fn set_state(&self, state: u64);
}
