//! One function per view, which reads its data and prints it.

use std::collections::{BTreeMap, VecDeque};

use super::period::{DefaultPeriod, Period, ShowContext};
use super::read::{Log, ShownBlock};
use super::sum::Sum;
use super::{Args, Form};
use crate::commands::output;
use crate::exit::Failure;
use crate::ledger::block::{Daily, DayBlock, HourBlock, Hourly};
use crate::ledger::calendar::{Month, day_start, seconds_in_month};
use crate::ledger::reconcile::{Reconciliation, reconcile};
use crate::ledger::record::MonthLine;
use crate::render::figures::{self, DayRow, HourRow, Kind, MonthRow, Row, TotalRow};
use crate::render::table;

/// An empty table.
const NOTHING: &str = "no usage in this time; `flow-agent show` says what was counted last\n";
const TOP: usize = 10;
/// The number of users in the overview.
const FEW: usize = 5;

/// `show hours`
pub(super) fn hours(args: &Args, log: &mut Log, context: &ShowContext) -> Result<(), Failure> {
    let mut rows = Rows::new(args, table::hours);
    rows.begin()?;
    let mut compared: Option<Reconciliation> = None;
    log.buckets(&period(args, DefaultPeriod::Hours, context), |mut shown| {
        if let Some(more) = reconcile(&shown.block).filter(|_| !shown.open && !args.is_narrow()) {
            compared.get_or_insert_default().add(more);
        }
        args.narrow_hour(&mut shown);
        rows.take(hour_rows(shown), |row| row.sums.bytes)
    })?;
    rows.end(&compared.map(|compared| table::reconciliation(&compared)).unwrap_or_default())
}

fn hour_rows(shown: ShownBlock<Hourly>) -> impl Iterator<Item = HourRow> {
    let ShownBlock { block: HourBlock { lines, seal }, open } = shown;
    lines.into_iter().map(move |line| HourRow {
        kind: Kind::Hour,
        start: seal.start,
        end: seal.end,
        port: line.port,
        sums: line.counters().into(),
        user: line.user,
        quality: (!open).then_some(seal.quality),
        open,
    })
}

/// `show days`
pub(super) fn days(args: &Args, log: &mut Log, context: &ShowContext) -> Result<(), Failure> {
    let mut rows = Rows::new(args, table::days);
    rows.begin()?;
    log.days(period(args, DefaultPeriod::Days, context).dates(), context, |mut shown| {
        args.narrow_day(&mut shown);
        rows.take(day_rows(shown), |row| row.sums.bytes)
    })?;
    rows.end("")
}

fn day_rows(shown: ShownBlock<Daily>) -> impl Iterator<Item = DayRow> {
    let ShownBlock { block: DayBlock { lines, seal }, open } = shown;
    lines.into_iter().map(move |line| DayRow {
        kind: Kind::Day,
        day: seal.day,
        port: line.port,
        sums: line.counters().into(),
        user: line.user,
        seconds_covered: seal.seconds_covered,
        seconds_in_day: seal.seconds_in_day,
        open,
    })
}

/// `show months`
pub(super) fn months(args: &Args, log: &mut Log, context: &ShowContext) -> Result<(), Failure> {
    let days = period(args, DefaultPeriod::Months, context).dates();
    let (first, last) = (context.month_of(*days.start()), context.month_of(*days.end()));
    let mut reported = BTreeMap::new();
    for year in first.year()..=last.year() {
        reported.extend(log.reported_months(year)?.into_iter().map(|block| (block.seal.month, block.lines)));
    }
    let mut rows = Rows::new(args, table::months);
    rows.begin()?;
    let mut month = first;
    while month <= last {
        let of_month = match reported.remove(&month) {
            Some(lines) => lines.into_iter().map(|line| reported_row(line, month >= context.month())).collect(),
            None => own_rows(args, log, month, context)?,
        };
        let asked_for = |row: &MonthRow| match row.ports.as_slice() {
            [] => args.asks_for(0, row.user.as_deref()),
            ports => ports.iter().any(|port| args.asks_for(*port, row.user.as_deref())),
        };
        rows.take(of_month.into_iter().filter(asked_for), |row| row.sums.bytes)?;
        month = month.next();
    }
    rows.end("")
}

