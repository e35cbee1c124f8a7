//! PURE: the inbounds of 3x-ui and similar panels, from `x-ui.db`. An inbound with exactly one client belongs to that
//! client.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::Connection;
use serde_json::Value;

use super::sqlite::{self, Columns, PanelTables};
use super::{Format, FormatError, tree};
use crate::ports::{Claim, Complaint, Detail, ListPosition, Listed, PanelQuota, QuotaPeriod, spec};

/// Reads `x-ui.db`.
pub struct ThreeXUi;

impl Format for ThreeXUi {
    fn parse(&self, bytes: &[u8]) -> Result<Listed, FormatError> {
        sqlite::parse(bytes, self)
    }

    fn tables(&self) -> Option<&dyn PanelTables> {
        Some(self)
    }
}

/// The relevant fields of a client. The quota is in bytes, whatever its column or key is called.
#[derive(Clone, Default)]
struct Client {
    email: Option<String>,
    quota_bytes: i64,
    /// Milliseconds since 1970; a negative value is a duration from its first use.
    expires_ms: i64,
}

impl PanelTables for ThreeXUi {
    fn ports(&self, database: &Connection) -> Result<Listed, FormatError> {
        if !sqlite::has_table(database, "inbounds")? {
            return Err(FormatError::Shape { expected: "a database of 3x-ui", found: "no table `inbounds`" });
        }
        let clients = clients_by_inbound(database)?;
        let mut listed = Listed::default();
        sqlite::for_each(database, "SELECT * FROM inbounds ORDER BY id", |index, inbound| {
            let of_tables = inbound.integer("id").and_then(|id| clients.get(&id)).cloned();
            add(&mut listed, inbound, index, of_tables.unwrap_or_else(|| clients_in_settings(inbound)));
        })?;
        Ok(listed)
    }
}

/// The clients by inbound. Since version 3 they have tables of their own.
fn clients_by_inbound(database: &Connection) -> Result<BTreeMap<i64, Vec<Client>>, FormatError> {
    let mut clients: BTreeMap<i64, Vec<Client>> = BTreeMap::new();
    if sqlite::has_table(database, "clients")? && sqlite::has_table(database, "client_inbounds")? {
        let query = "SELECT client_inbounds.inbound_id AS of_inbound, clients.* FROM client_inbounds \
                     JOIN clients ON clients.id = client_inbounds.client_id ORDER BY clients.id";
        sqlite::for_each(database, query, |_, row| {
            let Some(inbound) = row.integer("of_inbound") else { return };
            clients.entry(inbound).or_default().push(Client {
                email: row.text("email"),
                quota_bytes: row.integer("total_gb").unwrap_or_default(),
                expires_ms: row.integer("expiry_time").unwrap_or_default(),
            });
        })?;
    }
    Ok(clients)
}

/// The clients in an inbound's settings, where older versions keep them, and also newer ones for some protocols.
fn clients_in_settings(inbound: &Columns<'_>) -> Vec<Client> {
    let settings = inbound.text("settings").and_then(|text| serde_json::from_str::<Value>(&text).ok());
    let settings = settings.unwrap_or_default();
    let list = |key| settings.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let clients = [list("clients"), list("users"), list("accounts")].concat();
    let number = |client: &Value, key: &str| client.get(key).and_then(Value::as_i64).unwrap_or_default();
    let client = |client: &Value| Client {
        email: tree::text(client, "email").or_else(|| tree::text(client, "user")).map(str::to_owned),
        quota_bytes: number(client, "totalGB"),
        expires_ms: number(client, "expiryTime"),
    };
    clients.iter().map(client).collect()
}

fn add(listed: &mut Listed, inbound: &Columns<'_>, index: usize, clients: Vec<Client>) {
    let remark = inbound.text("remark");
    let tag = inbound.text("tag");
    let row = ListPosition::named("inbound", remark.as_deref().or(tag.as_deref()), index);
    // Inbounds of other nodes, which this panel only manages.
    if inbound.integer("node_id").is_some_and(|node| node != 0) {
        return;
    }
    if inbound.text("listen").is_some_and(|listen| super::is_loopback(&listen) || listen.starts_with(['/', '@'])) {
        return;
    }
    let Some(port) = inbound.integer("port") else {
        return listed.complain(Complaint::NoPort { row, key: "port" });
    };
    let port = match spec::port(port.into()) {
        Ok(port) => port,
        Err(error) => return listed.complain(Complaint::Port { row, error }),
    };
    let only = match clients.as_slice() {
        [client] => Some(client),
        _ => None,
    };
    let (total, expires_ms) =
        (inbound.integer("total").unwrap_or_default(), inbound.integer("expiry_time").unwrap_or_default());
    // The panel stops the client at one and the inbound at the other.
    let client_bytes = only.map_or(0, |client| client.quota_bytes);
    let bytes = [client_bytes, total]
        .into_iter()
        .filter_map(|bytes| u64::try_from(bytes).ok().filter(|bytes| *bytes > 0))
        .min();
    let client_expires = only.map_or(0, |client| client.expires_ms);
    let expires_at = [client_expires, expires_ms].into_iter().filter(|ms| *ms > 0).min().and_then(instant);
    let quota = bytes.zip(period(inbound)).map(|(bytes, period)| PanelQuota { bytes, period });
    let owner = only.and_then(|client| client.email.clone().or_else(|| remark.clone()));
    listed.add(port, Claim { owner, detail: Detail { label: remark.or(tag), quota, expires_at } });
}

/// The period of a quota; `None` for periods that are not months, such as a day.
fn period(inbound: &Columns<'_>) -> Option<QuotaPeriod> {
    match inbound.text("traffic_reset").as_deref() {
        None | Some("never") => Some(QuotaPeriod::Unlimited),
        Some("monthly") => {
            let day = inbound.integer("traffic_reset_day").and_then(|day| u8::try_from(day).ok());
            Some(QuotaPeriod::Month { first_day: day.filter(|day| (1..=31).contains(day)) })
        }
        Some(_) => None,
    }
}

fn instant(ms: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(ms)
}
