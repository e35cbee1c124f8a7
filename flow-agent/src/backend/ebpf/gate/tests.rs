//! Applies budgets to tables in ordinary memory, next to a simulated kernel that counts packets and charges budgets.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use flow_common::gate::{NEVER, UNLIMITED, budget_of};

use super::apply::{CountersOfPorts, apply, owner, refuses};
use super::tables::GateTables;
use crate::backend::BackendError;
use crate::ledger::limits::budget::{Limit, MonthlyQuota, NextMonth, Transferred, UserBudget};
use crate::ledger::reading::Moment;

const START: u64 = 1_000_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// Counted ports, some of which have budgets.
#[derive(Default)]
struct Ports(RefCell<BTreeMap<u16, Transferred>>);

impl CountersOfPorts for Ports {
    fn counted(&self, ports: &BTreeSet<u16>) -> BTreeSet<u16> {
        ports.iter().copied().filter(|port| self.0.borrow().contains_key(port)).collect()
    }

    fn transferred(&self, ports: &BTreeSet<u16>) -> Transferred {
        let all = self.0.borrow();
        ports.iter().filter_map(|port| all.get(port)).fold(Transferred::default(), |sum, port| Transferred {
            in_bytes: sum.in_bytes + port.in_bytes,
            out_bytes: sum.out_bytes + port.out_bytes,
        })
    }
}

struct Kernel {
    tables: GateTables,
    ports: Ports,
    graces: Cell<u32>,
}

impl Kernel {
    fn new(ports: &[u16]) -> Self {
        let ports = ports.iter().map(|port| (*port, Transferred::default())).collect();
        Self { tables: GateTables::own(4, 2), ports: Ports(RefCell::new(ports)), graces: Cell::new(0) }
    }

    /// Counts incoming bytes on a port, and charges its budget if it has one.
    fn let_in(&self, port: u16, bytes: u64, pool: usize) {
        let number = budget_of(self.tables.entry(port)) as usize;
        if number != 0 {
            self.tables.pass(number, usize::from(port) % 2, pool, 0, bytes);
        }
        self.ports.0.borrow_mut().get_mut(&port).unwrap().in_bytes += bytes;
    }

    fn apply(&self, budgets: &[UserBudget], now: Moment) -> Result<(), BackendError> {
        apply(&self.tables, budgets, &self.ports, now, &|| self.graces.set(self.graces.get() + 1))
    }

    /// Applies budgets, and looks at the tables each time it is waited until no packet uses what was there before.
    fn seen_meanwhile<T>(&self, budgets: &[UserBudget], now: Moment, look: impl Fn(&Self) -> T) -> Vec<T> {
        let seen = RefCell::new(Vec::new());
        apply(&self.tables, budgets, &self.ports, now, &|| seen.borrow_mut().push(look(self))).unwrap();
        seen.into_inner()
    }

    /// What the port's budget may still transfer in a pool.
    fn left(&self, port: u16, pool: usize) -> u64 {
        let number = budget_of(self.tables.entry(port)) as usize;
        self.tables.limit(number, pool, 0).saturating_sub(self.tables.spent(number, pool, 0))
    }
}

fn wall(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap() + TimeDelta::seconds(seconds)
}

fn moment(seconds: u64) -> Moment {
    Moment { wall: wall(seconds.cast_signed()), boot_ns: START + seconds * SECOND }
}

/// A budget on both directions that is used up when the counters reach `limit`.
fn budget(user: &str, ports: &[u16], limit: u64) -> UserBudget {
    let quota = Some(MonthlyQuota { limit: Limit::Both(limit), next: None });
    UserBudget { user: user.into(), ports: ports.iter().copied().collect(), quota, expires_at: None }
}

/// A budget on both directions in this month and the next, which begins at `turn`.
fn of_month(limit: u64, turn: i64, next: u64) -> UserBudget {
    let next = Some(NextMonth { at: wall(turn), bytes: next });
    UserBudget { quota: Some(MonthlyQuota { limit: Limit::Both(limit), next }), ..budget("acct", &[8388], 0) }
}

const ACCOUNTS: [(usize, usize); 4] = [(0, 0), (0, 1), (1, 0), (1, 1)];

