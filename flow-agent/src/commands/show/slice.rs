//! Usage by time: the hours, days, months and years that a view shows, each with its lines.

use std::collections::BTreeMap;

use super::brief;
use super::period::{Period, ShowContext};
use super::read::{Log, ShownBlock};
use crate::exit::{Code, Failure};
use crate::ledger::block::{Daily, Hourly};
use crate::ledger::calendar::{Month, day_start, seconds_in_month};
use crate::ledger::counters::Counters;
use crate::ledger::record::{MonthLine, Quality};
use crate::ports::spec;
use crate::render::screen::usage::When;

/// The usage in a span of time.
#[derive(Clone, Debug)]
pub struct UsageSlice {
    pub when: When,
    /// The seconds of the span; only up to now if it is not over.
    pub seconds: Option<u64>,
    /// How many of them were measured.
    pub covered: Option<u64>,
    /// All seconds of the span, including those to come.
    pub whole: Option<u64>,
    /// The span is not over.
    pub open: bool,
    /// Usage that is not sealed yet is included.
    pub has_open_bucket: bool,
    /// The quality of a sealed bucket; `None` for everything else.
    pub quality: Option<Quality>,
    /// It is a month from the report of all nodes.
    pub reported: bool,
    pub lines: Vec<SliceLine>,
}

/// The usage of some ports of one owner.
#[derive(Clone, Debug)]
pub struct SliceLine {
    pub ports: Vec<u16>,
    pub user: Option<String>,
    pub counters: Counters,
    /// The measured part of a month, 0 to 1, if the report has it for this line.
    pub coverage: Option<f64>,
}

impl UsageSlice {
    /// The measured part of the time so far, 0 to 1; `None` if it is not known. For display only.
    pub fn coverage(&self) -> Option<f64> {
        match (self.covered?, self.seconds?) {
            (_, 0) => Some(0.0),
            (covered, seconds) => Some((covered as f64 / seconds as f64).min(1.0)),
        }
    }

    fn of_hour(shown: ShownBlock<Hourly>) -> Self {
        let ShownBlock { block, open } = shown;
        let seal = block.seal;
        let line = |line: crate::ledger::record::HourLine| {
            let counters = line.counters();
            SliceLine { ports: vec![line.port], user: line.user, counters, coverage: None }
        };
        Self {
            when: When::Bucket { start: seal.start, end: seal.end },
            seconds: u64::try_from((seal.end - seal.start).num_seconds()).ok(),
            covered: Some(brief::covered(seal.start, seal.end, &seal.gaps)),
            whole: u64::try_from((seal.end - seal.start).num_seconds()).ok(),
            open,
            has_open_bucket: open,
            quality: (!open).then_some(seal.quality),
            reported: false,
            lines: block.lines.into_iter().map(line).collect(),
        }
    }

    fn of_day(shown: ShownBlock<Daily>, context: &ShowContext) -> Self {
        let ShownBlock { block, open } = shown;
        let seal = block.seal;
        let line = |line: crate::ledger::record::DayLine| {
            let counters = line.counters();
            SliceLine { ports: vec![line.port], user: line.user, counters, coverage: None }
        };
        let so_far = (context.now - day_start(context.zone, seal.day)).num_seconds();
        // If several nodes are added up, a day has the seconds of each.
        let seconds = match seal.day == context.today() && seal.seconds_in_day <= 2 * 86_400 {
            true => u64::try_from(so_far).unwrap_or(0).min(seal.seconds_in_day.into()),
            false => seal.seconds_in_day.into(),
        };
        Self {
            when: When::Day(seal.day),
            seconds: Some(seconds),
            covered: Some(seal.seconds_covered.into()),
            whole: Some(seal.seconds_in_day.into()),
            open: open || seal.day == context.today(),
            has_open_bucket: open,
            quality: None,
            reported: false,
            lines: block.lines.into_iter().map(line).collect(),
        }
    }
}

/// Passes the buckets of `period` to `take`, until it returns `false`.
///
/// # Errors
/// When a file cannot be read, or `take` fails.
pub fn hours(
    log: &mut Log,
    period: &Period,
    mut take: impl FnMut(UsageSlice) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    log.buckets(period, |shown| take(UsageSlice::of_hour(shown)))
}

/// Passes the days of `period` that have data to `take`, until it returns `false`. A day of which only a part is in the
/// period is passed whole.
///
/// # Errors
/// When a file cannot be read, or `take` fails.
pub fn days(
    log: &mut Log,
    period: &Period,
    context: &ShowContext,
    mut take: impl FnMut(UsageSlice) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    log.days(period.whole_days(context), context, |shown| take(UsageSlice::of_day(shown, context)))
}

/// Passes the billing months of `period` that have data to `take`, until it returns `false`. A month comes from the
/// report of all nodes if there is one here, otherwise from this node's own days.
///
/// # Errors
/// Exit code 2 if some ports of a user were asked for and the month comes from a report, which has only their sum. When
/// a file cannot be read, or `take` fails.
pub fn months(
    log: &mut Log,
    period: &Period,
    context: &ShowContext,
    mut take: impl FnMut(UsageSlice) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let days = period.whole_days(context);
    let (first, last) = (context.month_of(*days.start()), context.month_of(*days.end()));
    let mut reported = BTreeMap::new();
    if log.nodes().is_none() {
        for year in first.year()..=last.year() {
            reported.extend(log.reported_months(year)?.into_iter().map(|block| (block.seal.month, block.lines)));
        }
    }
    let mut month = first;
    while month <= last {
        let slice = match reported.remove(&month) {
            Some(lines) => {
                refuse_part(log, month, &lines)?;
                Some(reported_month(log, month, lines, context))
            }
            None => own_month(log, month, context)?,
        };
        if let Some(slice) = slice
            && !take(slice)?
        {
            break;
        }
        month = month.next();
    }
    Ok(())
}

