//! `show hours`, `days`, `months` and `years`: as lines for people, or as rows for programs.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, FixedOffset};

use super::period::{DefaultPeriod, Period, ShowContext};
use super::read::Log;
use super::slice::{self, SliceLine, UsageSlice};
use super::sum::Sum;
use super::{Args, Form, LineBy, ShowView};
use crate::commands::output;
use crate::exit::Failure;
use crate::ledger::calendar::{day_end, day_start};
use crate::ledger::counters::Counters;
use crate::ledger::forecast;
use crate::ledger::record::Quality;
use crate::render::figures::{self, DayRow, FigureKind, FigureRow, HourRow, MonthRow, Sums, UsageRow};
use crate::render::screen::ScreenStyle;
use crate::render::screen::usage::{UsageLine, UsageScreen, When, Whose};

/// Prints the view.
///
/// # Errors
/// When a file cannot be read, or the output cannot be written.
pub(super) fn show(
    args: &Args,
    view: ShowView,
    log: &mut Log,
    context: &ShowContext,
    look: &ScreenStyle,
) -> Result<(), Failure> {
    let default = match view {
        ShowView::Hours => DefaultPeriod::Hours,
        ShowView::Days => DefaultPeriod::Days,
        ShowView::Months | ShowView::Top | ShowView::Total => DefaultPeriod::Months,
        ShowView::Years => DefaultPeriod::Years,
    };
    let period = Period::new(args.from.as_ref(), args.to.as_ref(), default, context);
    let by = args.by(view);
    let form = args.form();
    if form == Form::Table {
        if view == ShowView::Days {
            log.want_yesterday();
        }
        let mut lines = Lines::new(args, by);
        read(view, log, &period, context, |slice| Ok(lines.take(&slice)))?;
        return lines.print(log, &period, context, look);
    }
    let mut printer = Printer { form, limit: args.rows(), kept: VecDeque::new() };
    if form == Form::Csv {
        output::print(&match (view, by) {
            (ShowView::Hours, LineBy::Port) => figures::csv_header::<HourRow>(),
            (ShowView::Days, LineBy::Port) => figures::csv_header::<DayRow>(),
            (ShowView::Months, LineBy::User) => figures::csv_header::<MonthRow>(),
            _ => figures::csv_header::<UsageRow>(),
        })?;
    }
    read(view, log, &period, context, |slice| match (slice.when, by) {
        (When::Bucket { start, end }, LineBy::Port) => printer.rows(hour_rows(slice, start, end)),
        (When::Day(_), LineBy::Port) => printer.rows(day_rows(slice)),
        (When::Month(_), LineBy::User) => printer.rows(month_rows(slice)),
        _ => printer.rows(usage_rows(slice, by)),
    })?;
    printer.end()
}

fn read(
    view: ShowView,
    log: &mut Log,
    period: &Period,
    context: &ShowContext,
    take: impl FnMut(UsageSlice) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    match view {
        ShowView::Hours => slice::hours(log, period, take),
        ShowView::Days => slice::days(log, period, context, take),
        ShowView::Months | ShowView::Top | ShowView::Total => slice::months(log, period, context, take),
        ShowView::Years => slice::years(log, period, context, take),
    }
}

/// The newest lines of a table.
struct Lines<'a> {
    args: &'a Args,
    by: LineBy,
    kept: VecDeque<UsageLine>,
    left_out: usize,
}

impl<'a> Lines<'a> {
    fn new(args: &'a Args, by: LineBy) -> Self {
        Self { args, by, kept: VecDeque::new(), left_out: 0 }
    }

    fn take(&mut self, slice: &UsageSlice) -> bool {
        // The usage of a port that was not counted then is unknown rather than zero.
        if slice.lines.is_empty() && self.args.is_narrow() {
            return true;
        }
        let line = |whose, counters: Counters| UsageLine {
            when: slice.when,
            whose,
            in_bytes: u128::from(counters.tcp_in_bytes) + u128::from(counters.udp_in_bytes),
            out_bytes: u128::from(counters.tcp_out_bytes) + u128::from(counters.udp_out_bytes),
            seconds: slice.seconds,
            covered: slice.covered,
            open: slice.open,
            note: note(slice),
        };
        // A table with a thousand idle ports would be useless.
        let shown = |counters: &Counters| self.args.is_narrow() || *counters != Counters::default();
        match self.by {
            LineBy::All => {
                let mut sum = line(Whose::All, Counters::default());
                for SliceLine { counters, .. } in &slice.lines {
                    let more = line(Whose::All, *counters);
                    sum.in_bytes += more.in_bytes;
                    sum.out_bytes += more.out_bytes;
                }
                self.kept.push_back(sum);
            }
            LineBy::Port => {
                for SliceLine { ports, user, counters, .. } in slice.lines.iter().filter(|line| shown(&line.counters)) {
                    for port in ports {
                        self.kept.push_back(line(Whose::Port(*port, user.clone()), *counters));
                    }
                }
            }
            LineBy::User => {
                let owners = by_owner(&slice.lines);
                for (user, ports, counters) in owners.into_iter().filter(|(.., counters)| shown(counters)) {
                    self.kept.push_back(line(Whose::User(user, ports), counters));
                }
            }
        }
        let older = self.kept.len().saturating_sub(self.args.rows());
        self.kept.drain(..older);
        self.left_out += older;
        true
    }