fn reported_row(line: MonthLine, open: bool) -> MonthRow {
    let sums = line.counters().into();
    let MonthLine { month, user, ports, coverage, .. } = line;
    MonthRow { kind: Kind::Month, month, user, ports, sums, coverage, reported: true, open }
}

/// The usage that this node itself counted in a month without a report here.
fn own_rows(args: &Args, log: &mut Log, month: Month, context: &ShowContext) -> Result<Vec<MonthRow>, Failure> {
    let (mut sum, mut covered) = (Sum::default(), 0_u64);
    let days = month.first_day(context.month_start_day)..=month.last_day(context.month_start_day);
    log.days(days.clone(), context, |mut shown| {
        covered += u64::from(shown.block.seal.seconds_covered);
        args.narrow_day(&mut shown);
        shown.block.lines.iter().for_each(|line| sum.add_line(line.port, line.user.as_deref(), line.counters()));
        Ok(true)
    })?;
    let open = month >= context.month();
    let seconds = if open {
        let passed = context.now - day_start(context.zone, *days.start());
        u64::try_from(passed.num_seconds()).unwrap_or(0)
    } else {
        seconds_in_month(context.zone, month, context.month_start_day)
    };
    // A fraction for display only; counting uses whole seconds.
    let coverage = Some(if seconds == 0 { 0.0 } else { (covered as f64 / seconds as f64).min(1.0) });
    let row =
        |(user, ports, sums)| MonthRow { kind: Kind::Month, month, user, ports, sums, coverage, reported: false, open };
    Ok(sum.by_owner().map(row).collect())
}

/// `show top`
pub(super) fn top(args: &Args, log: &mut Log, context: &ShowContext) -> Result<(), Failure> {
    let sum = sum(args, log, &period(args, DefaultPeriod::Month, context), context)?;
    let rows = sum.top(args.limit(TOP));
    match args.form() {
        Form::Table if rows.is_empty() => output::print(NOTHING)?,
        Form::Table => output::print(&table::top(&rows, sum.total(Kind::Total, 0).sums.bytes))?,
        form => output::print(&all(&rows, form))?,
    };
    Ok(())
}

/// `show total`
pub(super) fn total(args: &Args, log: &mut Log, context: &ShowContext) -> Result<(), Failure> {
    let sum = sum(args, log, &period(args, DefaultPeriod::Month, context), context)?;
    let row = sum.total(Kind::Total, log.damages());
    match args.form() {
        Form::Table if row.start.is_none() => output::print(NOTHING)?,
        Form::Table => output::print(&table::total(&row))?,
        // A row of zeros would say that nothing moved, which is not known of a time that was not counted.
        form if row.start.is_none() => {
            output::complain(&format!("note: {}", NOTHING.trim_end()));
            output::print(&all::<TotalRow>(&[], form))?
        }
        form => output::print(&all(&[row], form))?,
    };
    Ok(())
}

/// `show`
pub(super) fn glance(args: &Args, log: &mut Log, context: &ShowContext) -> Result<(), Failure> {
    let today =
        sum(args, log, &Period::Days(context.today()..=context.today()), context)?.total(Kind::Today, log.damages());
    let (mut month, mut is_month_counted) = (Sum::default(), false);
    log.days(context.month().first_day(context.month_start_day)..=context.today(), context, |mut shown| {
        is_month_counted = true;
        args.narrow_day(&mut shown);
        shown.block.lines.iter().for_each(|line| month.add_line(line.port, line.user.as_deref(), line.counters()));
        Ok(true)
    })?;
    let this_month = month.total(Kind::ThisMonth, log.damages());
    let form = args.form();
    if form != Form::Table {
        let counted = [(today.start.is_some(), today), (is_month_counted, this_month)];
        let rows: Vec<TotalRow> =
            counted.into_iter().filter(|(is_counted, _)| *is_counted).map(|(_, row)| row).collect();
        output::print(&all(&rows, form))?;
        return Ok(());
    }
    let mut text = String::new();
    if let Some(last) = log.last() {
        text += &table::newest(&last.seal, log.open().map(|open| &open.seal));
    }
    text += &table::glance(
        Some(&today).filter(|today| today.start.is_some()),
        Some(&this_month).filter(|_| is_month_counted),
    );
    let top = month.top(args.limit(FEW));
    if !top.is_empty() {
        text += &format!("\nmost this month:\n{}", table::top(&top, this_month.sums.bytes));
    }
    output::print(&text)?;
    Ok(())
}