#[test]
fn a_budget_is_what_is_left_of_it_and_others_are_not_touched() {
    let kernel = Kernel::new(&[443, 8388, 8389]);
    kernel.let_in(8388, 700, 0);
    kernel.let_in(8389, 100, 0);
    kernel.apply(&[budget("acct", &[8388, 8389], 1_000)], moment(0)).unwrap();
    assert_eq!(kernel.left(8388, 0), 200);
    assert_eq!(kernel.tables.entry(8388), kernel.tables.entry(8389));
    assert_eq!(kernel.tables.entry(443), 0);
    assert_eq!(kernel.tables.limit(1, 0, 1), UNLIMITED);
    assert_eq!(kernel.graces.get(), 1);
    // A successor that applies the same budget changes nothing, whatever passed meanwhile.
    kernel.let_in(8389, 150, 0);
    let before = kernel.tables.limit(1, 0, 0);
    kernel.apply(&[budget("acct", &[8388, 8389], 1_000)], moment(5)).unwrap();
    assert_eq!((kernel.tables.limit(1, 0, 0), kernel.left(8388, 0)), (before, 50));
    assert_eq!(kernel.graces.get(), 1);
}

#[test]
fn a_raised_limit_opens_and_one_that_is_passed_lets_nothing_pass() {
    let kernel = Kernel::new(&[8388]);
    kernel.apply(&[budget("acct", &[8388], 1_000)], moment(0)).unwrap();
    kernel.let_in(8388, 1_000, 0);
    kernel.apply(&[budget("acct", &[8388], 1_500)], moment(1)).unwrap();
    assert_eq!(kernel.left(8388, 0), 500);
    kernel.apply(&[budget("acct", &[8388], 300)], moment(2)).unwrap();
    assert_eq!(kernel.left(8388, 0), 0);
}

#[test]
fn a_user_is_refused_once_a_packet_did_not_fit_and_until_the_limit_grows() {
    let kernel = Kernel::new(&[8388]);
    let refuses = |seconds: u64| refuses(&kernel.tables, "acct", moment(seconds));
    assert!(!refuses(0), "nobody knows the user");
    kernel.apply(&[budget("acct", &[8388], 1_000)], moment(0)).unwrap();
    kernel.let_in(8388, 900, 0);
    assert!(!refuses(1));
    // A packet of more than the 100 bytes that are left did not fit.
    let number = budget_of(kernel.tables.entry(8388)) as usize;
    kernel.tables.set_refused_at(number, 0, 0, kernel.tables.limit(number, 0, 0));
    assert!(refuses(2));
    kernel.apply(&[budget("acct", &[8388], 1_500)], moment(3)).unwrap();
    assert!(!refuses(3));
    kernel.let_in(8388, 600, 0);
    assert!(refuses(4), "the last byte is used");
    kernel.apply(&[UserBudget { expires_at: Some(wall(60)), ..budget("acct", &[8388], 9_000) }], moment(5)).unwrap();
    assert_eq!([refuses(59), refuses(60)], [false, true]);
}

#[test]
fn a_quota_that_was_lowered_below_its_usage_refuses_packets_that_are_not_billed() {
    let kernel = Kernel::new(&[8388]);
    let incoming = |limit| {
        let quota = Some(MonthlyQuota { limit: Limit::In(limit), next: None });
        UserBudget { quota, ..budget("acct", &[8388], 0) }
    };
    kernel.apply(&[incoming(1_000)], moment(0)).unwrap();
    kernel.let_in(8388, 600, 0);
    let is_marked = |limit| {
        kernel.apply(&[incoming(limit)], moment(1)).unwrap();
        kernel.tables.refuses_all(1, 0, 0)
    };
    assert_eq!([601, 600, 300, 601].map(is_marked), [false, true, true, false]);
}

#[test]
fn new_counters_change_nothing_of_what_is_left() {
    let kernel = Kernel::new(&[8388]);
    kernel.apply(&[budget("acct", &[8388], 1_000)], moment(0)).unwrap();
    kernel.let_in(8388, 600, 0);
    // A larger set: its counters start at zero, and the new limit is relative to them.
    kernel.ports.0.borrow_mut().insert(8388, Transferred::default());
    kernel.apply(&[budget("acct", &[8388], 400)], moment(1)).unwrap();
    assert_eq!(kernel.left(8388, 0), 400);
}

