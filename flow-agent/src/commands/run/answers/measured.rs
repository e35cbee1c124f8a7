//! PURE: makes the metrics from a reading and the sums of what was sealed before it.

use std::collections::BTreeMap;

use super::books::Books;
use super::standing::{self, Allowances, UserStanding};
use crate::answer::MetricsPorts;
use crate::commands::run::asks::AgentSnapshot;
use crate::config::Config;
use crate::ledger::block::HourBlock;
use crate::ledger::counters::Counters;
use crate::ledger::cumulative::Cumulative;
use crate::ledger::reading::Moment;
use crate::ledger::record::{BackendKind, CountMode};
use crate::ledger::user::User;
use crate::render::metrics::Metrics;

/// With more ports than this, ports have no series of their own unless `metrics.ports` names fewer, because every
/// series costs Prometheus memory.
const MOST_PORTS: usize = 2_000;

/// The metrics. `books` holds the log up to the bucket before those of `snapshot`.
pub fn metrics(since: Moment, snapshot: &AgentSnapshot, books: &Books, allowances: &Allowances) -> Metrics {
    let about = &snapshot.state.about;
    let config = about.config.as_ref();
    let seal = &snapshot.open.seal;
    // What is not on disk yet is added to what is.
    let mut recent = Cumulative::begin(0, books.sums.dates.today);
    snapshot.waiting.iter().for_each(|bucket| recent.add_bucket(bucket));
    recent.add_bucket(&snapshot.open);
    let empty = Cumulative::begin(0, books.sums.dates.today);
    let sealed = books.ever.as_ref().unwrap_or(&empty);
    let (ports, watched) = ports(config, snapshot, books, sealed, &recent);
    let users = users(config, &about.users, books, sealed, &recent);
    let unsealed: Vec<&HourBlock> = snapshot.waiting.iter().chain([&snapshot.open]).collect();
    let month = books.sums.users_with(&unsealed);
    let standing = about.users.iter().filter(|user| user.is_on(&config.node)).map(|user| {
        let counted = month.get(&user.name).copied().unwrap_or_default();
        (user.name.as_str(), standing::of(about, allowances, books.sums.dates, user, counted))
    });
    let standing: BTreeMap<&str, UserStanding> = standing.collect();
    let used = |user: &String| match standing.get(user.as_str()) {
        Some(standing) => standing.used,
        None => config.report.billed.bytes(month.get(user).copied().unwrap_or_default()),
    };
    let used = users.iter().map(|(user, _)| (user.clone(), used(user)));
    let quotas = standing.iter().filter_map(|(user, standing)| Some(((*user).to_owned(), standing.quota?)));
    Metrics {
        node: config.node.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        backend: match seal.backend {
            Some(BackendKind::Nftables) => "nftables".to_owned(),
            Some(BackendKind::Iptables) => "iptables".to_owned(),
            Some(BackendKind::Ebpf) | None => "ebpf".to_owned(),
        },
        count: match seal.count {
            Some(CountMode::Wire) => "wire".to_owned(),
            Some(CountMode::Ip) | None => "ip".to_owned(),
        },
        started_at: since.wall.timestamp(),
        last_seal: snapshot.state.last_seal.map(|at| at.timestamp()),
        shipped: None,
        attached: snapshot.state.attached,
        interfaces: seal.interfaces.clone(),
        waiting_buckets: snapshot.state.waiting.into(),
        damages: books.sums.damages.into(),
        watched_ports: watched as u64,
        ports_left_out: watched.saturating_sub(ports.len()) as u64,
        ports,
        used: used.collect(),
        quotas: quotas.collect(),
        users,
        other: sealed.other.saturating_add(recent.other),
        gap_seconds: sealed.gap_seconds.saturating_add(recent.gap_seconds),
        complaints: complaints(snapshot),
    }
}

/// The ports that have series of their own, and the number of ports that are counted. A port that is no longer counted
/// keeps its series until the end of the month, so that its last traffic is scraped.
fn ports(
    config: &Config,
    snapshot: &AgentSnapshot,
    books: &Books,
    sealed: &Cumulative,
    recent: &Cumulative,
) -> (Vec<(u16, Counters)>, usize) {
    let watched = snapshot.open.lines.iter().filter(|line| !line.closed).count();
    let mut ports: Vec<u16> = recent.ports().chain(books.sums.ports.keys().copied()).collect();
    ports.sort_unstable();
    ports.dedup();
    match &config.answer.ports {
        MetricsPorts::All if watched > MOST_PORTS => ports.clear(),
        MetricsPorts::All => {}
        MetricsPorts::These(these) => ports.retain(|port| these.contains(port)),
    }
    let sum = |port| (port, sealed.port(port).saturating_add(recent.port(port)));
    (ports.into_iter().map(sum).collect(), watched)
}

/// The users of the configuration, and everybody else whose ports moved something this month.
fn users(
    config: &Config,
    configured: &[User],
    books: &Books,
    sealed: &Cumulative,
    recent: &Cumulative,
) -> Vec<(String, Counters)> {
    let named = configured.iter().filter(|user| user.is_on(&config.node)).map(|user| user.name.as_str());
    let names = named.chain(books.sums.users.keys().map(String::as_str)).chain(recent.users().map(|(name, _)| name));
    let mut users: BTreeMap<&str, Counters> = names.map(|name| (name, Counters::default())).collect();
    for (name, counters) in sealed.users().chain(recent.users()) {
        if let Some(sum) = users.get_mut(name) {
            *sum = sum.saturating_add(counters);
        }
    }
    users.into_iter().map(|(name, counters)| (name.to_owned(), counters)).collect()
}

fn complaints(snapshot: &AgentSnapshot) -> Vec<(String, u64)> {
    let complaints = snapshot.state.about.complaints.iter();
    complaints.map(|(path, count)| (path.display().to_string(), *count as u64)).collect()
}
