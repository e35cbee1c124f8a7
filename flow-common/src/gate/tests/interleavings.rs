//! Threads stand for CPUs. `loom` runs each model in every order in which its atomic operations can happen, and lets
//! each load return every value that the memory model allows.

use std::cell::Cell;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
use loom::thread;

use crate::gate::{CUT, Holder, Memory, NEVER, Share, UNLIMITED, account, admit, admit_reset, admit_slowly};

/// Small, so that few packets reach every case.
const LEASE: u64 = 4;
const CPUS: u64 = 2;

struct Shared {
    limit: [AtomicU64; 2],
    taken: [AtomicU64; 2],
    refused_at: [AtomicU64; 2],
    now: AtomicU64,
    turn: u64,
}

impl Shared {
    /// The limits of the present month and of the next, which begins at `turn`.
    fn new(limits: [u64; 2], turn: u64) -> Arc<Self> {
        let zero = || [AtomicU64::new(0), AtomicU64::new(0)];
        let limit = limits.map(AtomicU64::new);
        Arc::new(Self { limit, taken: zero(), refused_at: zero(), now: AtomicU64::new(0), turn })
    }
}

/// One CPU. Only side 0 is billed, so that each pool is a single number.
struct Cpu {
    shared: Arc<Shared>,
    share: Cell<Share>,
    exclusive: bool,
    /// The bytes of the packets that were admitted.
    passed: Cell<u64>,
}

impl Cpu {
    fn new(shared: &Arc<Shared>, exclusive: bool) -> Self {
        // A budget that was never checked.
        let share = Share { checked_at: u64::MAX, ..Share::default() };
        Self { shared: Arc::clone(shared), share: Cell::new(share), exclusive, passed: Cell::new(0) }
    }

    fn send(&self, bytes: u64) -> bool {
        let passes = admit(self, Some(0), bytes);
        if passes {
            self.add_passed(0, bytes);
        }
        passes
    }

    /// Sends a reset, as an agent does after something was refused.
    fn send_reset(&self, bytes: u64) -> bool {
        let passes = admit_reset(self, Some(0), bytes);
        if passes {
            self.add_passed(0, bytes);
        }
        passes
    }

    fn change(&self, change: impl FnOnce(&mut Share)) {
        let mut share = self.share.get();
        change(&mut share);
        self.share.set(share);
    }
}

impl Holder for Cpu {
    fn tick(&self) -> u64 {
        self.now()
    }
    fn is_exclusive(&self) -> bool {
        self.exclusive
    }
    fn left(&self, side: usize) -> u64 {
        self.share.get().left[side]
    }
    fn set_left(&self, side: usize, bytes: u64) {
        self.change(|share| share.left[side] = bytes);
    }
    fn checked_at(&self) -> u64 {
        self.share.get().checked_at
    }
    fn state(&self) -> u64 {
        self.share.get().state
    }
    fn add_passed(&self, _side: usize, bytes: u64) {
        self.passed.set(self.passed.get() + bytes);
    }
    fn slow(&self, side: Option<usize>, bytes: u64) -> bool {
        admit_slowly(self, side, bytes)
    }
}

impl Memory for Cpu {
    const LEASE: u64 = LEASE;

    fn now(&self) -> u64 {
        self.shared.now.load(Relaxed)
    }
    fn plenty(&self) -> u64 {
        CPUS * LEASE
    }
    fn limit(&self, account: usize) -> u64 {
        if account & 1 == 0 { self.shared.limit[account >> 1].load(Relaxed) } else { UNLIMITED }
    }
    fn turn(&self) -> u64 {
        self.shared.turn
    }
    fn closes_at(&self) -> u64 {
        NEVER
    }
    fn taken(&self, account: usize) -> u64 {
        self.shared.taken[account >> 1].load(Relaxed)
    }
    fn take(&self, account: usize, bytes: u64) -> u64 {
        self.shared.taken[account >> 1].fetch_add(bytes, Relaxed);
        self.taken(account)
    }
    fn give_back(&self, account: usize, bytes: u64) {
        self.shared.taken[account >> 1].fetch_sub(bytes, Relaxed);
    }
    fn refused_at(&self, account: usize) -> u64 {
        if account & 1 == 0 { self.shared.refused_at[account >> 1].load(Relaxed) } else { 0 }
    }
    fn set_refused_at(&self, account: usize, limit: u64) {
        self.shared.refused_at[account >> 1].store(limit, Relaxed);
    }
    fn lease_limit(&self, side: usize) -> u64 {
        self.share.get().lease_limit[side]
    }
    fn set_lease_limit(&self, side: usize, limit: u64) {
        self.change(|share| share.lease_limit[side] = limit);
    }
    fn set_checked_at(&self, tick: u64) {
        self.change(|share| share.checked_at = tick);
    }
    fn set_state(&self, state: u64) {
        self.change(|share| share.state = state);
    }
}