#[test]
fn the_next_month_is_ready_before_it_comes_and_the_one_after_it_too() {
    let kernel = Kernel::new(&[8388]);
    kernel.apply(&[of_month(1_000, 100, 2_000)], moment(0)).unwrap();
    assert_eq!(kernel.tables.turn(1), START + 100 * SECOND);
    assert_eq!((kernel.left(8388, 0), kernel.left(8388, 1)), (1_000, 2_000));
    // 400 bytes pass in the first month, and 500 in the second before the agent applied budgets again.
    kernel.let_in(8388, 400, 0);
    kernel.let_in(8388, 500, 1);
    assert_eq!(kernel.left(8388, 1), 1_500);
    // The counters are at 900, and 500 of those belong to the month with 2,000, so its limit is 2,400.
    kernel.apply(&[of_month(2_400, 200, 3_000)], moment(150)).unwrap();
    assert_eq!(kernel.tables.turn(1), (START + 200 * SECOND) | 1);
    assert_eq!((kernel.left(8388, 1), kernel.left(8388, 0)), (1_500, 3_000));
    // Right after a turn, CPUs may still be spending the former pool, so it is left alone.
    kernel.apply(&[of_month(5_400, 300, 9_999)], moment(200)).unwrap();
    assert_eq!(kernel.tables.turn(1), (START + 200 * SECOND) | 1);
    kernel.apply(&[of_month(5_400, 300, 9_999)], moment(202)).unwrap();
    assert_eq!(kernel.tables.turn(1), START + 300 * SECOND);
    assert_eq!(kernel.left(8388, 1), 9_999);
}

#[test]
fn who_expires_does_so_by_the_boot_time_clock() {
    let kernel = Kernel::new(&[8388]);
    let expires = |at| UserBudget { quota: None, expires_at: Some(wall(at)), ..budget("acct", &[8388], 0) };
    kernel.apply(&[expires(60)], moment(0)).unwrap();
    assert_eq!(kernel.tables.closes_at(1), START + 60 * SECOND);
    assert_eq!(kernel.tables.limit(1, 0, 0), UNLIMITED);
    kernel.apply(&[UserBudget { expires_at: None, ..expires(0) }], moment(1)).unwrap();
    assert_eq!(kernel.tables.closes_at(1), NEVER);
}

#[test]
fn a_port_that_changes_hands_takes_its_counters_along() {
    let kernel = Kernel::new(&[8388, 8389]);
    kernel.apply(&[budget("one", &[8388, 8389], 1_000), budget("two", &[], 0)], moment(0)).unwrap();
    kernel.let_in(8389, 300, 0);
    // Each limit applies to the ports that the user has now.
    kernel.apply(&[budget("one", &[8388], 1_000), budget("two", &[8389], 800)], moment(1)).unwrap();
    assert_ne!(kernel.tables.entry(8388), kernel.tables.entry(8389));
    assert_eq!((kernel.left(8388, 0), kernel.left(8389, 0)), (1_000, 500));
}

#[test]
fn a_budget_that_is_lifted_makes_room() {
    let kernel = Kernel::new(&[1, 2, 3, 4]);
    let all: Vec<UserBudget> = (1..=4).map(|port| budget(&format!("user-{port}"), &[port], 100)).collect();
    // The table has room for three.
    let error = kernel.apply(&all, moment(0)).unwrap_err();
    assert_eq!(error.to_string(), "there is no room for this many users with limits; not limited: user-4");
    assert_eq!((kernel.left(3, 0), kernel.tables.entry(4)), (100, 0));
    kernel.apply(&all[1..], moment(1)).unwrap();
    assert_eq!(kernel.tables.entry(1), 0);
    assert_eq!(budget_of(kernel.tables.entry(4)), 1);
    assert_eq!(kernel.left(4, 0), 100);
}

#[test]
fn a_port_that_is_not_counted_is_not_refused() {
    let kernel = Kernel::new(&[8388]);
    kernel.apply(&[budget("acct", &[8388, 9999], 10)], moment(0)).unwrap();
    assert_eq!(kernel.tables.entry(9999), 0);
}

