//! `show top` and `show total`.

use chrono::Days;

use super::period::{DefaultPeriod, Period, ShowContext};
use super::read::{Log, ShownBlock};
use super::sum::Sum;
use super::whole_days::LogPart;
use super::{Args, Form, NOTHING};
use crate::commands::output;
use crate::exit::Failure;
use crate::render::figures::{self, FigureKind, FigureRow, TotalRow};
use crate::render::screen::ScreenStyle;
use crate::render::table;

/// The number of owners in `show top`.
const TOP: usize = 10;

/// `show top`
pub(super) fn top(args: &Args, log: &mut Log, context: &ShowContext, look: &ScreenStyle) -> Result<(), Failure> {
    let mut sum = Sum::default();
    match period(args, DefaultPeriod::Month, context) {
        // Complete days are read from the daily log, which is far smaller than the hourly one.
        Period::Days(days) => {
            log.days(*days.start()..=*days.end().min(&(context.today() + Days::new(1))), context, |shown| {
                for line in &shown.block.lines {
                    sum.add_line(line.port, line.user.as_deref(), line.counters());
                }
                Ok(true)
            })?
        }
        period @ Period::Instants { .. } => log.buckets(&period, |shown| {
            for line in &shown.block.lines {
                sum.add_line(line.port, line.user.as_deref(), line.counters());
            }
            Ok(true)
        })?,
    }
    let rows = sum.top(args.limit(TOP));
    match args.form() {
        Form::Table if rows.is_empty() => output::print(NOTHING)?,
        Form::Table => output::print(&table::top(&rows, sum.total(FigureKind::Total, 0).sums.bytes, look))?,
        form => output::print(&all(&rows, form))?,
    };
    Ok(())
}

/// `show total`
pub(super) fn total(args: &Args, log: &mut Log, context: &ShowContext, look: &ScreenStyle) -> Result<(), Failure> {
    let sum = sum(args, log, &period(args, DefaultPeriod::Month, context), context)?;
    let row = sum.total(FigureKind::Total, log.damages());
    match args.form() {
        Form::Table if row.start.is_none() => output::print(NOTHING)?,
        Form::Table => output::print(&table::total(&row, look))?,
        // A row of zeros would claim that nothing moved, which is not known about a time that was not counted.
        form if row.start.is_none() => {
            output::complain(&format!("note: {}", NOTHING.trim_end()));
            output::print(&all::<TotalRow>(&[], form))?
        }
        form => output::print(&all(&[row], form))?,
    };
    Ok(())
}

fn period(args: &Args, default: DefaultPeriod, context: &ShowContext) -> Period {
    Period::new(args.from.as_ref(), args.to.as_ref(), default, context)
}

/// The sums of the buckets of `period`, and of those days whose buckets no longer exist.
pub(super) fn sum(args: &Args, log: &mut Log, period: &Period, context: &ShowContext) -> Result<Sum, Failure> {
    let mut sum = Sum::default();
    if log.nodes().is_none() {
        let whole = !args.is_narrow();
        log.parts(period, context, |part| match part {
            LogPart::Day(day) => sum.add_whole_day(&day, whole),
            LogPart::Bucket(shown) => sum.add(&shown, whole),
        })?;
    }
    if let Period::Days(days) = period {
        log.days_without_hours(days, |block| {
            let shown = ShownBlock { block, open: false };
            sum.add_day(&shown.block, context.zone);
        })?;
    }
    Ok(sum)
}

/// All rows as JSON, or as CSV with its header.
pub(super) fn all<R: FigureRow>(rows: &[R], form: Form) -> String {
    let header = if form == Form::Csv { figures::csv_header::<R>() } else { String::new() };
    rows.iter().fold(header, |text, row| text + &line(row, form))
}

/// A row as a line of JSON or CSV.
pub(super) fn line<R: FigureRow>(row: &R, form: Form) -> String {
    if form == Form::Csv { figures::csv(row) } else { figures::json(row) }
}
