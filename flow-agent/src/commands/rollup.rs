//! `flow-agent rollup`: makes the daily logs from the hourly ones. They are derived data, and can be made again at any
//! time.

mod day_so_far;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

pub use day_so_far::DaySoFar;

use super::{Common, output};
use crate::clock;
use crate::config::Config;
use crate::exit::{Code, Failure};
use crate::ledger::block::DayBlock;
use crate::ledger::calendar::{self, Month};
use crate::ledger::date;
use crate::ledger::reading::Moment;
use crate::ledger::record::DaySeal;
use crate::ledger::rollup::{DayRollup, DayRules};
use crate::store::hours::{self, HourItem, Hours};
use crate::store::table::{DayOutcome, KeepReason, put_days};
use crate::store::{StateDir, StoreError};

/// Rebuild the daily logs from the hourly ones
///
/// A day is replaced as a whole, but not by one that covers less time, and not when its hourly log is gone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only the days of this billing month, as in 2026-10 [default: every day that has an hourly log]
    #[arg(long, value_name = "MONTH", conflicts_with = "day")]
    month: Option<Month>,
    /// Only this day, as in 2026-10-05
    #[arg(long, value_name = "DAY", value_parser = day)]
    day: Option<NaiveDate>,
    /// Let a day replace one that covers more time
    #[arg(long)]
    force: bool,
}

fn day(text: &str) -> Result<NaiveDate, String> {
    date::parse(text).ok_or_else(|| format!("{text:?} is not a day such as 2026-10-05"))
}

/// The result of a roll-up.
#[derive(Debug, Default)]
pub struct RolledUp {
    pub days: BTreeMap<NaiveDate, (DaySeal, DayOutcome)>,
    /// Damaged parts of the logs, as `file:line: why`.
    pub damages: Vec<String>,
}

/// Rolls up the days given by the arguments, and prints the outcome of each.
///
/// # Errors
/// Exit code 3 for the configuration, 5 for the files. The code is 6 after a completed roll-up in which a bucket was
/// rejected, or in which a day that is over is covered less than `report.min_coverage`.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let config = common.load()?;
    let now = clock::now();
    let mut days: BTreeSet<NaiveDate> = hours::covered_dates(&StateDir::new(&config.state_dir))?.into_keys().collect();
    if let Some(month) = args.month {
        let (first, last) = (month.first_day(config.month_start_day), month.last_day(config.month_start_day));
        days.retain(|day| (first..=last).contains(day));
    }
    days.retain(|day| args.day.is_none_or(|only| *day == only));
    if days.is_empty() {
        return Err(Failure::new(Code::Incomplete, anyhow::anyhow!("there is no hourly log for that time"))
            .help(format!("the hourly logs are in {}", config.state_dir.join("hourly").display())));
    }
    let rolled_up = roll_up(&config, &days, now, args.force, None)?;
    let today = calendar::local(config.timezone, now.wall).date_naive();
    let mut incomplete = !rolled_up.damages.is_empty();
    for (day, (seal, outcome)) in &rolled_up.days {
        output::print(&format!("{}\n", line(*day, seal, *outcome)))?;
        let covered = f64::from(seal.seconds_covered) / f64::from(seal.seconds_in_day.max(1));
        if *day < today && covered < config.report.min_coverage {
            incomplete = true;
            output::print(&format!(
                "{}\n",
                too_little(*day, seal.seconds_covered, seal.seconds_in_day, config.report.min_coverage)
            ))?;
        }
    }
    Ok(if incomplete { Code::Incomplete } else { Code::Done })
}

