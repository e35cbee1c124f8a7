//! PURE: the services of gost v3, in YAML or JSON, with the quotas that they refer to.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::port_traffic_dog::binary_bytes;
use super::{Format, FormatError, address, tree};
use crate::ports::{Claim, Complaint, Detail, ListPosition, Listed, PanelQuota, QuotaPeriod, only_user};

const EXPECTED: &str = "a gost configuration: `services`, a list of tables with `addr`";

/// Listeners without a port on this host: they listen at the far end of a tunnel, or on a device.
const ELSEWHERE: [&str; 5] = ["rtcp", "rudp", "tun", "tap", "unix"];

/// Reads `gost.yml` or `gost.json`.
pub struct Gost;

impl Format for Gost {
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError> {
        let root = tree::json5_or(tree::yaml, text, EXPECTED)?;
        let object = tree::object(&root, EXPECTED)?;
        if !object.contains_key("services") {
            return Err(FormatError::Shape { expected: EXPECTED, found: "something without `services`" });
        }
        let quotas = tree::list(object, "quotas", EXPECTED)?;
        let mut listed = Listed::default();
        for (index, service) in tree::list(object, "services", EXPECTED)?.iter().enumerate() {
            let name = tree::text(service, "name");
            let row = ListPosition::named("service", name, index);
            let kind = service.get("listener").and_then(|listener| tree::text(listener, "type"));
            if kind.is_some_and(|kind| ELSEWHERE.contains(&kind)) {
                continue;
            }
            let Some(listen) = service.get("addr").filter(|addr| !addr.is_null()) else {
                listed.complain(Complaint::NoPort { row, key: "addr" });
                continue;
            };
            let (host, ports) = address::split(listen);
            if host.is_some_and(super::is_loopback) {
                continue;
            }
            let mut detail = Detail { label: name.map(str::to_owned), ..Detail::default() };
            take_quota(&mut detail, service, quotas, &row, &mut listed);
            let owner = service.get("handler").and_then(|handler| owner(handler, object.get("authers")));
            listed.add_ranges(&row, address::ranges(ports), &Claim { owner, detail });
        }
        Ok(listed)
    }

    fn folder_extensions(&self) -> &'static [&'static str] {
        &["yml", "yaml", "json"]
    }
}

/// The only user of a service, from its own `auth` or from the `authers` that it names.
fn owner(handler: &Value, authers: Option<&Value>) -> Option<String> {
    if let Some(auth) = handler.get("auth") {
        return tree::name(auth, "username");
    }
    let named = handler.get("authers").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let names = || named.iter().filter_map(Value::as_str).chain(tree::text(handler, "auther"));
    let is_named =
        |auther: &&Value| tree::text(auther, "name").is_some_and(|name| names().any(|wanted| wanted == name));
    let authers = authers.and_then(Value::as_array)?.iter().filter(is_named);
    let users = authers.filter_map(|auther| auther.get("auths")?.as_array()).flatten();
    only_user(users.map(|user| tree::name(user, "username")))
}

/// Takes the first quota of a service that the file defines.
fn take_quota(detail: &mut Detail, service: &Value, quotas: &[Value], row: &ListPosition, listed: &mut Listed) {
    let names = service.get("quotas").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let single = tree::text(service, "quota");
    let is_named = |quota: &&Value| {
        let name = tree::text(quota, "name");
        name.is_some() && (name == single || names.iter().any(|wanted| wanted.as_str() == name))
    };
    let Some(quota) = quotas.iter().find(is_named) else { return };
    if let Some(limit) = tree::text(quota, "limit") {
        // As in all sizes of gost, `GB` means 2^30 bytes, and no or fewer bytes mean no limit.
        match binary_bytes(limit) {
            Some(bytes) => detail.quota = Some(PanelQuota { bytes, period: QuotaPeriod::Unlimited }),
            None if limit.starts_with(['0', '-']) => {}
            None => listed.complain(Complaint::Quota { row: row.clone(), found: limit.to_owned() }),
        }
    }
    if let Some(time) = tree::text(quota, "expiresAt") {
        match DateTime::parse_from_rfc3339(time) {
            Ok(time) => detail.expires_at = Some(time.with_timezone(&Utc)),
            Err(_) => listed.complain(Complaint::Expiry { row: row.clone(), found: time.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests;
