//! PURE: port-traffic-dog's `config.json`: its ports with their remarks, quotas and reset days.
//!
//! It has no users, so a port's remark is taken for its owner. Its billing modes (one direction or both) correspond to
//! `report.billed`; its bandwidth limits are ignored.

use serde_json::Value;

use super::{Format, FormatError, tree};
use crate::ledger::units;
use crate::ports::{Claim, Complaint, Detail, ListPosition, Listed, PanelQuota, QuotaPeriod};

const EXPECTED: &str = "a JSON object with `ports`, an object whose keys are ports";

/// Reads `/etc/port-traffic-dog/config.json`.
pub struct PortTrafficDog;

impl Format for PortTrafficDog {
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError> {
        let root = tree::json(text, EXPECTED)?;
        let ports = match tree::object(&root, EXPECTED)?.get("ports") {
            Some(Value::Object(ports)) => ports,
            other => {
                let found = other.map_or("no `ports`", tree::kind);
                return Err(FormatError::Shape { expected: EXPECTED, found });
            }
        };
        let mut listed = Listed::default();
        for (index, (key, settings)) in ports.iter().enumerate() {
            let row = ListPosition::named("port", Some(key), index);
            let ranges = match tree::ranges(&Value::String(key.clone())) {
                Ok(ranges) => ranges,
                Err(error) => {
                    listed.complain(Complaint::Port { row, error });
                    continue;
                }
            };
            let quota = quota(settings, &row, &mut listed);
            let remark = tree::text(settings, "remark");
            for port in ranges.into_iter().flatten() {
                let detail = Detail { label: remark.map(str::to_owned), quota, expires_at: None };
                listed.add(port, Claim { owner: remark.map(str::to_owned), detail });
            }
        }
        Ok(listed)
    }
}

/// The quota of a port, or of all ports of a range together.
fn quota(settings: &Value, row: &ListPosition, listed: &mut Listed) -> Option<PanelQuota> {
    let quota = settings.get("quota")?;
    if quota.get("enabled").and_then(Value::as_bool) == Some(false) {
        return None;
    }
    let limit = tree::text(quota, "monthly_limit")?;
    if limit.eq_ignore_ascii_case("unlimited") {
        return None;
    }
    let Some(bytes) = binary_bytes(limit) else {
        listed.complain(Complaint::Quota { row: row.clone(), found: limit.to_owned() });
        return None;
    };
    Some(PanelQuota { bytes, period: period(quota) })
}

/// The period of a quota. Newer versions keep the kind of reset and its day in `reset_policy`; older ones have only the
/// day, in `reset_day`. If that is null, nothing is reset automatically.
fn period(quota: &Value) -> QuotaPeriod {
    let policy = quota.get("reset_policy");
    let kind = policy.and_then(|policy| policy.as_str().or_else(|| tree::text(policy, "type")));
    let day = policy.and_then(|policy| policy.get("day")).or_else(|| quota.get("reset_day"));
    if kind.is_some_and(|kind| kind != "monthly") || (kind.is_none() && day.is_some_and(Value::is_null)) {
        return QuotaPeriod::Unlimited;
    }
    let day = day.and_then(Value::as_u64).and_then(|day| u8::try_from(day).ok());
    QuotaPeriod::Month { first_day: day.filter(|day| (1..=31).contains(day)) }
}

/// Parses a limit whose `GB` means 2^30 bytes.
pub(super) fn binary_bytes(limit: &str) -> Option<u64> {
    let digits = limit.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = limit[digits.len()..].to_ascii_uppercase();
    let prefix = unit.strip_suffix('B').unwrap_or(&unit).trim_end_matches('I');
    let unit = if prefix.is_empty() { String::new() } else { format!("{prefix}iB") };
    units::parse_bytes(&format!("{digits}{unit}")).ok().filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests;