/// Rolls up `days`. Damaged parts of the hourly logs are logged as warnings, and listed in the day as gaps. With
/// `so_far`, only what was appended since the last time is read of the day that is not over; the result is the same.
///
/// # Errors
/// If the files cannot be read or written, or another roll-up is running.
pub fn roll_up(
    config: &Config,
    days: &BTreeSet<NaiveDate>,
    now: Moment,
    force: bool,
    mut so_far: Option<&mut DaySoFar>,
) -> Result<RolledUp, Failure> {
    let state = StateDir::new(&config.state_dir);
    let lock = state.lock_daily()?;
    let dates = hours::dates(&state)?;
    let mut rolled_up = RolledUp::default();
    let mut months: BTreeMap<Month, Vec<DayBlock>> = BTreeMap::new();
    let today = calendar::local(config.timezone, now.wall).date_naive();
    let rules = DayRules { node: config.node.clone(), zone: config.timezone, bucket: config.count.bucket };
    for day in days {
        let made = match so_far.as_deref_mut().filter(|so_far| *day == today || so_far.is_of(*day)) {
            Some(so_far) => so_far.make(&rules, &state, &dates, *day, now)?,
            None => None,
        };
        let block = match made {
            Some(block) => block,
            None => day_of(&rules, &state, &dates, *day, now, &mut rolled_up.damages)?,
        };
        months.entry(Month::of(*day)).or_default().push(block);
    }
    for blocks in months.into_values() {
        let seals: Vec<DaySeal> = blocks.iter().map(|block| block.seal.clone()).collect();
        let (outcomes, damages) = put_days(&lock, blocks, force)?;
        rolled_up.damages.extend(damages.iter().map(ToString::to_string));
        let seals = seals.into_iter().filter_map(|seal| Some((seal.day, (seal.clone(), *outcomes.get(&seal.day)?))));
        rolled_up.days.extend(seals);
    }
    rolled_up.damages.sort();
    rolled_up.damages.dedup();
    for damage in &rolled_up.damages {
        tracing::warn!("does not count: {damage}");
    }
    Ok(rolled_up)
}

/// Makes one day from its own file and from the newest file before it, whose last bucket may extend into the day.
fn day_of(
    rules: &DayRules,
    state: &StateDir,
    dates: &[NaiveDate],
    day: NaiveDate,
    now: Moment,
    damages: &mut Vec<String>,
) -> Result<DayBlock, StoreError> {
    let mut rollup = DayRollup::new(rules.clone(), day);
    let before = dates.iter().copied().filter(|date| *date < day).max().unwrap_or(day);
    for hour in Hours::read(state, before..=day)? {
        match hour? {
            HourItem::Bucket(bucket) => rollup.take(&bucket),
            HourItem::Damage(damage) => {
                if let Some(span) = damage.span {
                    rollup.reject(span, &damage.what);
                }
                damages.push(damage.to_string());
            }
            // The agent is writing it right now, or will repair it when it next starts.
            HourItem::Unfinished(_) => {}
        }
    }
    Ok(rollup.finish(now.wall))
}

/// Why the exit code is 6 although the day was rolled up.
fn too_little(day: NaiveDate, seconds_covered: u32, seconds_in_day: u32, min_coverage: f64) -> String {
    // Rounded down, so that only a whole day is 100 %.
    let covered = u64::from(seconds_covered) * 10_000 / u64::from(seconds_in_day.max(1));
    // Without the noise of binary fractions: 0.999 is 99.9 %.
    let least = (min_coverage * 1e8).round() / 1e6;
    let (percent, hundredths) = (covered / 100, covered % 100);
    format!("! {day}: {percent}.{hundredths:02} % measured, less than report.min_coverage ({least} %)")
}

/// One line about a day that was rolled up.
pub fn line(day: NaiveDate, seal: &DaySeal, outcome: DayOutcome) -> String {
    let outcome = match outcome {
        DayOutcome::Written | DayOutcome::Decreased { .. } => "written".to_owned(),
        DayOutcome::Unchanged => "unchanged".to_owned(),
        DayOutcome::Corrected { before, now } => {
            format!("written: it covers {now} s; the previous one covered {before} s")
        }
        DayOutcome::Kept(KeepReason::CoversMore { before, now }) => {
            format!("kept: the existing one covers {before} s, the new one only {now} s (see --force)")
        }
        DayOutcome::Kept(KeepReason::MadeLater { before }) => {
            format!("kept: the existing one was made later, at {before}")
        }
        DayOutcome::Kept(KeepReason::HasMoreBuckets { before, now }) => format!(
            "kept: the existing one was made from {before} buckets of counters, and the hourly log has only {now} of \
             them (see --force)"
        ),
        DayOutcome::Kept(KeepReason::HourlyGone) => "kept: its hourly log is gone".to_owned(),
    };
    format!(
        "{day}  {} of {} buckets  {} of {} s  {outcome}",
        seal.buckets_sealed, seal.buckets_expected, seal.seconds_covered, seal.seconds_in_day
    )
}

#[cfg(test)]
mod tests;