fn period(args: &Args, default: DefaultPeriod, context: &ShowContext) -> Period {
    Period::new(args.from.as_ref(), args.to.as_ref(), default, context)
}

/// The sums of the buckets of `period`, and of its days whose buckets are gone.
fn sum(args: &Args, log: &mut Log, period: &Period, context: &ShowContext) -> Result<Sum, Failure> {
    let mut sum = Sum::default();
    log.buckets(period, |mut shown| {
        args.narrow_hour(&mut shown);
        sum.add(&shown, !args.is_narrow());
        Ok(true)
    })?;
    if let Period::Days(days) = period {
        log.days_without_hours(days, |block| {
            let mut shown = ShownBlock { block, open: false };
            args.narrow_day(&mut shown);
            sum.add_day(&shown.block, context.zone);
        })?;
    }
    Ok(sum)
}

/// The rows of a view without a natural limit. If all rows are wanted they are printed as they are read, because a year
/// of a thousand ports does not fit into memory; otherwise only the newest are kept.
struct Rows<'a, R> {
    args: &'a Args,
    table: fn(&[R]) -> String,
    kept: VecDeque<R>,
    /// The number of older rows that were dropped.
    dropped: usize,
}

impl<'a, R: Row> Rows<'a, R> {
    fn new(args: &'a Args, table: fn(&[R]) -> String) -> Self {
        Self { args, table, kept: VecDeque::new(), dropped: 0 }
    }

    fn begin(&self) -> Result<(), Failure> {
        if self.args.form() == Form::Csv {
            output::print(&figures::csv_header::<R>())?;
        }
        Ok(())
    }

    /// Returns `false` if the output was closed.
    fn take(&mut self, rows: impl Iterator<Item = R>, bytes: fn(&R) -> u64) -> Result<bool, Failure> {
        let (form, limit) = (self.args.form(), self.args.rows());
        if form != Form::Table && limit == usize::MAX {
            return output::print(&rows.map(|row| line(&row, form)).collect::<String>());
        }
        // A table with a thousand rows of idle ports is of no use.
        let shown = |row: &R| form != Form::Table || self.args.is_narrow() || bytes(row) > 0;
        self.kept.extend(rows.filter(shown));
        let older = self.kept.len().saturating_sub(limit);
        self.kept.drain(..older);
        self.dropped += older;
        Ok(true)
    }

    /// Prints the kept rows, with `foot` below a table.
    fn end(mut self, foot: &str) -> Result<(), Failure> {
        let rows = self.kept.make_contiguous();
        let text = match (self.args.form(), self.dropped) {
            (Form::Table, 0) if rows.is_empty() => NOTHING.to_owned() + foot,
            (Form::Table, 0) => (self.table)(rows) + foot,
            (Form::Table, dropped) => {
                let head = format!("{dropped} earlier rows are left out; --limit 0 shows all\n");
                head + &(self.table)(rows) + foot
            }
            (form @ (Form::Json | Form::Csv), _) => rows.iter().map(|row| line(row, form)).collect(),
        };
        output::print(&text)?;
        Ok(())
    }
}

fn all<R: Row>(rows: &[R], form: Form) -> String {
    let header = if form == Form::Csv { figures::csv_header::<R>() } else { String::new() };
    rows.iter().fold(header, |text, row| text + &line(row, form))
}

fn line<R: Row>(row: &R, form: Form) -> String {
    if form == Form::Csv { figures::csv(row) } else { figures::json(row) }
}
