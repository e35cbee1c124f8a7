//! What lies in the maps of the gate, and how the algorithm reaches it.

/// Version of everything in this file: part of the name of the directory in which the maps are pinned.
pub const GATE_VERSION: u32 = 1;

/// Bytes that a CPU takes in advance.
pub const LEASE: u64 = 65_536;

/// The limit of a side that has none.
pub const UNLIMITED: u64 = u64::MAX;

/// A [`Pools::refused_at`] that is no limit.
pub const NOT_REFUSED: u64 = u64::MAX - 1;

/// An instant that never comes; even, for the lowest bit of a [`TurnWord`] is not part of its instant.
pub const NEVER: u64 = u64::MAX - 1;

/// The budget of a port; see [`super::port_entry`].
pub type PortBudget = u32;

/// When the pools change places, by the boot-time clock in nanoseconds; the lowest bit is the pool that is in force until
/// then. One word, so that nobody ever sees the instant of one turn with the pool of another.
pub type TurnWord = u64;

/// Set in [`Share::state`] while nothing may pass.
pub const CUT: u64 = 2;

/// Index of a pool's numbers for one side.
#[inline(always)]
pub const fn account(pool: usize, side: usize) -> usize {
    ((pool & 1) << 1) | (side & 1)
}

/// One budget. The first half is written by user space alone.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// How many bytes may be taken, by [`account`].
    pub limit: [u64; 4],
    pub turn: TurnWord,
    /// When the budget expires, by the boot-time clock in nanoseconds.
    pub closes_at: u64,
    /// Says whose budget it is; 0 for nobody's. Only user space uses it.
    pub owner: u64,
    pub spare: u64,
    pub pools: Pools,
}

/// What the CPUs share.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    /// Bytes that were taken, by [`account`].
    pub taken: [u64; 4],
    /// The limit under which a packet was refused: nothing passes until the limit is another one.
    pub refused_at: [u64; 4],
}

/// What one CPU holds of one budget.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Bytes that were taken and not spent yet, by side.
    pub left: [u64; 2],
    /// Bytes that passed and were counted, by side; over all pools.
    pub passed: [u64; 2],
    /// The limit under which `left` was taken.
    pub lease_limit: [u64; 2],
    /// The kernel's tick at which the budget was last looked at.
    pub checked_at: u64,
    /// Bit 0: the pool that `left` is of. [`CUT`].
    pub state: u64,
}

/// What was refused of one slot's port, on all CPUs.
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

/// What one CPU holds of one budget, and what it may do without looking at the budget itself.
pub trait Holder {
    /// The kernel's tick counter: reading it costs nothing.
    fn tick(&self) -> u64;
    /// Whether no other packet of this CPU interrupts this one, so that the share may be changed without atomics.
    fn is_exclusive(&self) -> bool;

    fn left(&self, side: usize) -> u64;
    fn set_left(&self, side: usize, bytes: u64);
    fn checked_at(&self) -> u64;
    fn state(&self) -> u64;
    fn add_passed(&self, side: usize, bytes: u64);

    /// [`super::admit_slowly`], perhaps as a program of its own.
    fn slow(&self, side: Option<usize>, bytes: u64) -> bool;
}

/// One budget as one CPU sees it.
pub trait Memory: Holder {
    const LEASE: u64 = LEASE;

    /// The boot-time clock in nanoseconds.
    fn now(&self) -> u64;
    /// So many bytes must be there beyond what a packet needs for a lease to be taken.
    fn plenty(&self) -> u64;

    fn limit(&self, account: usize) -> u64;
    fn turn(&self) -> TurnWord;
    fn closes_at(&self) -> u64;

    fn taken(&self, account: usize) -> u64;
    /// Adds to what is taken, and then reads it: the result holds this addition, and perhaps later ones.
    fn take(&self, account: usize, bytes: u64) -> u64;
    fn give_back(&self, account: usize, bytes: u64);
    fn refused_at(&self, account: usize) -> u64;
    fn set_refused_at(&self, account: usize, limit: u64);

    fn lease_limit(&self, side: usize) -> u64;
    fn set_lease_limit(&self, side: usize, limit: u64);
    fn set_checked_at(&self, tick: u64);
    fn set_state(&self, state: u64);
}