/// Refuses ports whose usage cannot be separated from that of the other ports of their user.
fn refuse_part(log: &Log, month: Month, lines: &[MonthLine]) -> Result<(), Failure> {
    let narrow = log.narrow();
    let is_part = |line: &&MonthLine| {
        let user = line.user.as_deref();
        narrow.has_any(&line.ports, user) && !line.ports.iter().all(|port| narrow.has(*port, user))
    };
    let Some(line) = lines.iter().find(is_part) else { return Ok(()) };
    let (user, ports) = (line.user.as_deref().unwrap_or("nobody"), spec::text(line.ports.iter().copied()));
    let why = format!("the report of {month} has only the sum of the ports {ports} of `{}`", user.escape_default());
    let help = "add `--node all` for the gathered days, which have every port, or ask for the user with --user";
    Err(Failure::new(Code::Usage, anyhow::Error::msg(why)).help(help))
}

fn reported_month(log: &Log, month: Month, lines: Vec<MonthLine>, context: &ShowContext) -> UsageSlice {
    let open = month >= context.month();
    let seconds = seconds_in_month(context.zone, month, context.month_start_day);
    // Every line has the coverage of its own nodes; the lowest of them stands for the whole month.
    let coverage = lines.iter().map(|line| line.coverage).collect::<Option<Vec<_>>>();
    let coverage = coverage.and_then(|all| all.into_iter().reduce(f64::min));
    let narrow = log.narrow();
    let asked_for = |line: &MonthLine| narrow.has_any(&line.ports, line.user.as_deref());
    let line = |line: MonthLine| {
        let counters = line.counters();
        SliceLine { ports: line.ports, user: line.user, counters, coverage: line.coverage }
    };
    UsageSlice {
        when: When::Month(month),
        // The report of a month in progress does not say up to when it counted.
        seconds: (!open).then_some(seconds),
        covered: coverage.filter(|_| !open).map(|part| (part * seconds as f64).round() as u64),
        whole: Some(seconds),
        open,
        has_open_bucket: false,
        quality: None,
        reported: true,
        lines: lines.into_iter().filter(asked_for).map(line).collect(),
    }
}

/// The usage that this node itself counted in a month without a report here; `None` if it counted nothing.
fn own_month(log: &mut Log, month: Month, context: &ShowContext) -> Result<Option<UsageSlice>, Failure> {
    let (mut lines, mut covered, mut found) = (BTreeMap::new(), 0_u64, false);
    let mut nodes = 1_u64;
    let days = month.first_day(context.month_start_day)..=month.last_day(context.month_start_day);
    log.days(days.clone(), context, |shown| {
        found = true;
        covered += u64::from(shown.block.seal.seconds_covered);
        nodes = nodes.max(u64::from(shown.block.seal.seconds_in_day) / 86_000);
        for line in shown.block.lines {
            let counters = line.counters();
            let sum: &mut Counters = lines.entry((line.user, line.port)).or_default();
            *sum = sum.saturating_add(counters);
        }
        Ok(true)
    })?;
    let open = month >= context.month();
    let seconds = if open {
        let passed = context.now - day_start(context.zone, *days.start());
        u64::try_from(passed.num_seconds()).unwrap_or(0)
    } else {
        seconds_in_month(context.zone, month, context.month_start_day)
    };
    let line = |((user, port), counters)| SliceLine { ports: vec![port], user, counters, coverage: None };
    let lines = lines.into_iter().map(line);
    Ok(found.then(|| UsageSlice {
        when: When::Month(month),
        seconds: Some(seconds * nodes),
        covered: Some(covered),
        whole: None,
        open,
        has_open_bucket: open,
        quality: None,
        reported: false,
        lines: lines.collect(),
    }))
}

/// Passes the years of `period` to `take`, until it returns `false`. A year is the sum of its billing months.
///
/// # Errors
/// When a file cannot be read, or `take` fails.
pub fn years(
    log: &mut Log,
    period: &Period,
    context: &ShowContext,
    mut take: impl FnMut(UsageSlice) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut year: Option<UsageSlice> = None;
    let mut wanted = true;
    months(log, period, context, |month| {
        let When::Month(named) = month.when else { return Ok(true) };
        let when = When::Year(named.year());
        match &mut year {
            Some(sum) if sum.when == when => {
                let add = |left: Option<u64>, right: Option<u64>| left?.checked_add(right?);
                sum.seconds = add(sum.seconds, month.seconds);
                sum.covered = add(sum.covered, month.covered);
                sum.open |= month.open;
                sum.reported &= month.reported;
                sum.lines.extend(month.lines);
            }
            _ => {
                let done = year.replace(UsageSlice { when, ..month });
                wanted = done.map_or(Ok(true), &mut take)?;
            }
        }
        Ok(wanted)
    })?;
    if let Some(last) = year.filter(|_| wanted) {
        take(last)?;
    }
    Ok(())
}
