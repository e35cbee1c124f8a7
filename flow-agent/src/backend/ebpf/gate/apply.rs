//! Budgets brought into the kernel: from the terms of the counters into those of the gate.
//!
//! What passed the gate (P) and what the counters have (C) grow by the same packets, so that D = P - C stays what it is for
//! as long as a budget's ports and the set of counters do. A budget says at which C it is used up; the gate's limit is D
//! more than that, less what the other pool gave. D is measured while packets pass: P is read before C, and a packet is
//! counted before it is noted as passed, so that P - C is never more than D; it is D itself in every moment between two
//! packets, and the largest of many such differences is taken. One that is too small cuts too early, by a packet.
//!
//! Where a budget is new, or its ports change, packets pass until the gate knows them. Unless plenty is left, the budget is
//! closed for those milliseconds: while nothing passes, nothing can be measured wrongly.

use std::collections::{BTreeMap, BTreeSet};

use flow_common::gate::{NEVER, NOT_REFUSED, Rule, UNLIMITED, budget_of, port_entry};

use super::Gate;
use super::tables::GateTables;
use crate::backend::BackendError;
use crate::ledger::limits::budget::{Limit, Transferred, UserBudget};
use crate::ledger::reading::Moment;
use crate::ledger::seal::sha256_hex;

/// Bytes that no host moves in the milliseconds in which a budget's ports are not known to the gate yet.
const AMPLE: u64 = 4 << 30;

/// How often P and C are read to find D.
const MEASUREMENTS: usize = 200;

/// Since the turn of a month every CPU has looked at the clock.
const SETTLED_NS: u64 = 1_000_000_000;

/// A turn's instant is not written again for less: the clocks are adjusted by so little all the time.
const SAME_INSTANT_NS: u64 = 50_000_000;

/// The counters that a budget is held against.
pub trait CountersOfPorts {
    /// Those of `ports` that are counted.
    fn counted(&self, ports: &BTreeSet<u16>) -> BTreeSet<u16>;
    /// The counters of `ports` as they are now.
    fn transferred(&self, ports: &BTreeSet<u16>) -> Transferred;
}

/// A budget in the gate's terms.
struct Terms<'a> {
    budget: &'a UserBudget,
    number: usize,
    ports: BTreeSet<u16>,
    rule: Rule,
}

impl Gate {
    /// Enforces `budgets`, and lifts all others.
    ///
    /// # Errors
    /// [`BackendError::TooManyBudgets`] when there are more than the gate has room for; those that fit are in force.
    pub fn apply(
        &self,
        budgets: &[UserBudget],
        counters: &dyn CountersOfPorts,
        now: Moment,
        grace: &dyn Fn(),
    ) -> Result<(), BackendError> {
        apply(&self.tables, budgets, counters, now, grace)
    }

    /// Whether packets of this user's ports are refused at `now`.
    pub fn refuses(&self, user: &str, now: Moment) -> bool {
        refuses(&self.tables, user, now)
    }
}

/// [`Gate::refuses`].
pub fn refuses(tables: &GateTables, user: &str, now: Moment) -> bool {
    let owner = owner(user);
    let Some(number) = tables.numbers().find(|number| tables.owner(*number) == owner) else { return false };
    let pool = pool_now(tables, number, now);
    now.boot_ns >= tables.closes_at(number) || (0..2).any(|side| tables.is_used_up(number, pool, side))
}

/// [`Gate::apply`].
pub fn apply(
    tables: &GateTables,
    budgets: &[UserBudget],
    counters: &dyn CountersOfPorts,
    now: Moment,
    grace: &dyn Fn(),
) -> Result<(), BackendError> {
    lift(tables, budgets, grace);
    let (terms, left_over) = number(tables, budgets, counters);
    let mut must_wait = false;
    // A budget is prepared, and perhaps closed, before its ports are led to it.
    for terms in &terms {
        if terms.is_new(tables) {
            terms.begin(tables, now);
        }
        if terms.changes_ports(tables) {
            terms.hold(tables, counters, now);
            must_wait = true;
        }
    }
    let wanted: BTreeMap<u16, u32> = terms.iter().flat_map(Terms::entries).collect();
    for port in 0..=u16::MAX {
        let entry = wanted.get(&port).copied().unwrap_or(0);
        if tables.entry(port) != entry {
            tables.set_entry(port, entry);
            must_wait = true;
        }
    }
    if must_wait {
        grace();
    }
    terms.iter().for_each(|terms| terms.set(tables, counters, now));
    if left_over.is_empty() { Ok(()) } else { Err(BackendError::TooManyBudgets { users: left_over }) }
}

