//! PURE: a Shadowsocks server's configuration in JSON or JSON5: one `server_port`, the keys of `port_password`, or
//! `servers[]`.

use serde_json::Value;

use super::{Format, FormatError, tree};
use crate::ports::{Claim, Complaint, Detail, ListPosition, Listed, only_user};

const EXPECTED: &str = "a Shadowsocks configuration: an object with `server_port`, `port_password` or `servers`";

/// Reads `config.json` of shadowsocks-libev, shadowsocks-python, shadowsocks-rust and similar programs.
pub struct Shadowsocks;

impl Format for Shadowsocks {
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError> {
        let root = tree::json5(text, EXPECTED)?;
        let object = tree::object(&root, EXPECTED)?;
        if !["server_port", "port_password", "servers"].iter().any(|key| object.contains_key(*key)) {
            return Err(FormatError::Shape { expected: EXPECTED, found: "an object without any of them" });
        }
        let mut listed = Listed::default();
        match object.get("port_password") {
            Some(Value::Object(ports)) => {
                for (index, (key, _password)) in ports.iter().enumerate() {
                    let row = ListPosition::named("port", Some(key), index);
                    add(&mut listed, &row, &Value::String(key.clone()), Claim::default());
                }
            }
            None | Some(Value::Null) => {}
            Some(other) => return Err(FormatError::Shape { expected: EXPECTED, found: tree::kind(other) }),
        }
        // Beside `port_password` and `servers` it is only a default, on which nothing listens.
        if object.contains_key("server_port") && listed.owners.is_empty() && !object.contains_key("servers") {
            server(&mut listed, &root, ListPosition::named("server", Some("server_port"), 0));
        }
        for (index, entry) in tree::list(object, "servers", EXPECTED)?.iter().enumerate() {
            let name = tree::text(entry, "remarks").or_else(|| tree::text(entry, "name"));
            server(&mut listed, entry, ListPosition::named("server", name.or_else(|| tree::text(entry, "id")), index));
        }
        Ok(listed)
    }

    fn folder_extensions(&self) -> &'static [&'static str] {
        &["json", "json5"]
    }
}

/// Adds one server, which belongs to its only user, or else to the name of the server itself.
fn server(listed: &mut Listed, entry: &Value, row: ListPosition) {
    if entry.get("disabled").and_then(Value::as_bool) == Some(true) || is_local(entry) {
        return;
    }
    let key = if entry.get("server_port").is_some() { "server_port" } else { "port" };
    let Some(port) = entry.get(key) else {
        return listed.complain(Complaint::NoPort { row, key: "server_port" });
    };
    let remark = tree::text(entry, "remarks").or_else(|| tree::text(entry, "name"));
    let users = entry.get("users").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let owner = match users {
        [] => remark.map(str::to_owned),
        users => only_user(users.iter().map(|user| tree::text(user, "name"))),
    };
    let label = remark.or_else(|| tree::text(entry, "id")).map(str::to_owned);
    add(listed, &row, port, Claim { owner, detail: Detail { label, ..Detail::default() } });
}

fn is_local(entry: &Value) -> bool {
    let address = tree::text(entry, "server").or_else(|| tree::text(entry, "address"));
    address.is_some_and(super::is_loopback)
}

fn add(listed: &mut Listed, row: &ListPosition, port: &Value, claim: Claim) {
    match tree::port(port) {
        Ok(port) => listed.add(port, claim),
        Err(error) => listed.complain(Complaint::Port { row: row.clone(), error }),
    }
}
