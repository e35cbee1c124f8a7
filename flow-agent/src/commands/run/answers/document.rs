//! PURE: makes the document of `/v1/now` from a reading and the sums of the log before it.

use std::collections::BTreeMap;

use super::books::Books;
use super::log_sums::{LogSums, RecentUsage};
use super::standing::{self, Allowances};
use crate::commands::run::asks::AgentSnapshot;
use crate::ledger::block::HourBlock;
use crate::ledger::calendar::local;
use crate::ledger::counters::{Counters, Flow};
use crate::ledger::forecast;
use crate::ledger::now::{Now, OpenBucket, PortNow, Rates, UserNow, VERSION};
use crate::ledger::reading::Moment;
use crate::ledger::record::{BackendKind, CountMode};
use crate::ledger::user::User;

/// What the answer contains besides the reading.
pub struct KnownBesideReading<'a> {
    /// When the agent started.
    pub since: Moment,
    /// The sums of the log up to the bucket before those of the reading.
    pub books: &'a Books,
    pub allowances: &'a Allowances,
    /// In the order of the ports.
    pub rates: &'a [(u16, Rates)],
}

/// The answer to `/v1/now`.
pub fn now(snapshot: &AgentSnapshot, known: &KnownBesideReading<'_>) -> Now {
    let KnownBesideReading { since, books, rates, .. } = *known;
    let config = snapshot.state.about.config.as_ref();
    let (zone, sealed) = (config.timezone, &books.sums);
    let HourBlock { lines, seal } = &snapshot.open;
    // The sealed buckets that are not on disk yet, and the open one: few lines compared with the log.
    let mut recent = LogSums::new(sealed.dates);
    snapshot.waiting.iter().for_each(|bucket| recent.add_bucket(bucket));
    recent.add_bucket(&snapshot.open);
    let blocked: BTreeMap<u16, Flow> = seal.blocked.iter().collect();
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
            blocked: blocked.get(&line.port).copied(),
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
        users: users(snapshot, known, &recent),
        other: seal.other,
        other_total: seal.other_total.unwrap_or_default(),
        devices: seal.devices.clone(),
    }
}

fn rate_of(rates: &[(u16, Rates)], port: u16) -> Rates {
    rates.binary_search_by_key(&port, |(port, _)| *port).map(|at| rates[at].1).unwrap_or_default()
}

fn users(snapshot: &AgentSnapshot, known: &KnownBesideReading<'_>, recent: &LogSums) -> Vec<UserNow> {
    let about = &snapshot.state.about;
    let KnownBesideReading { books, allowances, rates, .. } = *known;
    let sealed = &books.sums;
    let seconds_left = sealed.dates.seconds_left(about.config.timezone, snapshot.state.at.wall);
    let configured = about.users.iter().filter(|user| user.is_on(&about.config.node));
    let configured: BTreeMap<&str, &User> = configured.map(|user| (user.name.as_str(), user)).collect();
    let counted = sealed.users.keys().chain(recent.users.keys()).map(String::as_str);
    let mut users: BTreeMap<&str, UserNow> = BTreeMap::new();
    for name in configured.keys().copied().chain(counted) {
        users.entry(name).or_insert_with(|| {
            let usage = plus(sealed.users.get(name), recent.users.get(name));
            let standing =
                configured.get(name).map(|user| standing::of(about, allowances, sealed.dates, user, usage.month));
            let billed = about.config.report.billed;
            // In the bytes of the quota, with those that were used before counting began.
            let so_far = standing.map_or_else(|| billed.bytes(usage.month), |standing| standing.used);
            let refused = [sealed.refused.get(name), recent.refused.get(name)];
            UserNow {
                user: name.to_owned(),
                ports: Vec::new(),
                today: Some(usage.today),
                month: Some(usage.month),
                rate: Rates::default(),
                forecast: forecast::month(so_far.into(), &books.recent.of(name, billed), seconds_left)
                    .and_then(|bytes| u64::try_from(bytes).ok()),
                quota: standing.and_then(|standing| standing.quota),
                used: standing.and_then(|standing| standing.quota.map(|_| standing.used)),
                state: standing.map(|standing| standing.state),
                blocked: refused.into_iter().flatten().copied().reduce(Flow::saturating_add),
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

fn plus(one: Option<&RecentUsage>, other: Option<&RecentUsage>) -> RecentUsage {
    let (one, other) = (one.copied().unwrap_or_default(), other.copied().unwrap_or_default());
    RecentUsage { today: one.today.saturating_add(other.today), month: one.month.saturating_add(other.month) }
}
