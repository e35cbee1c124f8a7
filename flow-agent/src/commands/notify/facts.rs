//! The notices about nodes: gaps, nodes without news, agents that do not count, disks that are almost full, and hours
//! that do not reach ClickHouse.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};

use crate::commands::check::agent;
use crate::commands::limits::{self, UserStandings};
use crate::commands::ship::LAG;
use crate::config::Config;
use crate::errors::chain;
use crate::ledger::calendar;
use crate::ledger::limits::notice::{Notice, NoticeEvent, NoticeFacts, Subject};
use crate::ledger::month::Month;
use crate::ledger::record::Gap;
use crate::store::{StateDir, ship};

/// A node is reported if there is nothing newer than this from it.
const LONGEST_SILENCE: TimeDelta = TimeDelta::hours(24);

/// An agent is reported if it has not read its counters for this long. A restart or an upgrade takes less.
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(10);

/// A disk with less than 5 percent free is reported, unless at least this much is free.
const PLENTY_BYTES: u64 = 5 << 30;

/// A disk with less than this free is reported, whatever its size.
const LITTLE_BYTES: u64 = 256 << 20;

/// The notices about the nodes. `whys` says why nodes could not be gathered just now.
pub(super) fn of_nodes(
    config: &Config,
    standing: &UserStandings,
    whys: &BTreeMap<String, String>,
    now: DateTime<Utc>,
) -> Vec<Notice> {
    let mut notices = Vec::new();
    for node in &standing.report.nodes {
        let of_node = |event, day: NaiveDate| subject(config, event, &node.name, day);
        let gaps = standing.recent_gaps.get(&node.name).map(Vec::as_slice).unwrap_or_default();
        for (day, seconds, why) in gaps_by_day(config, gaps, standing.today) {
            let subject = Subject { level: gap_level(seconds), ..of_node(NoticeEvent::Gap, day) };
            notices.push(Notice { subject, facts: NoticeFacts::Gap { seconds, why } });
        }
        if limits::is_own_log(config, &node.name) {
            continue;
        }
        let newest = standing.newest.get(&node.name).copied();
        // If a node was never gathered, nothing is known since the first day of the month.
        let since = newest.unwrap_or_else(|| calendar::day_start(config.timezone, standing.first_day));
        if now - since > LONGEST_SILENCE {
            let day = calendar::local(config.timezone, since).date_naive();
            let newest = newest.map(|at| calendar::local(config.timezone, at));
            let facts = NoticeFacts::Node { newest, why: whys.get(&node.name).cloned() };
            notices.push(Notice { subject: of_node(NoticeEvent::Node, day), facts });
        }
    }
    if !config.only_gathers() {
        notices.extend(dead_agent(config, now));
    }
    notices.extend(full_disk(config, standing.today));
    notices.extend(unshipped(config, now));
    notices
}

fn subject(config: &Config, event: NoticeEvent, node: &str, day: NaiveDate) -> Subject {
    let month = Month::containing(day, config.month_start_day);
    Subject { month, user: None, event, level: None, node: Some(node.to_owned()), day: Some(day), quota_bytes: None }
}

/// How many minutes the gaps of a day must reach together to be reported once more on that day.
const GAP_MINUTES: [u32; 3] = [10, 60, 360];

/// The highest of [`GAP_MINUTES`] that gaps of so many seconds reach.
fn gap_level(seconds: u64) -> Option<u32> {
    GAP_MINUTES.into_iter().rev().find(|minutes| seconds >= u64::from(*minutes) * 60)
}

/// The seconds of yesterday and today that were not counted. Each second counts once, however many interfaces it
/// concerns.
fn gaps_by_day(config: &Config, gaps: &[Gap], today: NaiveDate) -> Vec<(NaiveDate, u64, String)> {
    let mut spans: Vec<_> = gaps.iter().map(|gap| (gap.start.to_utc(), gap.end.to_utc(), &gap.why)).collect();
    spans.sort();
    let mut days: BTreeMap<NaiveDate, (u64, String)> = BTreeMap::new();
    let mut seen_until = DateTime::<Utc>::MIN_UTC;
    for (start, end, why) in spans {
        let start = start.max(seen_until);
        seen_until = seen_until.max(end);
        let seconds = u64::try_from((end - start).num_seconds()).unwrap_or(0);
        let day = calendar::local(config.timezone, start).date_naive();
        if seconds > 0 && day + Days::new(1) >= today {
            days.entry(day).or_insert_with(|| (0, why.clone())).0 += seconds;
        }
    }
    days.into_iter().map(|(day, (seconds, why))| (day, seconds, why)).collect()
}

/// Reports that this machine's own agent should count and does not.
fn dead_agent(config: &Config, now: DateTime<Utc>) -> Option<Notice> {
    let (why, read_at) = agent::dead(config, now)?;
    if now - read_at < LONGEST_PAUSE {
        return None;
    }
    let newest = calendar::local(config.timezone, read_at);
    let facts = NoticeFacts::Node { newest: Some(newest), why: Some(why) };
    Some(Notice { subject: subject(config, NoticeEvent::Node, &config.node, newest.date_naive()), facts })
}

/// Reports that the file system of the state directory is almost full, once for every day on which it is.
fn full_disk(config: &Config, today: NaiveDate) -> Option<Notice> {
    let found = rustix::fs::statvfs(&config.state_dir).ok()?;
    let free_bytes = found.f_bavail.saturating_mul(found.f_frsize);
    let size_bytes = found.f_blocks.saturating_mul(found.f_frsize);
    let is_low = free_bytes < LITTLE_BYTES || free_bytes < PLENTY_BYTES && free_bytes < size_bytes / 20;
    let facts = NoticeFacts::Disk { free_bytes, size_bytes };
    is_low.then(|| Notice { subject: subject(config, NoticeEvent::Disk, &config.node, today), facts })
}

/// Reports hours of this machine that ClickHouse should have acknowledged long ago, once for each day since which they
/// are missing. Nothing is reported if `ship` was never started, or if there is nothing to send.
fn unshipped(config: &Config, now: DateTime<Utc>) -> Option<Notice> {
    let state = StateDir::new(&config.state_dir);
    config.fleet.as_ref().filter(|_| state.ship_dir().exists())?;
    // A damaged file is reported by `check` and by `ship` itself.
    let unsent = ship::unsent_from(&state)
        .inspect_err(|error| tracing::warn!("whether hours reach ClickHouse is not known: {}", chain(error)))
        .ok()??;
    let newest = ship::read(&state).ok()?.newest;
    let since = newest.map_or_else(|| calendar::day_start(config.timezone, unsent), |at| at.to_utc());
    let day = calendar::local(config.timezone, since).date_naive();
    let facts = NoticeFacts::Ship { newest };
    (now - since > LAG).then(|| Notice { subject: subject(config, NoticeEvent::Ship, &config.node, day), facts })
}

#[cfg(test)]
mod tests;