#[test]
fn while_ports_are_assigned_a_budget_is_closed_unless_ample_is_left() {
    const AMPLE: u64 = 4 << 30;
    for (limit, meanwhile) in [(300, 0), (1_000, 0), (700 + AMPLE, 0), (701 + AMPLE, AMPLE + 1)] {
        let kernel = Kernel::new(&[8388]);
        kernel.let_in(8388, 700, 0);
        let budgets = [budget("acct", &[8388], limit)];
        assert_eq!(kernel.seen_meanwhile(&budgets, moment(0), |kernel| kernel.left(8388, 0)), [meanwhile], "{limit}");
        assert_eq!(kernel.tables.limit(1, 0, 0), limit.saturating_sub(700), "{limit}");
    }
}

#[test]
fn a_budget_that_gains_or_loses_a_port_is_closed_meanwhile_and_no_other_is() {
    let kernel = Kernel::new(&[1, 2, 3, 4]);
    let of = |ports: &[u16]| [budget("one", ports, 1_000), budget("other", &[4], 500)];
    let left = |kernel: &Kernel| (kernel.left(1, 0), kernel.left(4, 0));
    kernel.apply(&of(&[1, 2]), moment(0)).unwrap();
    assert_eq!(left(&kernel), (1_000, 500));
    assert_eq!(kernel.seen_meanwhile(&of(&[1, 2, 3]), moment(1), left), [(0, 500)]);
    assert_eq!(kernel.seen_meanwhile(&of(&[1]), moment(2), left), [(0, 500)]);
    assert_eq!(kernel.seen_meanwhile(&of(&[1]), moment(3), left), []);
    assert_eq!(left(&kernel), (1_000, 500));
}

#[test]
fn a_number_is_given_on_when_no_packet_uses_it_and_without_what_it_was() {
    let kernel = Kernel::new(&[8388, 8389]);
    kernel.apply(&[UserBudget { expires_at: Some(wall(60)), ..of_month(10, 100, 50) }], moment(0)).unwrap();
    for (pool, side) in ACCOUNTS {
        kernel.tables.set_limit(1, pool, side, 7);
        kernel.tables.set_refused_at(1, pool, side, UNLIMITED);
    }
    let without = UserBudget { quota: None, ..budget("two", &[8389], 0) };
    let seen = kernel.seen_meanwhile(&[without], moment(70), |kernel| {
        let tables = &kernel.tables;
        let is_open = |(pool, side)| tables.limit(1, pool, side) == UNLIMITED && !tables.is_used_up(1, pool, side);
        let ports = [tables.entry(8388), tables.entry(8389)].map(budget_of);
        (ports, tables.owner(1), tables.closes_at(1), tables.turn(1), ACCOUNTS.map(is_open))
    });
    let before = ([0, 0], owner("acct"), START + 60 * SECOND, START + 100 * SECOND, [false; 4]);
    assert_eq!(seen, [before, ([0, 1], owner("two"), NEVER, NEVER, [true; 4])]);
}

#[test]
fn each_direction_has_a_limit_of_its_own_where_the_larger_is_billed() {
    let kernel = Kernel::new(&[8388]);
    let limit = Limit::Max(Transferred { in_bytes: 1_000, out_bytes: 600 });
    let budgets = [UserBudget { quota: Some(MonthlyQuota { limit, next: None }), ..budget("acct", &[8388], 0) }];
    kernel.apply(&budgets, moment(0)).unwrap();
    kernel.let_in(8388, 300, 0);
    kernel.tables.pass(1, 0, 0, 1, 500);
    kernel.ports.0.borrow_mut().get_mut(&8388).unwrap().out_bytes += 500;
    kernel.apply(&budgets, moment(1)).unwrap();
    let left = |side| kernel.tables.limit(1, 0, side) - kernel.tables.spent(1, 0, side);
    assert_eq!((left(0), left(1)), (700, 100));
    assert!(!refuses(&kernel.tables, "acct", moment(1)));
    // A packet of more than 100 bytes did not fit going out.
    kernel.tables.set_refused_at(1, 0, 1, kernel.tables.limit(1, 0, 1));
    assert!(refuses(&kernel.tables, "acct", moment(1)));
    // Nothing is left going out.
    kernel.tables.pass(1, 0, 0, 1, 100);
    kernel.ports.0.borrow_mut().get_mut(&8388).unwrap().out_bytes += 100;
    kernel.apply(&budgets, moment(2)).unwrap();
    assert_eq!((left(0), left(1)), (700, 0));
    assert!(refuses(&kernel.tables, "acct", moment(2)));
}

