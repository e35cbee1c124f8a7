//! `show --95th`: the 95th percentile of a period's samples.

use chrono::{DateTime, FixedOffset, Utc};

use super::period::{DefaultPeriod, Period, ShowContext};
use super::read::Log;
use super::views::all;
use super::{Args, Form, brief};
use crate::commands::output;
use crate::exit::{Code, Failure};
use crate::ledger::calendar::{day_end, day_start, local};
use crate::ledger::percentile::{SAMPLE_SECONDS, Sample, Samples, sample_seconds};
use crate::ports::spec;
use crate::render::figures::{FigureKind, PercentileRow};
use crate::render::screen::ScreenStyle;
use crate::render::screen::percentile::Percentiles;

/// Prints the percentiles of incoming traffic, of outgoing traffic, and of both together.
///
/// # Errors
/// Exit code 2 if the log's buckets are longer than five minutes; also when a file cannot be read.
pub(super) fn show(args: &Args, log: &mut Log, context: &ShowContext, look: &ScreenStyle) -> Result<(), Failure> {
    let configured = log.settings().bucket.seconds();
    let Some(length) = sample_seconds(configured) else {
        return Err(refusal(configured));
    };
    let period = Period::new(args.from.as_ref(), args.to.as_ref(), DefaultPeriod::Month, context);
    let (start, end) = bounds(&period, context);
    let mut samples = Samples::default();
    let mut longest: i64 = 0;
    log.buckets(&period, |shown| {
        let seal = &shown.block.seal;
        let seconds = (seal.end - seal.start).num_seconds();
        if shown.block.lines.is_empty() && args.is_narrow() {
            return Ok(true);
        }
        // A bucket longer than a sample does not say how its bytes were spread over the samples, so these count as not
        // measured.
        if seconds > i64::from(length) {
            longest = longest.max(seconds);
            return Ok(true);
        }
        let covered = brief::covered(seal.start, seal.end, &seal.gaps);
        let mut sample = Sample { seconds: u32::try_from(covered).unwrap_or(u32::MAX), ..Sample::default() };
        for line in &shown.block.lines {
            let counters = line.counters();
            sample.in_bytes += u128::from(counters.tcp_in_bytes) + u128::from(counters.udp_in_bytes);
            sample.out_bytes += u128::from(counters.tcp_out_bytes) + u128::from(counters.udp_out_bytes);
        }
        samples.add(seal.start.timestamp().div_euclid(length.into()) * i64::from(length), sample);
        Ok(true)
    })?;
    let seen = samples.seen() as u64;
    if seen == 0 && longest > 0 {
        return Err(refusal(u32::try_from(longest).unwrap_or(u32::MAX)));
    }
    let seconds = u64::try_from((end - start).num_seconds()).unwrap_or(0);
    let found = Percentiles {
        start,
        end,
        whose: whose(args),
        sample_seconds: length,
        expected: seconds.div_ceil(length.into()).max(seen),
        seen,
        rates: samples.percentiles(),
    };
    match args.form() {
        Form::Table => output::print(&found.print(look))?,
        form => {
            let names = ["in", "out", "both"].into_iter();
            let row = |(direction, rate): (&'static str, crate::ledger::percentile::Percentile)| PercentileRow {
                kind: FigureKind::Percentile,
                direction,
                start: found.start,
                end: found.end,
                sample_seconds: length,
                samples_expected: found.expected,
                samples_seen: seen,
                bytes_per_second: rate.rate,
                next_higher: rate.above,
                next_lower: rate.below,
            };
            let rows: Vec<PercentileRow> = names.zip(found.rates.into_iter().flatten()).map(row).collect();
            output::print(&all(&rows, form))?
        }
    };
    Ok(())
}

/// The period up to now, in whole samples.
fn bounds(period: &Period, context: &ShowContext) -> (DateTime<FixedOffset>, DateTime<FixedOffset>) {
    let (start, end): (DateTime<Utc>, DateTime<Utc>) = match period {
        Period::Days(days) => (day_start(context.zone, *days.start()), day_end(context.zone, *days.end())),
        Period::Instants { from, to } => (*from, *to),
    };
    (local(context.zone, start), local(context.zone, end.min(context.now).max(start)))
}

fn whose(args: &Args) -> String {
    match (&args.port, &args.user) {
        (None, None) => "all ports".to_owned(),
        (Some(ports), None) => format!("port {}", spec::text(ports.iter().copied())),
        (None, Some(user)) => format!("user {}", crate::render::screen::printable(user)),
        (Some(ports), Some(user)) => {
            format!("port {} of {}", spec::text(ports.iter().copied()), crate::render::screen::printable(user))
        }
    }
}

fn refusal(seconds: u32) -> Failure {
    let what = format!(
        "a 95th percentile needs samples of at most {SAMPLE_SECONDS} seconds, but the buckets of this log have \
         {seconds}"
    );
    Failure::new(Code::Usage, anyhow::Error::msg(what)).help("set `bucket = \"5m\"` in `[count]`, and restart `run`")
}
