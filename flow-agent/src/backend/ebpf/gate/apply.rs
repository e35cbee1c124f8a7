//! Applies budgets to the kernel, translating limits on the counters into limits on the gate.
//!
//! Call P the bytes that have passed the gate and C the value of the counters. The same packets add to both, so the
//! difference D = P - C stays constant as long as neither the budget's ports nor the set of counters changes. A budget
//! says at which C it is used up. The gate's limit is that value plus D, less what was spent from the other pool.
//!
//! D is measured while packets pass. P is read before C, and a packet is counted before it is added to P, so a measured
//! P - C is never larger than D. It equals D at every moment between two packets, so the largest of many measurements
//! is used. A value that is too small makes the gate close too early, by a packet.
//!
//! When a budget is new or its ports change, packets pass until the gate knows the ports. The budget is closed for
//! those milliseconds unless plenty is left: while nothing passes, the measurement is exact.

use std::collections::{BTreeMap, BTreeSet};

use flow_common::gate::{NEVER, NOT_REFUSED, Rule, UNLIMITED, budget_of, port_entry};

use super::Gate;
use super::tables::GateTables;
use crate::backend::BackendError;
use crate::ledger::limits::budget::{Limit, Transferred, UserBudget};
use crate::ledger::reading::Moment;
use crate::ledger::seal::sha256_hex;

/// More bytes than any host can move in the milliseconds before the gate knows a budget's new ports.
const AMPLE: u64 = 4 << 30;

/// How often P and C are read, at most, to find D.
const MEASUREMENTS: usize = 200;

/// After this time every CPU has noticed that the month has turned.
const SETTLED_NS: u64 = 1_000_000_000;

/// The instant of a month's turn is rewritten only if it moved by at least this much, because small clock adjustments
/// happen all the time.
const SAME_INSTANT_NS: u64 = 50_000_000;

/// The counters against which budgets are measured.
pub trait CountersOfPorts {
    /// The subset of `ports` that is counted.
    fn counted(&self, ports: &BTreeSet<u16>) -> BTreeSet<u16>;
    /// The current sum of the counters of `ports`.
    fn transferred(&self, ports: &BTreeSet<u16>) -> Transferred;
}

/// A budget translated into the terms of the gate.
struct Terms<'a> {
    budget: &'a UserBudget,
    number: usize,
    ports: BTreeSet<u16>,
    rule: Rule,
}

impl Gate {
    /// Enforces `budgets` and lifts all others.
    ///
    /// # Errors
    /// [`BackendError::TooManyBudgets`] when there are more budgets than the gate has room for. Those that fit are
    /// enforced.
    pub fn apply(
        &self,
        budgets: &[UserBudget],
        counters: &dyn CountersOfPorts,
        now: Moment,
        grace: &dyn Fn(),
    ) -> Result<(), BackendError> {
        apply(&self.tables, budgets, counters, now, grace)
    }

    /// The owners of the budgets that refuse packets at `now`, as computed by [`owner`].
    pub fn refused(&self, now: Moment) -> BTreeSet<u64> {
        let owned = self.tables.numbers().map(|number| (number, self.tables.owner(number)));
        let refused = owned.filter(|(number, owner)| *owner != 0 && is_refused(&self.tables, *number, now));
        refused.map(|(_, owner)| owner).collect()
    }

    /// Whether packets to or from this user's ports are refused at `now`.
    pub fn refuses(&self, user: &str, now: Moment) -> bool {
        refuses(&self.tables, user, now)
    }
}

/// Implements [`Gate::refuses`].
pub fn refuses(tables: &GateTables, user: &str, now: Moment) -> bool {
    let owner = owner(user);
    tables.numbers().find(|number| tables.owner(*number) == owner).is_some_and(|number| is_refused(tables, number, now))
}

fn is_refused(tables: &GateTables, number: usize, now: Moment) -> bool {
    let pool = pool_now(tables, number, now);
    now.boot_ns >= tables.closes_at(number) || (0..2).any(|side| tables.is_used_up(number, pool, side))
}

/// Implements [`Gate::apply`].
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
    // A budget is prepared, and perhaps closed, before its ports are assigned to it.
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

/// Frees the numbers of users who have no budget any more, once no packet uses them.
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

/// Assigns a number to each budget and keeps the number that a budget already has. Also returns the users for whom no
/// number was free.
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

/// Turns a user's name into a nonzero number, so that a successor knows whose budget it is.
pub fn owner(user: &str) -> u64 {
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

    /// Initializes a budget that no packet uses yet.
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

    /// Sets preliminary limits while the ports are assigned: the budget is closed unless more is left than can pass
    /// meanwhile.
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

    /// Sets the limits of this month and the next, the turn of the month, and the expiry.
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
        // The kernel notices that nothing is left when a billed packet does not fit. Packets in a direction that is not
        // billed must not pass until one comes.
        for (side, counter, limit) in self.sides(counters.transferred(&self.ports)) {
            if counter >= limit {
                tables.refuse_at_limit(number, pool, side);
            }
        }
        tables.set_closes_at(number, self.budget.expires_at.map_or(NEVER, |at| boot_instant(at, now)));

        // The other pool is filled for the next month, once no CPU can still take from it.
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

    /// The billed sides of the budget: the side's number, its counter and its limit.
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

    /// Measures D for each side.
    fn measure(&self, tables: &GateTables, counters: &dyn CountersOfPorts) -> [i128; 2] {
        let mut largest = [i128::MIN; 2];
        let mut former = None;
        for _ in 0..MEASUREMENTS {
            let passed = [tables.passed(self.number, 0), tables.passed(self.number, 1)];
            let at = counters.transferred(&self.ports);
            for (side, counter, _) in self.sides(at) {
                largest[side] = largest[side].max(i128::from(passed[side]) - i128::from(counter));
            }
            // Nothing passed between the two readings, so the value is exact.
            if former.replace((passed, at)) == Some((passed, at)) {
                break;
            }
        }
        largest.map(|difference| if difference == i128::MIN { 0 } else { difference })
    }
}

/// The pool that is in force at `now`.
fn pool_now(tables: &GateTables, number: usize, now: Moment) -> usize {
    let turn = tables.turn(number);
    let before = (turn & 1) as usize;
    // A number that never had a budget.
    if turn < 2 {
        return 0;
    }
    if now.boot_ns >= turn & !1 { 1 - before } else { before }
}

/// Converts a wall-clock instant to nanoseconds of the boot-time clock. The result is at least 2, because smaller turns
/// mean that there is no budget.
fn boot_instant(at: chrono::DateTime<chrono::Utc>, now: Moment) -> u64 {
    let distance = (at - now.wall).num_nanoseconds().map_or(i128::from(i64::MAX), i128::from);
    u64::try_from((i128::from(now.boot_ns) + distance).max(2)).unwrap_or(NEVER).min(NEVER)
}