/// The state of a CPU after it has sent everything: what passed, what it holds of each pool, and whether a packet was
/// refused.
struct Sent {
    passed: u64,
    left: [u64; 2],
    refused: bool,
}

/// Sends packets of these sizes on a new CPU.
fn sender(shared: &Arc<Shared>, exclusive: bool, packets: &'static [u64]) -> thread::JoinHandle<Sent> {
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        let cpu = Cpu::new(&shared, exclusive);
        let refused = packets.iter().filter(|bytes| !cpu.send(**bytes)).count() > 0;
        let share = cpu.share.get();
        let mut left = [0; 2];
        left[(share.state & !CUT) as usize] = share.left[0];
        Sent { passed: cpu.passed.get(), left, refused }
    })
}

/// Every byte that passed was taken once, nothing else was taken except leases, and no pool gave more than its limit.
fn check(shared: &Shared, limits: [u64; 2], sent: &[Sent]) {
    let mut taken = 0;
    for (of_pool, limit) in shared.taken.iter().map(|pool| pool.load(Relaxed)).zip(limits) {
        assert!(of_pool <= limit, "{of_pool} of {limit}");
        taken += of_pool;
    }
    let held: u64 = sent.iter().map(|sent| sent.passed + sent.left[0] + sent.left[1]).sum();
    assert_eq!(taken, held);
}

#[test]
fn near_the_limit_two_cpus_never_exceed_it() {
    for exclusive in [true, false] {
        loom::model(move || {
            let shared = Shared::new([10, 0], NEVER);
            let one = sender(&shared, exclusive, &[3, 2]);
            let other = sender(&shared, exclusive, &[4, 3]);
            let sent = [one.join().unwrap(), other.join().unwrap()];
            check(&shared, [10, 0], &sent);
            // 12 bytes do not fit into 10.
            assert!(sent.iter().any(|sent| sent.refused));
        });
    }
}

#[test]
fn resets_pass_only_while_there_is_room_for_them() {
    loom::model(|| {
        let shared = Shared::new([7, 0], NEVER);
        let other = sender(&shared, true, &[3]);
        let cpu = Cpu::new(&shared, true);
        let refused = !cpu.send(6);
        cpu.send_reset(1);
        let other = other.join().unwrap();
        // Nobody else takes anything now: what fits passes, whatever was refused before.
        let room = 7 - shared.taken[0].load(Relaxed);
        assert_eq!(cpu.send_reset(1), room > 0);
        let own = Sent { passed: cpu.passed.get(), left: [cpu.share.get().left[0], 0], refused };
        check(&shared, [7, 0], &[own, other]);
    });
}

#[test]
fn from_far_to_near_two_cpus_never_exceed_it() {
    loom::model(|| {
        let shared = Shared::new([15, 0], NEVER);
        let one = sender(&shared, true, &[5]);
        let other = sender(&shared, true, &[6, 5]);
        let sent = [one.join().unwrap(), other.join().unwrap()];
        check(&shared, [15, 0], &sent);
        // At most one lease and one packet for each CPU are refused too early.
        let passed: u64 = sent.iter().map(|sent| sent.passed).sum();
        if sent.iter().any(|sent| sent.refused) {
            assert!(passed + 2 * (LEASE + 6) > 15, "{passed}");
        }
    });
}

#[test]
fn a_limit_that_is_raised_meanwhile_opens_again_and_holds() {
    loom::model(|| {
        let shared = Shared::new([5, 0], NEVER);
        let one = sender(&shared, true, &[4]);
        let other = sender(&shared, true, &[3]);
        shared.limit[0].store(9, Relaxed);
        let mut sent = vec![one.join().unwrap(), other.join().unwrap()];
        check(&shared, [9, 0], &sent);
        // 9 bytes fit into the raised limit. Whatever was refused before, a packet that fits passes now.
        let rest = 9 - shared.taken[0].load(Relaxed);
        let cpu = Cpu::new(&shared, true);
        assert_eq!(cpu.send(rest), shared.refused_at[0].load(Relaxed) != 9);
        sent.push(Sent { passed: cpu.passed.get(), left: [0; 2], refused: false });
        check(&shared, [9, 0], &sent);
    });
}

#[test]
fn the_month_turns_while_packets_pass() {
    loom::model(|| {
        let shared = Shared::new([6, 7], 10);
        let one = sender(&shared, true, &[3]);
        let other = sender(&shared, true, &[4]);
        shared.now.store(10, Relaxed);
        let sent = [one.join().unwrap(), other.join().unwrap()];
        check(&shared, [6, 7], &sent);
    });
}

#[test]
fn accounts_of_pools_and_sides_are_four() {
    assert_eq!([account(0, 0), account(0, 1), account(1, 0), account(1, 1)], [0, 1, 2, 3]);
}
