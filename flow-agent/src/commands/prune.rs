//! `flow-agent prune`: compresses the hourly logs of past days, and deletes those that are older than the configuration
//! keeps them. A running agent does the same after midnight.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{DateTime, NaiveDate, Utc};

use super::{Common, output};
use crate::clock;
use crate::config::Config;
use crate::errors::chain;
use crate::exit::{Code, Failure};
use crate::ledger::calendar;
use crate::ledger::month::Month;
use crate::ledger::units::Human;
use crate::store::retention::{self, RetentionAction, RetentionPlan};
use crate::store::ship;
use crate::store::{DailyLock, StateDir, StoreError};

/// Compress the hourly logs of past days, and delete what is older than `retention.hours`
///
/// A running agent does this after midnight. Daily and monthly logs are never deleted, and a day of the hourly log is
/// deleted only after its daily log is complete and intact.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only print what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Carries out `[retention]`, and prints each day with what was done.
///
/// # Errors
/// Exit code 3 for the configuration, 5 for the files, or if an agent is running, which does it by itself. The code is
/// 6 after a completed run that kept hours because the daily log that was made from them is damaged.
pub fn execute(common: &Common, args: Args) -> Result<Code, Failure> {
    let config = common.load()?;
    let state = StateDir::new(&config.state_dir);
    let RetentionPlan { steps, damaged } = plan(&config, clock::now().wall)?;
    for day in &damaged {
        tracing::warn!(
            file = %state.daily(Month::of(*day)).display(),
            %day,
            "the daily log has no intact block of this day, so the hours that it is made from are not deleted; run \
             `flow-agent rollup --day {day}`"
        );
    }
    let code = if damaged.is_empty() { Code::Done } else { Code::Incomplete };
    if steps.is_empty() {
        output::print("nothing to do\n")?;
        return Ok(code);
    }
    if args.dry_run {
        let mut text: String = steps.iter().map(|step| line(step.date, step.action, step.bytes, None)).collect();
        let sum = |action| steps.iter().filter(|step| step.action == action).map(|step| step.bytes).sum::<u64>();
        let (to_compress, to_delete) = (sum(RetentionAction::Compress), sum(RetentionAction::Delete));
        let _ = writeln!(text, "would compress {} and delete {}", bytes(to_compress), bytes(to_delete));
        output::print(&text)?;
        return Ok(code);
    }
    // A running agent holds this lock. Two processes must not do this at once, and no import may add to these days
    // meanwhile. One may have done so after the plan was made.
    let _run = state.lock_run()?;
    let daily = state.lock_daily()?;
    let RetentionPlan { steps, .. } = plan(&config, clock::now().wall)?;
    let (mut before, mut after) = (0, 0);
    let mut failed = None;
    for step in steps {
        match retention::carry_out(&daily, step) {
            Ok(left) => {
                output::print(&line(step.date, step.action, step.bytes, Some(left)))?;
                before += step.bytes;
                after += left;
            }
            Err(error) => note(step.date, error, &mut failed),
        }
    }
    output::print(&format!("{} became {}\n", bytes(before), bytes(after)))?;
    failed.map_or(Ok(code), |error| Err(error.into()))
}

/// What is to be done now according to `[retention]`.
///
/// # Errors
/// When the logs cannot be read.
pub fn plan(config: &Config, now: DateTime<Utc>) -> Result<RetentionPlan, StoreError> {
    let today = calendar::local(config.timezone, now).date_naive();
    let state = StateDir::new(&config.state_dir);
    let unsent_from = match &config.fleet {
        // If it cannot be read what was sent, everything is kept: without its state, `ship` sends everything again.
        Some(_) => ship::unsent_from(&state).unwrap_or(Some(NaiveDate::MIN)),
        None => None,
    };
    retention::plan(&state, config.timezone, today, config.retention, unsent_from)
}

/// Carries out `[retention]` and logs what was done. A running agent calls this on its thread for roll-ups. Returns the
/// days that have to be rolled up again because the daily log is damaged; the hours that they are made from are kept.
///
/// # Errors
/// When a file cannot be read, written or removed; the first such error, after all other days were dealt with. What was not
/// done is left to the next time.
pub fn prune(config: &Config, now: DateTime<Utc>) -> Result<BTreeSet<NaiveDate>, StoreError> {
    let RetentionPlan { steps, damaged } = plan(config, now)?;
    if steps.is_empty() {
        return Ok(damaged);
    }
    let lock: DailyLock = StateDir::new(&config.state_dir).lock_daily()?;
    // Another process may have rolled up days before it was locked.
    let RetentionPlan { steps, damaged } = plan(config, now)?;
    let mut failed = None;
    for step in steps {
        let left = match retention::carry_out(&lock, step) {
            Ok(left) => left,
            Err(error) => {
                note(step.date, error, &mut failed);
                continue;
            }
        };
        let (day, before, now) = (step.date, step.bytes, left);
        match step.action {
            RetentionAction::Compress => tracing::info!(%day, before, now, "compressed a day of the hourly log"),
            RetentionAction::Delete => {
                tracing::info!(%day, before, "deleted a day of the hourly log because of `retention.hours`")
            }
        }
    }
    failed.map_or(Ok(damaged), Err)
}

/// Logs why a day was left as it is, and keeps the first such error. The other days do not wait for it.
fn note(day: NaiveDate, error: StoreError, failed: &mut Option<StoreError>) {
    tracing::warn!(%day, "this day of the hourly log was neither compressed nor deleted: {}", chain(&error));
    failed.get_or_insert(error);
}

fn line(date: NaiveDate, action: RetentionAction, before: u64, after: Option<u64>) -> String {
    match after.filter(|_| action == RetentionAction::Compress) {
        Some(after) => format!("{date}  {action:8}  {} to {}\n", bytes(before), bytes(after)),
        None => format!("{date}  {action:8}  {}\n", bytes(before)),
    }
}

fn bytes(bytes: u64) -> String {
    Human(bytes.into()).to_string()
}
