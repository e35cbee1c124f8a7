//! PURE: the inbounds of Xray and V2Ray, in JSON (with comments), TOML or YAML, in one file or a `-confdir` folder.

use serde_json::Value;

use super::{Format, FormatError, tree};
use crate::ports::{Claim, Complaint, Detail, ListPosition, Listed, only_user, without_mark};

const EXPECTED: &str = "an Xray or V2Ray configuration: an object with `inbounds`";

/// The sections of such a configuration, by which it is recognized: in a folder, most files have no inbounds.
const SECTIONS: [&str; 14] = [
    "inbounds",
    "inbound",
    "inboundDetour",
    "outbounds",
    "outbound",
    "routing",
    "log",
    "dns",
    "policy",
    "api",
    "stats",
    "transport",
    "reverse",
    "observatory",
];

/// Reads `config.json` of Xray and V2Ray.
pub struct Xray;

impl Format for Xray {
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError> {
        self.parse_with(text, &|_| None)
    }

    fn parse_in(&self, text: &[u8], environment: &dyn Fn(&str) -> Option<String>) -> Result<Listed, FormatError> {
        self.parse_with(text, environment)
    }

    fn folder_extensions(&self) -> &'static [&'static str] {
        &["json", "jsonc", "toml", "yaml", "yml"]
    }
}

impl Xray {
    fn parse_with(&self, text: &[u8], environment: &dyn Fn(&str) -> Option<String>) -> Result<Listed, FormatError> {
        let root = read(text)?;
        let object = tree::object(&root, EXPECTED)?;
        if !SECTIONS.iter().any(|key| object.contains_key(*key)) {
            return Err(FormatError::Shape { expected: EXPECTED, found: "something without `inbounds`" });
        }
        let mut listed = Listed::default();
        // The first version had one `inbound`, with further ones in `inboundDetour`.
        let old = object.get("inbound").into_iter();
        let lists = [tree::list(object, "inbounds", EXPECTED)?, tree::list(object, "inboundDetour", EXPECTED)?];
        for (index, inbound) in old.chain(lists.into_iter().flatten()).enumerate() {
            add(&mut listed, inbound, index, environment);
        }
        Ok(listed)
    }
}

/// Reads the text as JSON if it begins with a bracket or a comment; as TOML if its first line is a section or an
/// assignment with `=`; otherwise as YAML.
fn read(text: &[u8]) -> Result<Value, FormatError> {
    let is_toml = |line: &[u8]| {
        let line = line.trim_ascii();
        let key = line.split(|byte| *byte == b'=').next().unwrap_or_default();
        line.first() == Some(&b'[') || (key.len() < line.len() && !key.contains(&b':'))
    };
    let mut lines = without_mark(text).split(|byte| *byte == b'\n');
    let first = lines.find(|line| !matches!(line.trim_ascii().first(), None | Some(b'#')));
    let other = if first.is_some_and(is_toml) { tree::toml } else { tree::yaml };
    // A comment that begins with `#` may precede the bracket of JSON.
    match first.and_then(|line| line.trim_ascii_start().first()) {
        Some(b'{') => tree::json5(text, EXPECTED),
        _ => tree::json5_or(other, text, EXPECTED),
    }
}

fn add(listed: &mut Listed, inbound: &Value, index: usize, environment: &dyn Fn(&str) -> Option<String>) {
    let tag = tree::text(inbound, "tag");
    let row = ListPosition::named("inbound", tag, index);
    let listen = tree::text(inbound, "listen").unwrap_or_default();
    // A path or an abstract name is a Unix socket.
    if super::is_loopback(listen) || listen.starts_with(['/', '@']) {
        return;
    }
    let Some(port) = inbound.get("port") else {
        return listed.complain(Complaint::NoPort { row, key: "port" });
    };
    let port = match port.as_str().and_then(|text| text.trim().strip_prefix("env:")) {
        None => port.clone(),
        Some(variable) => match environment(variable) {
            Some(value) => Value::String(value),
            None => return listed.complain(Complaint::Environment { row, variable: variable.to_owned() }),
        },
    };
    let claim = Claim { owner: owner(inbound), detail: Detail { label: tag.map(str::to_owned), ..Detail::default() } };
    listed.add_ranges(&row, tree::ranges(&port), &claim);
}

/// The only client of an inbound.
fn owner(inbound: &Value) -> Option<String> {
    let settings = inbound.get("settings")?;
    let of = |key: &str| settings.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    // Shadowsocks with a single user has the name in the settings themselves.
    let clients: Vec<_> = ["clients", "users", "accounts"].into_iter().flat_map(of).collect();
    match clients.is_empty() {
        true => tree::name(settings, "email"),
        false => only_user(clients.into_iter().map(|client| {
            let name = |key| tree::name(client, key);
            name("email").or_else(|| name("user")).or_else(|| name("name"))
        })),
    }
}

#[cfg(test)]
mod tests;
