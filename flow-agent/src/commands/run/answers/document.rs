//! PURE: the document of `/v1/now`, from a reading and what the log says before it.

use std::collections::BTreeMap;

use super::books::Books;
use super::log_sums::{LogSums, Usage};
use crate::commands::run::asks::Snapshot;
use crate::config::Config;
use crate::ledger::block::HourBlock;
use crate::ledger::calendar::{Month, local};
use crate::ledger::counters::Counters;
use crate::ledger::forecast;
use crate::ledger::now::{Now, OpenBucket, PortNow, Rates, UserNow, VERSION};
use crate::ledger::reading::Moment;
use crate::ledger::record::{BackendKind, CountMode};
use crate::ledger::user::User;

/// The answer to `/v1/now`. `books`: what the log said up to the bucket before those of `snapshot`; `since`: when the agent
/// started; `rates`: in the order of the ports.
pub fn now(config: &Config, since: Moment, snapshot: &Snapshot, books: &Books, rates: &[(u16, Rates)]) -> Now {
    let (zone, sealed) = (config.timezone, &books.sums);
    let HourBlock { lines, seal } = &snapshot.open;
    // What is sealed, and not yet on disk, and what is open: few lines beside those of the log.
    let mut recent =
        LogSums { ports: BTreeMap::new(), users: BTreeMap::new(), through: 0, damages: 0, dates: sealed.dates };
    snapshot.waiting.iter().for_each(|bucket| recent.add_bucket(bucket));
    recent.add_bucket(&snapshot.open);
    let ports = lines.iter().map(|line| {
        let usage = plus(sealed.ports.get(&line.port), recent.ports.get(&line.port));
        PortNow {
            port: line.port,
            user: line.user.clone(),
            open: line.counters(),
            total: line.total.map(Counters::from_array),
            today: Some(usage.today),
            month: Some(usage.month),
            rate: rate_of(rates, line.port),
        }
    });
    Now {
        v: VERSION,
        node: config.node.clone(),
        at: local(zone, snapshot.state.at.wall),
        zone: zone.name().to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        backend: seal.backend.unwrap_or(BackendKind::Ebpf),
        count: seal.count.unwrap_or(CountMode::Ip),
        epoch: seal.epoch.clone(),
        since: local(zone, since.wall),
        interfaces: seal.interfaces.clone(),
        attached: snapshot.state.attached,
        day: sealed.dates.today,
        billing_month: sealed.dates.month,
        open: OpenBucket {
            seq: seal.seq.unwrap_or_default(),
            start: seal.start,
            end_planned: local(zone, snapshot.planned_end),
            quality: seal.quality,
            gaps: seal.gaps.clone(),
        },
        last_seal: snapshot.state.last_seal,
        waiting: snapshot.state.waiting,
        damages: sealed.damages,
        ports: ports.collect(),
        users: users(config, snapshot, books, &recent, rates),
        other: seal.other,
        other_total: seal.other_total.unwrap_or_default(),
        devices: seal.devices.clone(),
    }
}

fn rate_of(rates: &[(u16, Rates)], port: u16) -> Rates {
    rates.binary_search_by_key(&port, |(port, _)| *port).map(|at| rates[at].1).unwrap_or_default()
}

fn users(
    config: &Config,
    snapshot: &Snapshot,
    books: &Books,
    recent: &LogSums,
    rates: &[(u16, Rates)],
) -> Vec<UserNow> {
    let mut users: BTreeMap<&str, UserNow> = BTreeMap::new();
    let sealed = &books.sums;
    let seconds_left = sealed.dates.seconds_left(config.timezone, snapshot.state.at.wall);
    let named = snapshot.state.users.iter().filter(|user| user.is_on(&config.node));
    let with_quota = named.clone().filter_map(|user| Some((user.name.as_str(), (user, user.quota_on(&config.node)?))));
    let with_quota: BTreeMap<&str, (&User, u64)> = with_quota.collect();
    let names =
        named.map(|user| user.name.as_str()).chain(sealed.users.keys().chain(recent.users.keys()).map(String::as_str));
    for name in names {
        users.entry(name).or_insert_with(|| {
            let usage = plus(sealed.users.get(name), recent.users.get(name));
            UserNow {
                user: name.to_owned(),
                ports: Vec::new(),
                today: Some(usage.today),
                month: Some(usage.month),
                rate: Rates::default(),
                forecast: forecast::month(usage.month.bytes().into(), &books.recent.of(name), seconds_left)
                    .and_then(|bytes| u64::try_from(bytes).ok()),
                quota: with_quota.get(name).map(|(_, quota)| *quota),
                used: with_quota.get(name).and_then(|(user, _)| used(user, sealed.dates.month, usage.month)),
                state: None,
                blocked: None,
            }
        });
    }
    for line in &snapshot.open.lines {
        if let Some(user) = line.user.as_deref().and_then(|name| users.get_mut(name)) {
            let rate = rate_of(rates, line.port);
            user.rate = if user.ports.is_empty() { rate } else { user.rate.plus(rate) };
            user.ports.push(line.port);
        }
    }
    users.into_values().collect()
}

/// Bytes of the quota that are used, both ways. `None` where something was used before flow-agent counted, and the
/// configuration does not say in which month.
fn used(user: &User, month: Month, counted: Counters) -> Option<u64> {
    if user.used.is_some_and(|before| before.month.is_none()) {
        return None;
    }
    Some(counted.bytes().saturating_add(user.used_before(month, None)))
}

fn plus(one: Option<&Usage>, other: Option<&Usage>) -> Usage {
    let (one, other) = (one.copied().unwrap_or_default(), other.copied().unwrap_or_default());
    Usage { today: one.today.saturating_add(other.today), month: one.month.saturating_add(other.month) }
}
