//! A single thread simulates all CPUs, next to a model in which a budget is one subtraction.

use std::cell::RefCell;

use proptest::prelude::*;

use crate::frame::Direction;
use crate::gate::{
    Budget, Holder, LEASE, Memory, NEVER, NOT_REFUSED, Pools, Rule, Share, UNLIMITED, admit, admit_slowly, port_entry,
    side,
};

const CPUS: usize = 3;
const LARGEST: u64 = 100_000;

struct Machine {
    budget: RefCell<Budget>,
    shares: RefCell<[Share; CPUS]>,
    now: u64,
    exclusive: bool,
}

struct OnCpu<'a>(&'a Machine, usize);

impl OnCpu<'_> {
    fn share<T>(&self, on: impl FnOnce(&mut Share) -> T) -> T {
        on(&mut self.0.shares.borrow_mut()[self.1])
    }
    fn budget<T>(&self, on: impl FnOnce(&mut Budget) -> T) -> T {
        on(&mut self.0.budget.borrow_mut())
    }
}

impl Holder for OnCpu<'_> {
    fn tick(&self) -> u64 {
        self.0.now
    }
    fn is_exclusive(&self) -> bool {
        self.0.exclusive
    }
    fn left(&self, side: usize) -> u64 {
        self.share(|share| share.left[side])
    }
    fn set_left(&self, side: usize, bytes: u64) {
        self.share(|share| share.left[side] = bytes);
    }
    fn checked_at(&self) -> u64 {
        self.share(|share| share.checked_at)
    }
    fn state(&self) -> u64 {
        self.share(|share| share.state)
    }
    fn add_passed(&self, side: usize, bytes: u64) {
        self.share(|share| share.passed[side] += bytes);
    }
    fn slow(&self, side: Option<usize>, bytes: u64) -> bool {
        admit_slowly(self, side, bytes)
    }
}

impl Memory for OnCpu<'_> {
    fn now(&self) -> u64 {
        self.0.now
    }
    fn plenty(&self) -> u64 {
        CPUS as u64 * LEASE
    }
    fn limit(&self, account: usize) -> u64 {
        self.budget(|budget| budget.limit[account])
    }
    fn turn(&self) -> u64 {
        self.budget(|budget| budget.turn)
    }
    fn closes_at(&self) -> u64 {
        self.budget(|budget| budget.closes_at)
    }
    fn taken(&self, account: usize) -> u64 {
        self.budget(|budget| budget.pools.taken[account])
    }
    fn take(&self, account: usize, bytes: u64) -> u64 {
        self.budget(|budget| {
            budget.pools.taken[account] += bytes;
            budget.pools.taken[account]
        })
    }
    fn give_back(&self, account: usize, bytes: u64) {
        self.budget(|budget| budget.pools.taken[account] -= bytes);
    }
    fn refused_at(&self, account: usize) -> u64 {
        self.budget(|budget| budget.pools.refused_at[account])
    }
    fn set_refused_at(&self, account: usize, limit: u64) {
        self.budget(|budget| budget.pools.refused_at[account] = limit);
    }
    fn lease_limit(&self, side: usize) -> u64 {
        self.share(|share| share.lease_limit[side])
    }
    fn set_lease_limit(&self, side: usize, limit: u64) {
        self.share(|share| share.lease_limit[side] = limit);
    }
    fn set_checked_at(&self, tick: u64) {
        self.share(|share| share.checked_at = tick);
    }
    fn set_state(&self, state: u64) {
        self.share(|share| share.state = state);
    }
}

#[derive(Clone, Debug)]
enum Event {
    Packet {
        cpu: usize,
        direction: Direction,
        bytes: u64,
    },
    /// The quota of the present month grows.
    Raise(u64),
    /// The month turns to one with this quota.
    Turn(u64),
    Expire,
    /// The expiry is lifted.
    Extend,
}

fn event() -> impl Strategy<Value = Event> {
    let direction = prop_oneof![Just(Direction::Ingress), Just(Direction::Egress)];
    prop_oneof![
        40 => (0..CPUS, direction, 1..LARGEST)
            .prop_map(|(cpu, direction, bytes)| Event::Packet { cpu, direction, bytes }),
        1 => (1..2_000_000_u64).prop_map(Event::Raise),
        1 => (0..2_000_000_u64).prop_map(Event::Turn),
        1 => Just(Event::Expire),
        1 => Just(Event::Extend),
    ]
}

