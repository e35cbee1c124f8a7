//! `show` without a view: reads what the first screen shows.

use std::collections::{BTreeMap, HashMap};

use chrono::{Days, NaiveDate, TimeDelta};

use super::hours;
use super::period::{Period, ShowContext};
use super::read::Log;
use super::sum::Sum;
use super::usage::by_midnight;
use super::views::{self, all};
use super::{Args, Form, Source};
use crate::commands::output;
use crate::config::Config;
use crate::exit::Failure;
use crate::ledger::calendar::{Month, day_end, day_start, local, seconds_in_month};
use crate::ledger::counters::Counters;
use crate::ledger::forecast::{self, Measured};
use crate::ledger::statement::StatementOwner;
use crate::render::figures::{FigureKind, TotalRow};
use crate::render::screen::ScreenStyle;
use crate::render::screen::first::{self, Amount, First, FirstScreenUser};

/// The number of users on the screen.
const USERS: usize = 5;

/// Prints the first screen, or the sums of today and this month as rows.
///
/// # Errors
/// When a file cannot be read, or the output cannot be written.
pub(super) fn show(
    args: &Args,
    log: &mut Log,
    config: &Config,
    context: &ShowContext,
    source: &Source,
    look: &ScreenStyle,
) -> Result<(), Failure> {
    match args.form() {
        Form::Table => {
            let screen = screen(args, log, config, context, source)?;
            output::print(&screen.print(look))?;
        }
        form => output::print(&all(&rows(args, log, context)?, form)).map(drop)?,
    }
    Ok(())
}

/// Today and the billing month so far. There is no row if nothing was counted, which is not the same as zero.
fn rows(args: &Args, log: &mut Log, context: &ShowContext) -> Result<Vec<TotalRow>, Failure> {
    let period = Period::Days(context.today()..=context.today());
    let today = views::sum(args, log, &period, context)?.total(FigureKind::Today, log.damages());
    let (mut month, mut is_month_counted) = (Sum::default(), false);
    log.days(context.month().first_day(context.month_start_day)..=context.today(), context, |shown| {
        is_month_counted = true;
        shown.block.lines.iter().for_each(|line| month.add_line(line.port, line.user.as_deref(), line.counters()));
        Ok(true)
    })?;
    let this_month = month.total(FigureKind::ThisMonth, log.damages());
    let counted = [(today.start.is_some(), today), (is_month_counted, this_month)];
    Ok(counted.into_iter().filter(|(is_counted, _)| *is_counted).map(|(_, row)| row).collect())
}

/// The usage of one owner by day.
#[derive(Default)]
struct OwnerDays {
    month: Counters,
    days: BTreeMap<NaiveDate, u128>,
}

/// What was read about the days since the beginning of last month.
#[derive(Default)]
struct Read {
    /// The total of each day, and how much of it was measured.
    days: BTreeMap<NaiveDate, Amount>,
    owners: HashMap<StatementOwner, OwnerDays>,
}

fn read(log: &mut Log, context: &ShowContext) -> Result<Read, Failure> {
    let mut read = Read::default();
    let today = context.today();
    let month_start = context.month().first_day(context.month_start_day);
    let sparkline_start = today - Days::new(first::DAYS as u64 - 1);
    let last_month = context.month().previous().first_day(context.month_start_day);
    log.days(last_month.min(sparkline_start)..=today, context, |shown| {
        let seal = &shown.block.seal;
        let day = seal.day;
        let whole = u64::from(seal.seconds_in_day);
        let so_far = u64::try_from((context.now - day_start(context.zone, day)).num_seconds()).unwrap_or(0);
        let seconds = if day == today { so_far.min(whole) } else { whole };
        let mut amount = Amount { seconds, covered: seal.seconds_covered.into(), ..Amount::default() };
        for line in &shown.block.lines {
            let counters = line.counters();
            amount.in_bytes += u128::from(counters.tcp_in_bytes) + u128::from(counters.udp_in_bytes);
            amount.out_bytes += u128::from(counters.tcp_out_bytes) + u128::from(counters.udp_out_bytes);
            if day < month_start.min(sparkline_start) {
                continue;
            }
            let owner = line.user.clone().map_or(StatementOwner::Port(line.port), StatementOwner::User);
            let of_owner = read.owners.entry(owner).or_default();
            if day >= month_start {
                of_owner.month = of_owner.month.saturating_add(counters);
            }
            if day >= sparkline_start {
                *of_owner.days.entry(day).or_default() += u128::from(counters.bytes());
            }
        }
        // If nothing of a day was measured, its usage is unknown rather than zero.
        if amount.covered > 0 || amount.bytes() > 0 {
            read.days.insert(day, amount);
        }
        Ok(true)
    })?;
    // If nothing was counted today, no bucket has been read so far.
    if !read.days.contains_key(&today) {
        let yesterday = today - Days::new(1);
        log.buckets(&Period::Days(yesterday..=today), |_| Ok(true))?;
    }
    Ok(read)
}