    fn print(self, log: &Log, period: &Period, context: &ShowContext, look: &ScreenStyle) -> Result<(), Failure> {
        let lines: Vec<UsageLine> = self.kept.into();
        if lines.is_empty() {
            output::print(super::NOTHING)?;
            return Ok(());
        }
        let notes = notes(&lines, log, period, context, look);
        output::print(&UsageScreen { lines, left_out: self.left_out, notes }.print(look))?;
        Ok(())
    }
}

/// A note for people about a line.
fn note(slice: &UsageSlice) -> String {
    match (slice.when, slice.quality) {
        (When::Bucket { .. }, Some(Quality::Exact)) => String::new(),
        (When::Bucket { .. }, Some(quality)) => quality.name().to_owned(),
        (When::Bucket { .. }, None) => "open".to_owned(),
        _ if slice.open => "so far".to_owned(),
        _ if slice.reported => "all nodes".to_owned(),
        _ => String::new(),
    }
}

/// The sentences below a table whose last line is not over yet.
fn notes(lines: &[UsageLine], log: &Log, period: &Period, context: &ShowContext, look: &ScreenStyle) -> Vec<String> {
    let mut notes = Vec::new();
    let Some(last) = lines.last().filter(|line| line.open) else { return notes };
    if let When::Bucket { end, .. } = last.when {
        notes.push(format!("the open bucket was read at {}", end.format("%H:%M:%S")));
    }
    let has_today = match period {
        Period::Days(days) => days.contains(&context.today()),
        Period::Instants { from, .. } => *from <= day_start(context.zone, context.today()),
    };
    let is_of_today = matches!(last.when, When::Bucket { .. } | When::Day(_)) && has_today && last.whose == Whose::All;
    if is_of_today && let Some(bytes) = by_midnight(log, context) {
        notes.push(format!("by midnight ~{}", look.units.bytes(bytes)));
    }
    notes
}

/// The forecast of today's bytes at midnight, from the buckets of today and yesterday that were read.
pub(super) fn by_midnight(log: &Log, context: &ShowContext) -> Option<u128> {
    let start = day_start(context.zone, context.today());
    let end = day_end(context.zone, context.today());
    let yesterday = context.now - chrono::TimeDelta::days(1);
    let today = log.briefs().between(start, context.now).measured();
    let rest = log.briefs().between(yesterday, yesterday + (end - context.now)).measured();
    let left = u64::try_from((end - context.now).num_seconds()).unwrap_or(0);
    if today.seconds == 0 { None } else { forecast::day(today, rest, left) }
}

/// The usage of each owner: users by name, then unassigned ports by number.
fn by_owner(lines: &[SliceLine]) -> Vec<(Option<String>, Vec<u16>, Counters)> {
    let mut sum = Sum::default();
    let mut without_ports: BTreeMap<Option<&str>, Counters> = BTreeMap::new();
    for line in lines {
        match line.ports.as_slice() {
            [] => {
                let sum = without_ports.entry(line.user.as_deref()).or_default();
                *sum = sum.saturating_add(line.counters);
            }
            // The counters belong to all of these ports together, so they are added only once.
            [first, more @ ..] => {
                sum.add_line(*first, line.user.as_deref(), line.counters);
                for port in more {
                    sum.add_line(*port, line.user.as_deref(), Counters::default());
                }
            }
        }
    }
    let named = sum.by_owner().map(|(user, ports, sums)| (user, ports, sums.counters));
    let others = without_ports.into_iter().map(|(user, counters)| (user.map(str::to_owned), Vec::new(), counters));
    named.chain(others).collect()
}

/// Prints rows for programs. If all rows are wanted they are printed as they are read, because a year of a thousand
/// ports does not fit into memory; otherwise only the newest are kept.
struct Printer {
    form: Form,
    limit: usize,
    kept: VecDeque<String>,
}