#[test]
fn the_turn_of_a_month_stays_through_small_steps_of_the_clock() {
    let kernel = Kernel::new(&[8388]);
    let budgets = [of_month(1_000, 100, 2_000)];
    // The boot-time clock gained `ahead` nanoseconds on the wall clock, so the turn comes so much later on it.
    let turn = |seconds: u64, ahead: u64| {
        kernel.apply(&budgets, Moment { boot_ns: START + seconds * SECOND + ahead, ..moment(seconds) }).unwrap();
        kernel.tables.turn(1) - START - 100 * SECOND
    };
    assert_eq!([turn(0, 0), turn(1, 11), turn(2, 49_999_999), turn(3, 50_000_000)], [0, 0, 0, 50_000_000]);
    // The last bit of the number is that of the pool.
    assert_eq!([turn(4, 50_000_001), turn(5, 100_000_001)], [50_000_000, 100_000_000]);
}

#[test]
fn a_month_begins_at_its_turn_and_the_former_pool_is_filled_a_second_later() {
    let kernel = Kernel::new(&[8388]);
    kernel.apply(&[of_month(1_000, 100, 2_000)], moment(0)).unwrap();
    // What was refused from this pool two months before is not held against the next month.
    kernel.tables.set_refused_at(1, 1, 0, 2_000);
    kernel.apply(&[of_month(1_000, 100, 2_000)], moment(1)).unwrap();
    assert_eq!(kernel.left(8388, 1), 2_000);
    assert!(!kernel.tables.is_used_up(1, 1, 0));
    kernel.let_in(8388, 1_000, 0);
    let just_before = |seconds: u64| Moment { boot_ns: START + seconds * SECOND - 1, ..moment(seconds) };
    let refuses = |now| refuses(&kernel.tables, "acct", now);
    assert_eq!((refuses(just_before(100)), refuses(moment(100))), (true, false));
    for (now, turn) in [
        (moment(100), START + 100 * SECOND),
        (just_before(101), START + 100 * SECOND),
        (moment(101), (START + 200 * SECOND) | 1),
        (Moment { boot_ns: START + 102 * SECOND + 10, ..moment(102) }, (START + 200 * SECOND) | 1),
    ] {
        kernel.apply(&[of_month(3_000, 200, 3_000)], now).unwrap();
        assert_eq!(kernel.tables.turn(1), turn, "{now:?}");
    }
    // A quota that does not begin again has no turn, and stays with the pool that is in force.
    kernel.apply(&[budget("acct", &[8388], 3_000)], moment(103)).unwrap();
    assert_eq!((kernel.tables.turn(1), kernel.left(8388, 1)), (NEVER | 1, 2_000));
}

#[test]
fn what_a_cpu_took_in_advance_is_not_spent() {
    let kernel = Kernel::new(&[8388]);
    let spent = |pool| kernel.tables.spent(1, pool, 0);
    kernel.tables.lease(1, 0, 0, 0, 64);
    assert_eq!(spent(0), 0);
    kernel.tables.pass(1, 1, 0, 0, 100);
    assert_eq!(spent(0), 100);
    // Of another number, and on another side, that is something else.
    assert_eq!((kernel.tables.passed(1, 0), kernel.tables.passed(2, 0)), (100, 0));
    kernel.tables.lease(1, 0, 0, 1, 90);
    assert_eq!((kernel.tables.spent(1, 0, 1), spent(0)), (0, 100));
    // The other CPU takes from the next month.
    kernel.tables.lease(1, 1, 1, 0, 30);
    assert_eq!((spent(0), spent(1)), (100, 0));
}

#[test]
fn every_budget_has_counts_of_its_own_on_every_cpu() {
    let kernel = Kernel::new(&[]);
    for number in kernel.tables.numbers() {
        for cpu in 0..2 {
            kernel.tables.pass(number, cpu, 0, 0, 10 << (4 * cpu + number));
        }
    }
    let passed = |side| kernel.tables.numbers().map(|number| kernel.tables.passed(number, side)).collect::<Vec<_>>();
    assert_eq!((passed(0), passed(1)), (vec![20 + 320, 40 + 640, 80 + 1_280], vec![0; 3]));
}