fn screen(
    args: &Args,
    log: &mut Log,
    config: &Config,
    context: &ShowContext,
    source: &Source,
) -> Result<First, Failure> {
    log.want_yesterday();
    let read = read(log, context)?;
    let today = context.today();
    let (month, start_day) = (context.month(), context.month_start_day);
    let of_month = |month: Month| sum_of_month(&read, month, context);
    let yesterday_start = day_start(context.zone, today - Days::new(1));
    let a_day_ago = context.now - TimeDelta::days(1);
    let by_now = log.briefs().between(yesterday_start, a_day_ago);
    let yesterday_by_now = Amount {
        in_bytes: by_now.in_bytes,
        out_bytes: by_now.out_bytes,
        covered: by_now.covered,
        seconds: u64::try_from((a_day_ago - yesterday_start).num_seconds()).unwrap_or(0),
    };
    let (hours, busiest) = hours::read_before(log, context);
    let (users, more_users) = users(&read, config, source, context, args.limit(USERS));
    let this_month = of_month(month);
    let complete: Vec<Measured> = read.days.range(..today).map(|(_, day)| measured(*day)).collect();
    let month_end = day_end(context.zone, month.last_day(start_day));
    let left = u64::try_from((month_end - context.now).num_seconds()).unwrap_or(0);
    let month_forecast = this_month.and_then(|amount| forecast::month(amount.bytes(), &complete, left));
    let counted = source.counted(log);
    Ok(First {
        node: config.node.clone(),
        now: local(context.zone, context.now),
        state: source.state(log),
        backend: counted.backend,
        interfaces: counted.interfaces,
        ports: counted.ports,
        month_days: (month.first_day(start_day), month.last_day(start_day)),
        month: this_month,
        month_forecast,
        last_month_days: (month.previous().first_day(start_day), month.previous().last_day(start_day)),
        last_month: of_month(month.previous()),
        today: read.days.get(&today).copied(),
        today_forecast: by_midnight(log, context),
        yesterday_by_now: Some(yesterday_by_now).filter(|amount| amount.covered > 0),
        yesterday: read.days.get(&(today - Days::new(1))).copied(),
        hours,
        busiest,
        users,
        more_users,
    })
}

fn measured(day: Amount) -> Measured {
    Measured { bytes: day.bytes(), seconds: day.covered.min(day.seconds) }
}

/// The sum over the days of a month; days without data count as not covered. `None` if no day has data.
fn sum_of_month(read: &Read, month: Month, context: &ShowContext) -> Option<Amount> {
    let start_day = context.month_start_day;
    let (first_day, last_day) = (month.first_day(start_day), month.last_day(start_day));
    let mut days = read.days.range(first_day..=last_day).map(|(_, amount)| *amount).peekable();
    days.peek()?;
    let start = day_start(context.zone, first_day);
    let seconds = if day_end(context.zone, last_day) > context.now {
        u64::try_from((context.now - start).num_seconds()).unwrap_or(0)
    } else {
        seconds_in_month(context.zone, month, start_day)
    };
    let sum = days.fold(Amount::default(), |sum, day| Amount {
        in_bytes: sum.in_bytes + day.in_bytes,
        out_bytes: sum.out_bytes + day.out_bytes,
        covered: sum.covered + day.covered,
        seconds,
    });
    Some(sum)
}

/// The owners with the most traffic this month, and how many more there are.
fn users(
    read: &Read,
    config: &Config,
    source: &Source,
    context: &ShowContext,
    limit: usize,
) -> (Vec<FirstScreenUser>, usize) {
    let mut owners: Vec<_> = read.owners.iter().filter(|(_, days)| days.month.bytes() > 0).collect();
    owners.sort_by(|(left, of_left), (right, of_right)| {
        of_right.month.bytes().cmp(&of_left.month.bytes()).then_with(|| left.cmp(right))
    });
    let more = owners.len().saturating_sub(limit);
    let days: Vec<NaiveDate> = (0..first::DAYS as u64).rev().map(|back| context.today() - Days::new(back)).collect();
    let user = |(owner, of_owner): (&StatementOwner, &OwnerDays)| {
        let (name, quota) = match owner {
            StatementOwner::User(name) => {
                let user = config.users.iter().find(|user| user.name == *name);
                (name.clone(), user.and_then(|user| user.quota_on(&config.node)))
            }
            StatementOwner::Port(port) => (format!("port {port}"), None),
        };
        // The agent includes grants, and what was used before it began to count.
        let standing = source.user(&name);
        let used = standing.and_then(|user| user.used).unwrap_or_else(|| config.report.billed.bytes(of_owner.month));
        let quota = standing.and_then(|user| user.quota).or(quota);
        let day = |day: &NaiveDate| {
            // On a day that was counted, an owner without a line used nothing.
            read.days.get(day).map(|_| of_owner.days.get(day).copied().unwrap_or(0))
        };
        FirstScreenUser {
            name,
            bytes: of_owner.month.bytes().into(),
            quota: quota.map(|quota| (used.into(), quota.into())),
            state: standing.and_then(|user| user.state),
            days: days.iter().map(day).collect(),
        }
    };
    (owners.into_iter().take(limit).map(user).collect(), more)
}