impl Printer {
    /// Returns `false` if the output was closed.
    fn rows<R: FigureRow>(&mut self, rows: impl Iterator<Item = R>) -> Result<bool, Failure> {
        let rows = rows.map(|row| super::views::line(&row, self.form));
        if self.limit == usize::MAX {
            return output::print(&rows.collect::<String>());
        }
        for row in rows {
            if self.kept.len() == self.limit {
                self.kept.pop_front();
            }
            self.kept.push_back(row);
        }
        Ok(true)
    }

    fn end(self) -> Result<(), Failure> {
        output::print(&self.kept.into_iter().collect::<String>())?;
        Ok(())
    }
}

fn hour_rows(
    slice: UsageSlice,
    start: DateTime<FixedOffset>,
    end: DateTime<FixedOffset>,
) -> impl Iterator<Item = HourRow> {
    let (quality, open) = (slice.quality, slice.open);
    slice.lines.into_iter().map(move |line| HourRow {
        kind: FigureKind::Hour,
        start,
        end,
        port: line.ports.first().copied().unwrap_or_default(),
        sums: line.counters.into(),
        user: line.user,
        quality,
        open,
    })
}

fn day_rows(slice: UsageSlice) -> impl Iterator<Item = DayRow> {
    let When::Day(day) = slice.when else { unreachable!("days are read for rows of days") };
    let narrow = |seconds: Option<u64>| u32::try_from(seconds.unwrap_or(0)).unwrap_or(u32::MAX);
    let (covered, seconds_in_day, open) = (narrow(slice.covered), narrow(slice.whole), slice.has_open_bucket);
    slice.lines.into_iter().map(move |line| DayRow {
        kind: FigureKind::Day,
        day,
        port: line.ports.first().copied().unwrap_or_default(),
        sums: line.counters.into(),
        user: line.user,
        seconds_covered: covered,
        seconds_in_day,
        open,
    })
}

fn month_rows(slice: UsageSlice) -> impl Iterator<Item = MonthRow> {
    let When::Month(month) = slice.when else { unreachable!("months are read for rows of months") };
    let coverage = slice.coverage();
    let (reported, open) = (slice.reported, slice.open);
    let row = move |user, ports, sums: Sums, coverage| MonthRow {
        kind: FigureKind::Month,
        month,
        user,
        ports,
        sums,
        coverage,
        reported,
        open,
    };
    let rows: Vec<MonthRow> = if reported {
        slice.lines.into_iter().map(|line| row(line.user, line.ports, line.counters.into(), line.coverage)).collect()
    } else {
        let owners = by_owner(&slice.lines).into_iter();
        owners.map(|(user, ports, counters)| row(user, ports, counters.into(), coverage)).collect()
    };
    rows.into_iter()
}

fn usage_rows(slice: UsageSlice, by: LineBy) -> impl Iterator<Item = UsageRow> {
    let period = match slice.when {
        When::Bucket { start, .. } => start.to_rfc3339(),
        When::Day(day) => day.to_string(),
        When::Month(month) => month.to_string(),
        When::Year(year) => year.to_string(),
    };
    let (kind, end) = match slice.when {
        When::Bucket { end, .. } => (FigureKind::Hour, Some(end)),
        When::Day(_) => (FigureKind::Day, None),
        When::Month(_) => (FigureKind::Month, None),
        When::Year(_) => (FigureKind::Year, None),
    };
    let (covered, seconds, open) = (slice.covered, slice.seconds, slice.open);
    let row = move |user, ports, sums: Sums| UsageRow {
        kind,
        by: by.name(),
        period: period.clone(),
        end,
        user,
        ports,
        sums,
        seconds_covered: covered,
        seconds,
        open,
    };
    let rows: Vec<UsageRow> = match by {
        LineBy::All => {
            let sum = slice.lines.iter().fold(Counters::default(), |sum, line| sum.saturating_add(line.counters));
            // The usage of a port that was not counted then is unknown rather than zero.
            let is_known = !slice.lines.is_empty();
            is_known.then(|| row(None, Vec::new(), sum.into())).into_iter().collect()
        }
        LineBy::User => {
            let owners = by_owner(&slice.lines).into_iter();
            owners.map(|(user, ports, counters)| row(user, ports, counters.into())).collect()
        }
        LineBy::Port => slice.lines.into_iter().map(|line| row(line.user, line.ports, line.counters.into())).collect(),
    };
    rows.into_iter()
}