/// Takes the numbers from those who have no budget any more, once no packet meets them.
fn lift(tables: &GateTables, budgets: &[UserBudget], grace: &dyn Fn()) {
    let wanted: BTreeSet<u64> = budgets.iter().map(|budget| owner(&budget.user)).collect();
    let is_lifted = |number: &usize| !matches!(tables.owner(*number), 0) && !wanted.contains(&tables.owner(*number));
    let lifted: BTreeSet<usize> = tables.numbers().filter(is_lifted).collect();
    if lifted.is_empty() {
        return;
    }
    let is_theirs = |port: &u16| lifted.contains(&(budget_of(tables.entry(*port)) as usize));
    (0..=u16::MAX).filter(is_theirs).for_each(|port| tables.set_entry(port, 0));
    grace();
    lifted.into_iter().for_each(|number| tables.set_owner(number, 0));
}

/// Gives each budget its number, the one that it has already where it has one. The users for whom there is none are told.
fn number<'a>(
    tables: &GateTables,
    budgets: &'a [UserBudget],
    counters: &dyn CountersOfPorts,
) -> (Vec<Terms<'a>>, Vec<String>) {
    let known: BTreeMap<u64, usize> =
        tables.numbers().map(|number| (tables.owner(number), number)).filter(|(owner, _)| *owner != 0).collect();
    let mut free = tables.numbers().filter(|number| tables.owner(*number) == 0);
    let (mut terms, mut left_over) = (Vec::new(), Vec::new());
    for budget in budgets {
        match known.get(&owner(&budget.user)).copied().or_else(|| free.next()) {
            Some(number) => {
                let rule = match budget.quota.map(|quota| quota.limit) {
                    Some(Limit::Both(_)) | None => Rule::Both,
                    Some(Limit::In(_)) => Rule::In,
                    Some(Limit::Out(_)) => Rule::Out,
                    Some(Limit::Max(_)) => Rule::Max,
                };
                terms.push(Terms { budget, number, ports: counters.counted(&budget.ports), rule });
            }
            None => left_over.push(budget.user.clone()),
        }
    }
    (terms, left_over)
}

/// A user as a number that is not zero, for a successor to know whose budget it is.
fn owner(user: &str) -> u64 {
    let digits = sha256_hex(user.as_bytes());
    u64::from_str_radix(&digits[..16], 16).unwrap_or_default().max(1)
}

