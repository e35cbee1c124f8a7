//! PURE: realm's forwarding rules, in TOML or JSON, in one file or a folder of them.

use serde_json::Value;

use super::{Format, FormatError, address, tree};
use crate::ports::{Claim, Complaint, Detail, ListPosition, Listed};

const EXPECTED: &str = "a realm configuration: `endpoints`, a list of tables with `listen`";

/// Reads `config.toml` or `config.json` of realm.
pub struct Realm;

impl Format for Realm {
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError> {
        let root = tree::json5_or(tree::toml, text, EXPECTED)?;
        let object = tree::object(&root, EXPECTED)?;
        if !["endpoints", "listening_ports", "log", "dns", "network"].iter().any(|key| object.contains_key(*key)) {
            return Err(FormatError::Shape { expected: EXPECTED, found: "something without `endpoints`" });
        }
        let mut listed = Listed::default();
        for (index, endpoint) in tree::list(object, "endpoints", EXPECTED)?.iter().enumerate() {
            let remark = tree::text(endpoint, "remark").or_else(|| tree::text(endpoint, "name"));
            let row = ListPosition::named("endpoint", remark, index);
            let Some(listen) = endpoint.get("listen") else {
                listed.complain(Complaint::NoPort { row, key: "listen" });
                continue;
            };
            let (host, ports) = address::split(listen);
            if host.is_some_and(super::is_loopback) {
                continue;
            }
            let claim = Claim {
                owner: remark.map(str::to_owned),
                detail: Detail { label: tree::text(endpoint, "remote").map(str::to_owned), ..Detail::default() },
            };
            listed.add_ranges(&row, address::ranges(ports), &claim);
        }
        if !listens_here_only(object.get("listening_addresses")) {
            old_listening_ports(&mut listed, object.get("listening_ports"));
        }
        Ok(listed)
    }

    fn folder_extensions(&self) -> &'static [&'static str] {
        &["toml", "json"]
    }
}

/// Whether all addresses of version 1, which has them in a separate key, are loopback addresses.
fn listens_here_only(addresses: Option<&Value>) -> bool {
    let addresses = addresses.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    !addresses.is_empty() && addresses.iter().all(|address| address.as_str().is_some_and(super::is_loopback))
}

/// Version 1: `listening_ports = ["8080-8088", "443"]`, and one `listening_addresses` for all of them.
fn old_listening_ports(listed: &mut Listed, ports: Option<&Value>) {
    let ports = ports.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (index, port) in ports.iter().enumerate() {
        listed.add_ranges(&ListPosition::named("listening_ports", None, index), tree::ranges(port), &Claim::default());
    }
}

#[cfg(test)]
mod tests;