/// The state of the budget without leases, pools and CPUs.
struct Naive {
    quota: u64,
    used: [u64; 2],
    expired: bool,
    /// Whether a packet was refused since the quota last changed.
    cut: bool,
}

fn play(rule: Rule, exclusive: bool, quota: u64, events: &[Event]) {
    let second = if rule == Rule::Max { quota } else { UNLIMITED };
    let budget = Budget {
        limit: [quota, second, 0, if rule == Rule::Max { 0 } else { UNLIMITED }],
        turn: NEVER,
        closes_at: NEVER,
        pools: Pools { refused_at: [NOT_REFUSED; 4], ..Pools::default() },
        ..Budget::default()
    };
    let mut machine = Machine { budget: RefCell::new(budget), shares: RefCell::default(), now: 10, exclusive };
    let mut naive = Naive { quota, used: [0; 2], expired: false, cut: false };
    let entry = port_entry(1, rule);
    let mut passed = [0; 2];
    for event in events {
        machine.now += 2;
        match *event {
            Event::Packet { cpu, direction, bytes } => {
                let memory = OnCpu(&machine, cpu);
                let side = side(entry, direction);
                let passes = admit(&memory, side, bytes);
                if passes {
                    assert!(!naive.expired && !naive.cut);
                    if let Some(side) = side {
                        memory.add_passed(side, bytes);
                        naive.used[side] += bytes;
                        passed[side] += bytes;
                        assert!(naive.used[side] <= naive.quota);
                    }
                } else if !naive.expired {
                    // Too early by at most what the other CPUs hold.
                    let worst = side.map_or(UNLIMITED, |side| naive.used[side] + bytes + (CPUS as u64 - 1) * LEASE);
                    assert!(naive.cut || naive.quota == 0 || worst > naive.quota);
                    naive.cut = true;
                }
            }
            Event::Raise(more) => {
                naive.quota += more;
                naive.cut = false;
                let mut budget = machine.budget.borrow_mut();
                let pool = (budget.turn & 1) as usize;
                budget.limit[pool * 2] += more;
                if rule == Rule::Max {
                    budget.limit[pool * 2 + 1] += more;
                }
            }
            Event::Turn(quota) => {
                naive = Naive { quota, used: [0; 2], cut: false, ..naive };
                let shares = *machine.shares.borrow();
                let mut budget = machine.budget.borrow_mut();
                let pool = 1 - (budget.turn & 1) as usize;
                for side in 0..if rule == Rule::Max { 2 } else { 1 } {
                    // What CPUs still hold of the idle pool comes back when they check the budget again.
                    let held: u64 =
                        shares.iter().filter(|s| (s.state & 1) as usize == pool).map(|s| s.left[side]).sum();
                    budget.limit[pool * 2 + side] = budget.pools.taken[pool * 2 + side] - held + quota;
                    budget.pools.refused_at[pool * 2 + side] = NOT_REFUSED;
                }
                // The pool is in force from now on.
                budget.turn = (machine.now & !1) | (1 - pool as u64);
                drop(budget);
                machine.now += 2;
                let mut budget = machine.budget.borrow_mut();
                budget.turn = NEVER | pool as u64;
            }
            Event::Expire => {
                naive.expired = true;
                machine.budget.borrow_mut().closes_at = machine.now;
            }
            Event::Extend => {
                naive.expired = false;
                machine.budget.borrow_mut().closes_at = NEVER;
            }
        }
    }
    // Every byte that passed was charged once, and nothing else was charged.
    let (budget, shares) = (machine.budget.borrow(), machine.shares.borrow());
    for (side, passed) in passed.into_iter().enumerate() {
        let taken = budget.pools.taken[side] + budget.pools.taken[2 + side];
        let held: u64 = shares.iter().map(|share| share.left[side]).sum();
        assert_eq!(taken - held, passed);
        assert_eq!(shares.iter().map(|share| share.passed[side]).sum::<u64>(), passed);
    }
}

proptest! {
    #[test]
    fn the_gate_is_as_good_as_a_subtraction(
        quota in 0..3_000_000_u64,
        exclusive: bool,
        events in prop::collection::vec(event(), 0..300),
    ) {
        for rule in [Rule::Both, Rule::In, Rule::Out, Rule::Max] {
            play(rule, exclusive, quota, &events);
        }
    }
}