impl Terms<'_> {
    fn is_new(&self, tables: &GateTables) -> bool {
        tables.owner(self.number) != owner(&self.budget.user)
    }

    fn entries(&self) -> impl Iterator<Item = (u16, u32)> {
        let number = u32::try_from(self.number).expect("budgets are at most 2^30");
        let entry = port_entry(number, self.rule);
        self.ports.iter().map(move |port| (*port, entry))
    }

    fn changes_ports(&self, tables: &GateTables) -> bool {
        let number = u32::try_from(self.number).expect("budgets are at most 2^30");
        self.entries().any(|(port, entry)| tables.entry(port) != entry)
            || (0..=u16::MAX).any(|port| budget_of(tables.entry(port)) == number && !self.ports.contains(&port))
    }

    /// Prepares the numbers of a budget that nobody's packets meet.
    fn begin(&self, tables: &GateTables, now: Moment) {
        for (pool, side) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            tables.set_limit(self.number, pool, side, UNLIMITED);
            tables.set_refused_at(self.number, pool, side, NOT_REFUSED);
        }
        let pool = pool_now(tables, self.number, now);
        tables.set_turn(self.number, NEVER | pool as u64);
        tables.set_closes_at(self.number, NEVER);
        tables.set_owner(self.number, owner(&self.budget.user));
    }

    /// Holds the budget while its ports are led to it: closed, unless more is left than can pass meanwhile.
    fn hold(&self, tables: &GateTables, counters: &dyn CountersOfPorts, now: Moment) {
        let pool = pool_now(tables, self.number, now);
        let at = counters.transferred(&self.ports);
        for (side, counter, limit) in self.sides(at) {
            let left = limit.saturating_sub(counter);
            let open = if left > AMPLE { left } else { 0 };
            let spent = tables.spent(self.number, pool, side);
            tables.set_limit(self.number, pool, side, spent.saturating_add(open).min(UNLIMITED - 2));
        }
    }

    /// Sets the limits of this month and of the next, and the instants.
    fn set(&self, tables: &GateTables, counters: &dyn CountersOfPorts, now: Moment) {
        let number = self.number;
        let turn = tables.turn(number);
        let pool = pool_now(tables, number, now);
        let difference = self.measure(tables, counters);
        let limits: BTreeMap<usize, u64> =
            self.sides(Transferred::default()).map(|(side, _, limit)| (side, limit)).collect();
        for (side, difference) in difference.into_iter().enumerate() {
            let limit = limits.get(&side).map_or(UNLIMITED, |limit| {
                let other = i128::from(tables.spent(number, 1 - pool, side));
                let end = i128::from(*limit) + difference - other;
                u64::try_from(end.max(0)).unwrap_or(u64::MAX).min(UNLIMITED - 2)
            });
            tables.set_limit(number, pool, side, limit);
        }
        tables.set_closes_at(number, self.budget.expires_at.map_or(NEVER, |at| boot_instant(at, now)));

        // The pool that is not in force is filled for the next month, once nobody takes from it any more.
        let turned_at = turn & !1;
        if turned_at <= now.boot_ns && now.boot_ns - turned_at < SETTLED_NS {
            return;
        }
        let next = self.budget.quota.and_then(|quota| quota.next);
        let Some(next) = next else {
            tables.set_turn(number, NEVER | pool as u64);
            return;
        };
        for side in 0..2 {
            let limit = if limits.contains_key(&side) {
                tables.spent(number, 1 - pool, side).saturating_add(next.bytes).min(UNLIMITED - 2)
            } else {
                UNLIMITED
            };
            tables.set_refused_at(number, 1 - pool, side, NOT_REFUSED);
            tables.set_limit(number, 1 - pool, side, limit);
        }
        let at = boot_instant(next.at, now);
        let is_set = turn & 1 == pool as u64 && at.abs_diff(turned_at) < SAME_INSTANT_NS;
        if !is_set {
            tables.set_turn(number, (at & !1) | pool as u64);
        }
    }

    /// The sides that are billed: their numbers, counters and limits.
    fn sides(&self, at: Transferred) -> impl Iterator<Item = (usize, u64, u64)> {
        let both = match self.budget.quota.map(|quota| quota.limit) {
            None => [None, None],
            Some(Limit::Both(limit)) => [Some((at.both(), limit)), None],
            Some(Limit::In(limit)) => [Some((at.in_bytes, limit)), None],
            Some(Limit::Out(limit)) => [Some((at.out_bytes, limit)), None],
            Some(Limit::Max(limit)) => [Some((at.in_bytes, limit.in_bytes)), Some((at.out_bytes, limit.out_bytes))],
        };
        (0..).zip(both).filter_map(|(side, numbers)| numbers.map(|(counter, limit)| (side, counter, limit)))
    }

    /// D of each side.
    fn measure(&self, tables: &GateTables, counters: &dyn CountersOfPorts) -> [i128; 2] {
        let mut largest = [i128::MIN; 2];
        let mut former = None;
        for _ in 0..MEASUREMENTS {
            let passed = [tables.passed(self.number, 0), tables.passed(self.number, 1)];
            let at = counters.transferred(&self.ports);
            for (side, counter, _) in self.sides(at) {
                largest[side] = largest[side].max(i128::from(passed[side]) - i128::from(counter));
            }
            // Nothing passed meanwhile: it is exact.
            if former.replace((passed, at)) == Some((passed, at)) {
                break;
            }
        }
        largest.map(|difference| if difference == i128::MIN { 0 } else { difference })
    }
}

/// The pool that is in force now.
fn pool_now(tables: &GateTables, number: usize, now: Moment) -> usize {
    let turn = tables.turn(number);
    let before = (turn & 1) as usize;
    // A budget that nobody ever had.
    if turn < 2 {
        return 0;
    }
    if now.boot_ns >= turn & !1 { 1 - before } else { before }
}

/// An instant on the boot-time clock, 2 at the earliest.
fn boot_instant(at: chrono::DateTime<chrono::Utc>, now: Moment) -> u64 {
    let distance = (at - now.wall).num_nanoseconds().map_or(i128::from(i64::MAX), i128::from);
    u64::try_from((i128::from(now.boot_ns) + distance).max(2)).unwrap_or(NEVER).min(NEVER)
}
