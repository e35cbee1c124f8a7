//! The last 24 hours, hour by hour.

use chrono::{DateTime, TimeDelta, Utc};

use super::period::{Period, ShowContext};
use super::read::Log;
use crate::exit::Failure;
use crate::ledger::calendar::local;
use crate::render::screen::first::{Busiest, ChartHour};

/// Reads the last 24 hours of the clock.
///
/// # Errors
/// When a file cannot be read.
pub fn last_24(log: &mut Log, context: &ShowContext) -> Result<Vec<ChartHour>, Failure> {
    let today = context.today();
    let yesterday = today - chrono::Days::new(1);
    log.buckets(&Period::Days(yesterday..=today), |_| Ok(true))?;
    Ok(read_before(log, context).0)
}

/// The last 24 hours of the clock, with the current one last, and the busiest of them, from the buckets that were read.
pub(super) fn read_before(log: &Log, context: &ShowContext) -> (Vec<ChartHour>, Option<Busiest>) {
    let this = context.now.timestamp().div_euclid(3_600) * 3_600;
    // In zones whose offset has half hours, the hours of the clock begin at half past UTC.
    let offset = i64::from(local(context.zone, context.now).offset().local_minus_utc());
    let into = offset.rem_euclid(3_600);
    let this = if this + 3_600 - into <= context.now.timestamp() { this + 3_600 - into } else { this - into };
    let at = |seconds: i64| DateTime::<Utc>::from_timestamp(seconds, 0).unwrap_or(context.now);
    let mut hours = Vec::new();
    let mut busiest: Option<Busiest> = None;
    for back in (0..24).rev() {
        let start = at(this - back * 3_600);
        let part = log.briefs().between(start, (start + TimeDelta::hours(1)).min(context.now));
        let local = local(context.zone, start);
        let bytes = (part.covered > 0).then_some((part.in_bytes, part.out_bytes));
        hours.push(ChartHour { label: local.format("%H").to_string(), bytes });
        let this = Busiest { start: local, bytes: part.in_bytes + part.out_bytes, seconds: part.covered };
        // a/b > c/d without division. An hour of which little was measured is ignored.
        let is_busier = |than: &Busiest| {
            this.bytes.saturating_mul(than.seconds.into()) > than.bytes.saturating_mul(this.seconds.into())
        };
        if this.seconds >= 600 && busiest.as_ref().is_none_or(is_busier) {
            busiest = Some(this);
        }
    }
    (hours, busiest)
}
