//! PURE: hysteria2's server configuration in YAML: `listen` with its union of ports, and the users.
//!
//! The server binds the first port of a union and lets the firewall redirect the others to it. On the wire, packets
//! carry the port that the client chose, so all of them are counted, as one group of ports with one owner.

use serde_json::Value;

use super::{Format, FormatError, address, tree};
use crate::ports::{Claim, Detail, ListPosition, Listed};

const EXPECTED: &str = "a hysteria2 server configuration: `listen`, `auth` and `tls` or `acme`";

/// Where it listens by default.
const DEFAULT_LISTEN: &str = ":443";

/// Reads `/etc/hysteria/config.yaml`.
pub struct Hysteria2;

impl Format for Hysteria2 {
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError> {
        let root = tree::json5_or(tree::yaml, text, EXPECTED)?;
        let object = tree::object(&root, EXPECTED)?;
        // A client's configuration has `server`, and a client listens at most on loopback.
        if object.contains_key("server")
            || !["listen", "auth", "tls", "acme"].iter().any(|key| object.contains_key(*key))
        {
            return Err(FormatError::Shape { expected: EXPECTED, found: "something else" });
        }
        let mut listed = Listed::default();
        let default = Value::String(DEFAULT_LISTEN.to_owned());
        let listen = object.get("listen").filter(|listen| !listen.is_null()).unwrap_or(&default);
        let (host, ports) = address::split(listen);
        if host.is_some_and(super::is_loopback) {
            return Ok(listed);
        }
        let label = listen.as_str().map(|listen| format!("hysteria2 {listen}"));
        let claim = Claim { owner: owner(object.get("auth")), detail: Detail { label, ..Detail::default() } };
        listed.add_ranges(&ListPosition::named("key", Some("listen"), 0), address::ranges(ports), &claim);
        Ok(listed)
    }
}

/// The user in `auth.userpass` if there is exactly one.
fn owner(auth: Option<&Value>) -> Option<String> {
    let mut users = auth?.get("userpass")?.as_object()?.keys();
    match (users.next(), users.next()) {
        (Some(user), None) => Some(user.clone()),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

#[cfg(test)]
mod tests;
