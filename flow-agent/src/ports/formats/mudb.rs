//! PURE: `mudb.json`, the users of a multi-user proxy: a JSON array of objects with at least `port` and `user`.
//!
//! Its writer truncates it and rewrites it in place, so an incomplete file is common. It is an error here, and the
//! caller keeps the last good list. `transfer_enable` is the user's quota. An entry with `enable` 0 is counted like any
//! other, because an operator wants to know about traffic on a port that should be silent. In single-port mode, entries
//! with a port above 65535 are user ids, on which nothing listens.

use serde::Deserialize;
use serde_json::Value;

use super::{Format, FormatError, tree};
use crate::ports::{Claim, Complaint, Detail, ListPosition, Listed, PanelQuota, QuotaPeriod, without_mark};

const EXPECTED: &str = "a JSON array of objects with `port` and `user`";

/// Reads `mudb.json`.
pub struct Mudb;

/// The keys that are kept in memory.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    port: Value,
    #[serde(default)]
    user: Value,
    #[serde(default)]
    transfer_enable: Value,
}

impl Format for Mudb {
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError> {
        let entries: Vec<Entry> =
            serde_json::from_slice(without_mark(text)).map_err(|source| match source.is_eof() {
                true => FormatError::Torn { line: source.line() },
                false => FormatError::Json { expected: EXPECTED, source },
            })?;
        if !entries.is_empty() && entries.iter().all(|entry| !entry.port.is_number() && !entry.port.is_string()) {
            return Err(FormatError::NoRowFits { rows: entries.len(), expected: EXPECTED });
        }
        let mut listed = Listed::default();
        for (index, Entry { port, user, transfer_enable }) in entries.into_iter().enumerate() {
            let name = match user {
                Value::String(name) => Some(name),
                Value::Number(number) => Some(number.to_string()),
                Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
            };
            let row = ListPosition::named("user", name.as_deref(), index);
            match port {
                Value::Null => listed.complain(Complaint::NoPort { row, key: "port" }),
                port => match tree::port(&port) {
                    Ok(port) => {
                        let quota = quota(&transfer_enable, &row, &mut listed);
                        listed.add(port, Claim { owner: name, detail: Detail { quota, ..Detail::default() } });
                    }
                    Err(error) => listed.complain(Complaint::Port { row, error }),
                },
            }
        }
        Ok(listed)
    }
}

/// The quota in bytes, which lasts until somebody resets the proxy's own counters.
fn quota(transfer_enable: &Value, row: &ListPosition, listed: &mut Listed) -> Option<PanelQuota> {
    if transfer_enable.is_null() {
        return None;
    }
    let text = || transfer_enable.as_str().and_then(|text| text.trim().parse().ok());
    let bytes = transfer_enable.as_u64().or_else(text);
    if bytes.is_none() {
        listed.complain(Complaint::Quota { row: row.clone(), found: transfer_enable.to_string() });
    }
    bytes.map(|bytes| PanelQuota { bytes, period: QuotaPeriod::Unlimited })
}

#[cfg(test)]
mod tests;
