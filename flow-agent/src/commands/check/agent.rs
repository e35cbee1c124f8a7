//! Section agent: whether an agent runs here, and whether it reads the counters.

use chrono::{DateTime, TimeDelta, Utc};

use super::finding::{Finding, Section, Status};
use super::service::ServiceManager;
use super::state;
use crate::config::Config;
use crate::ledger::calendar::local;
use crate::ledger::units::count;
use crate::store::hours::{self, HourItem, Hours};
use crate::store::{self, StateDir};

/// How much older than two buckets the newest reading may be: an agent that has just started closes the old bucket
/// first.
const PATIENCE: TimeDelta = TimeDelta::minutes(1);

/// Whether this machine only gathers: it has nodes, is none of them, and `[ports]` names nothing to count.
pub(super) fn only_gathers(config: &Config) -> Option<Finding> {
    config.only_gathers().then(|| {
        let nodes = count(config.nodes.len(), "node");
        Finding::ok(Section::Agent, format!("this main node gathers from {nodes} and counts nothing itself"))
    })
}

/// Whether an agent counts for the state directory of `config`.
pub(super) fn finding(config: &Config, now: DateTime<Utc>) -> Option<Finding> {
    let state = StateDir::new(&config.state_dir);
    // If the kernel does not list its locks, only the age of the newest reading shows whether an agent runs.
    let runs = state::agent_runs(state.root()).unwrap_or(true);
    judge(config, runs, newest_reading(&state), now, ServiceManager::here())
}

/// `runs` says that an agent holds `run.lock`. Returns `None` while a running agent has not read anything yet.
fn judge(
    config: &Config,
    runs: bool,
    read_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    services: ServiceManager,
) -> Option<Finding> {
    let shown = |at: DateTime<Utc>| local(config.timezone, at).format("%Y-%m-%d %H:%M:%S");
    if !runs {
        let since = match read_at {
            Some(at) => format!("the counters were last read at {}", shown(at)),
            None => "nothing has been counted yet".to_owned(),
        };
        let what = format!("no agent is running for `{}`: {since}", config.state_dir.display());
        return Some(Finding::fail(Section::Agent, what).help(services.start().to_owned()));
    }
    let at = read_at?;
    let two_buckets = TimeDelta::seconds(2 * i64::from(config.count.bucket.seconds()));
    if now - at > two_buckets + PATIENCE {
        let what = format!("the counters have not been read since {}, more than two buckets ago", shown(at));
        return Some(Finding::fail(Section::Agent, what).help(format!(
            "read {}, then {}",
            services.log(),
            services.restart()
        )));
    }
    Some(Finding::ok(Section::Agent, format!("the counters were last read at {}", shown(at))))
}

/// Why this machine's agent does not count, and when it last read the counters; `None` if it counts, or never did.
pub(in crate::commands) fn dead(config: &Config, now: DateTime<Utc>) -> Option<(String, DateTime<Utc>)> {
    let failed = finding(config, now).filter(|finding| finding.status == Status::Fail)?;
    Some((failed.what, newest_reading(&StateDir::new(&config.state_dir))?))
}

/// When the counters were last read, according to the checkpoint and the newest seal. Files that are damaged or cannot
/// be read are findings of the section `state`.
fn newest_reading(state: &StateDir) -> Option<DateTime<Utc>> {
    let checkpoint = store::checkpoint::read(state).ok().flatten().map(|checkpoint| checkpoint.at.to_utc());
    let date = hours::dates(state).ok().and_then(|dates| dates.last().copied());
    let sealed = date.and_then(|date| Hours::read(state, date..=date).ok()).and_then(|hours| {
        let end = |hour| match hour {
            Ok(HourItem::Bucket(block)) => Some(block.seal.end.to_utc()),
            Ok(HourItem::Damage(_) | HourItem::Unfinished(_)) | Err(_) => None,
        };
        hours.filter_map(end).max()
    });
    checkpoint.max(sealed)
}

#[cfg(test)]
mod tests;
