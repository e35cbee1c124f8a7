//! PURE: the inbounds and endpoints of sing-box, in JSON with comments, in one file or a folder (`-C`).

use serde_json::Value;

use super::{Format, FormatError, tree};
use crate::ports::{Claim, Complaint, Detail, ListPosition, Listed, only_user};

const EXPECTED: &str = "a sing-box configuration: an object with `inbounds`";

/// The sections of such a configuration, by which it is recognized: in a folder, most files have no inbounds.
const SECTIONS: [&str; 11] = [
    "inbounds",
    "endpoints",
    "outbounds",
    "route",
    "log",
    "dns",
    "ntp",
    "experimental",
    "services",
    "certificate",
    "$schema",
];

/// Reads `config.json` of sing-box.
pub struct SingBox;

impl Format for SingBox {
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError> {
        let root = tree::json5(text, EXPECTED)?;
        let object = tree::object(&root, EXPECTED)?;
        if !SECTIONS.iter().any(|key| object.contains_key(*key)) {
            return Err(FormatError::Shape { expected: EXPECTED, found: "an object without `inbounds`" });
        }
        let mut listed = Listed::default();
        for (index, inbound) in tree::list(object, "inbounds", EXPECTED)?.iter().enumerate() {
            // Such an inbound takes what the kernel hands to it, and has no port to connect to.
            if !matches!(tree::text(inbound, "type"), Some("tun")) {
                let users = inbound.get("users").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                let name = |user| tree::name(user, "name").or_else(|| tree::name(user, "username"));
                add(&mut listed, "inbound", inbound, index, only_user(users.iter().map(name)));
            }
        }
        for (index, endpoint) in tree::list(object, "endpoints", EXPECTED)?.iter().enumerate() {
            // An endpoint without a port only connects to others.
            if endpoint.get("listen_port").is_some_and(|port| port.as_u64() != Some(0)) {
                add(&mut listed, "endpoint", endpoint, index, None);
            }
        }
        Ok(listed)
    }

    fn folder_extensions(&self) -> &'static [&'static str] {
        &["json"]
    }
}

fn add(listed: &mut Listed, kind: &'static str, entry: &Value, index: usize, owner: Option<String>) {
    let tag = tree::text(entry, "tag").or_else(|| tree::text(entry, "type"));
    let row = ListPosition::named(kind, tag, index);
    if tree::text(entry, "listen").is_some_and(super::is_loopback) {
        return;
    }
    match tree::port_of(&row, entry, "listen_port") {
        Ok(port) => {
            let detail = Detail { label: tag.map(str::to_owned), ..Detail::default() };
            listed.add(port, Claim { owner, detail });
        }
        Err(Complaint::NoPort { .. }) if entry.get("listen").is_none() => {
            // Neither an address nor a port: it listens on nothing.
        }
        Err(complaint) => listed.complain(complaint),
    }
}
