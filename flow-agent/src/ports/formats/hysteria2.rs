//! PURE: hysteria2's server configuration in YAML: `listen` with its union of ports, and who may log in.
//!
//! The server binds the first port of a union and has the firewall redirect the others to it. On the wire, bytes carry the
//! port that the client chose, so that all of them are counted, as one group of ports with one owner.

use serde_json::Value;

use super::{Format, FormatError, address, tree};
use crate::ports::{Claim, Detail, ListPosition, Listed};

const EXPECTED: &str = "a hysteria2 server configuration: `listen`, `auth` and `tls` or `acme`";

/// Where it listens when nothing is said.
const DEFAULT_LISTEN: &str = ":443";

/// `/etc/hysteria/config.yaml`.
pub struct Hysteria2;

impl Format for Hysteria2 {
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError> {
        let root = tree::json5_or(tree::yaml, text, EXPECTED)?;
        let object = tree::object(&root, EXPECTED)?;
        // A client has `server`, and listens on loopback at most.
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

/// The only user of `auth.userpass`.
fn owner(auth: Option<&Value>) -> Option<String> {
    let mut users = auth?.get("userpass")?.as_object()?.keys();
    match (users.next(), users.next()) {
        (Some(user), None) => Some(user.clone()),
        (Some(_), Some(_)) | (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(text: &str) -> Vec<(u16, Option<String>)> {
        let listed = Hysteria2.parse(text.as_bytes()).unwrap();
        assert_eq!(listed.complaints, []);
        listed.owners.into_iter().collect()
    }

    #[test]
    fn every_way_to_write_an_address_is_read() {
        for listen in ["", "listen: :443\n", "listen: 0.0.0.0:443\n", "listen: \"[::]:443\"\r\n", "listen:\n"] {
            let text = format!("\u{feff}# hysteria\n{listen}auth: {{type: password, password: x}}\n");
            assert_eq!(owners(&text), [(443, None)], "{listen}");
        }
        assert_eq!(owners("listen: 127.0.0.1:443\nauth: {type: password}\n"), []);
        assert_eq!(owners("listen: :20000-50000,443\nauth: {type: password}\n").len(), 30_002);
    }

    #[test]
    fn a_user_whose_name_is_a_number_is_a_user() {
        let text = "listen: :443\nauth:\n  type: userpass\n  userpass:\n    10001: secret\n";
        assert_eq!(owners(text), [(443, Some("10001".to_owned()))]);
    }
}
