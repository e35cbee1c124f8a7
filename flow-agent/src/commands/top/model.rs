//! PURE: makes the rows of `top` from the agent's answers.

use chrono::{DateTime, FixedOffset};

use crate::ledger::counters::{Counters, Flow};
use crate::ledger::now::{Now, QuotaStanding, Rates};
use crate::ledger::record::BackendKind;
use crate::render::screen::printable;

/// What a row is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowKey {
    Port(u16),
    User(String),
}

/// A port or a user.
#[derive(Clone, Debug)]
pub struct TopEntry {
    pub key: RowKey,
    /// Control and other hidden characters are replaced, so it is safe to print.
    pub name: String,
    /// The owner of a port, safe to print; empty if it has none, and for users.
    pub owner: String,
    /// The text that the filter searches, in lower case.
    search: String,
    pub ports: Vec<u16>,
    pub rates: Rates,
    pub open: Option<Counters>,
    pub today: Option<Counters>,
    pub month: Option<Counters>,
    pub forecast: Option<u64>,
    /// The bytes that are used, and the quota.
    pub quota: Option<(u64, u64)>,
    pub state: Option<QuotaStanding>,
    /// What was refused: for a port in the open bucket, for a user today.
    pub blocked: Option<Flow>,
}

impl TopEntry {
    /// Incoming bytes a second over about the last second, or over the shortest longer time that is known.
    pub fn rate_in(&self) -> Option<u64> {
        self.rates.in_1s.or(self.rates.in_10s).or(self.rates.in_60s)
    }

    /// Outgoing bytes a second over the same time.
    pub fn rate_out(&self) -> Option<u64> {
        self.rates.out_1s.or(self.rates.out_10s).or(self.rates.out_60s)
    }

    /// Both directions together.
    pub fn rate(&self) -> Option<u64> {
        self.rate_in()?.checked_add(self.rate_out()?)
    }

    /// Whether the row's name, owner or one of its ports contains `filter`, which must be in lower case.
    pub fn matches(&self, filter: &str) -> bool {
        filter.is_empty() || self.search.contains(filter)
    }
}

/// One answer of the agent.
#[derive(Clone, Debug)]
pub struct TopSnapshot {
    pub node: String,
    pub at: DateTime<FixedOffset>,
    pub backend: BackendKind,
    pub interfaces: Vec<String>,
    pub attached: bool,
    /// The rates of all ports together; `None` before the second reading.
    pub rate_in: Option<u64>,
    pub rate_out: Option<u64>,
    pub ports: Vec<TopEntry>,
    pub users: Vec<TopEntry>,
}

impl TopSnapshot {
    /// The rows of an answer.
    pub fn of(now: Now) -> Self {
        let port = |port: crate::ledger::now::PortNow| {
            let owner = port.user.as_deref().map(printable).unwrap_or_default();
            TopEntry {
                name: port.port.to_string(),
                search: format!("{} {}", port.port, owner.to_lowercase()),
                owner,
                key: RowKey::Port(port.port),
                ports: vec![port.port],
                rates: port.rate,
                open: Some(port.open),
                today: port.today,
                month: port.month,
                forecast: None,
                quota: None,
                state: None,
                blocked: port.blocked,
            }
        };
        let user = |user: crate::ledger::now::UserNow| {
            let name = printable(&user.user);
            let ports: Vec<String> = user.ports.iter().map(u16::to_string).collect();
            TopEntry {
                search: format!("{} {}", name.to_lowercase(), ports.join(" ")),
                name,
                owner: String::new(),
                key: RowKey::User(user.user),
                ports: user.ports,
                rates: user.rate,
                open: None,
                today: user.today,
                month: user.month,
                forecast: user.forecast,
                quota: user.used.zip(user.quota),
                state: user.state,
                blocked: user.blocked,
            }
        };
        let ports: Vec<TopEntry> = now.ports.into_iter().map(port).collect();
        let sum = |of: fn(&TopEntry) -> Option<u64>| {
            let known = ports.iter().filter_map(of);
            // A port that was just added has no rate yet and is left out. Without any rate, the sum is unknown.
            ports.iter().any(|row| of(row).is_some()).then(|| known.fold(0_u64, u64::saturating_add))
        };
        Self {
            node: now.node,
            at: now.at,
            backend: now.backend,
            interfaces: now.interfaces,
            attached: now.attached,
            rate_in: sum(TopEntry::rate_in),
            rate_out: sum(TopEntry::rate_out),
            users: now.users.into_iter().map(user).collect(),
            ports,
        }
    }
}
