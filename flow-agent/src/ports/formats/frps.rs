//! PURE: the ports that frps itself listens on, from its configuration in TOML, YAML, JSON or the older INI.
//!
//! Only its API knows which ports its clients were given. A helper saves the API's answers in a folder, whose files are
//! read here as well; the agent itself sends no requests.

use serde_json::Value;

use super::{Format, FormatError, tree};
use crate::ports::{Claim, Detail, ListPosition, Listed};

const EXPECTED: &str = "a configuration of frps with `bindPort`";

/// The keys of ports in newer files and in the INI.
const CLIENTS_PORTS: [(&str, &str); 3] =
    [("bindPort", "bind_port"), ("kcpBindPort", "kcp_bind_port"), ("quicBindPort", "quic_bind_port")];
const VISITORS_PORTS: [(&str, &str); 3] = [
    ("vhostHTTPPort", "vhost_http_port"),
    ("vhostHTTPSPort", "vhost_https_port"),
    ("tcpmuxHTTPConnectPort", "tcpmux_httpconnect_port"),
];

/// Reads `frps.toml`.
pub struct Frps;

impl Format for Frps {
    fn parse(&self, text: &[u8]) -> Result<Listed, FormatError> {
        let root = read(text)?;
        let object = tree::object(&root, EXPECTED)?;
        if object.contains_key("proxies") {
            return proxies(object);
        }
        let old = object.get("common").and_then(Value::as_object).unwrap_or(object);
        let is_local = |new: &str, ini: &str| {
            let address = object.get(new).or_else(|| old.get(ini)).and_then(Value::as_str);
            address.filter(|address| !address.is_empty()).map(super::is_loopback)
        };
        // Visitors are received at the clients' address unless configured otherwise.
        let clients_are_local = is_local("bindAddr", "bind_addr").unwrap_or_default();
        let visitors_are_local = is_local("proxyBindAddr", "proxy_bind_addr").unwrap_or(clients_are_local);
        let mut listed = Listed::default();
        let mut found = 0;
        let clients = CLIENTS_PORTS.map(|(new, ini)| (new, ini, clients_are_local));
        for (new, ini, is_local) in
            clients.into_iter().chain(VISITORS_PORTS.map(|(new, ini)| (new, ini, visitors_are_local)))
        {
            let value = object.get(new).or_else(|| old.get(ini));
            // In an INI, every value is a text.
            let is_off = |value: &Value| value.as_i64() == Some(0) || value.as_str() == Some("0");
            let Some(value) = value.filter(|value| !is_off(value)) else { continue };
            found += 1;
            if is_local {
                continue;
            }
            let claim =
                Claim { owner: None, detail: Detail { label: Some(format!("frps {new}")), ..Detail::default() } };
            let port = tree::port(value).map(|port| vec![port..=port]);
            listed.add_ranges(&ListPosition::named("key", Some(new), 0), port, &claim);
        }
        if found == 0 {
            return Err(FormatError::Shape { expected: EXPECTED, found: "no such port" });
        }
        Ok(listed)
    }

    fn folder_extensions(&self) -> &'static [&'static str] {
        &["json", "toml"]
    }
}

/// The API's answer about its clients: `GET /api/proxy/tcp`, and the same for udp. A client keeps its port while it is
/// offline for a while. One that has not connected since frps started has none.
fn proxies(object: &serde_json::Map<String, Value>) -> Result<Listed, FormatError> {
    let mut listed = Listed::default();
    for (index, proxy) in tree::list(object, "proxies", EXPECTED)?.iter().enumerate() {
        let name = tree::text(proxy, "name");
        let port = proxy.get("conf").and_then(|conf| conf.get("remotePort")).filter(|port| port.as_i64() != Some(0));
        if let Some(port) = port {
            let owner = tree::text(proxy, "user").map(str::to_owned);
            let claim = Claim { owner, detail: Detail { label: name.map(str::to_owned), ..Detail::default() } };
            let port = tree::port(port).map(|port| vec![port..=port]);
            listed.add_ranges(&ListPosition::named("proxy", name, index), port, &claim);
        }
    }
    Ok(listed)
}

fn read(text: &[u8]) -> Result<Value, FormatError> {
    match tree::json5_or(tree::toml, text, EXPECTED) {
        // An INI is like TOML except for its strings, which have no quotes; YAML is neither.
        Err(FormatError::Toml { expected, source }) => match ini(tree::whole_lines(text)?) {
            Some(tree) => Ok(tree),
            None => tree::yaml(text, EXPECTED).map_err(|_| FormatError::Toml { expected, source }),
        },
        done => done,
    }
}

/// The `[common]` section of an INI; `None` if there is none.
fn ini(text: &str) -> Option<Value> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != "[common]");
    lines.next()?;
    let section = lines.take_while(|line| !line.starts_with('['));
    let pairs = section.filter(|line| !line.starts_with(['#', ';'])).filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(key, value)| (key.trim().to_owned(), Value::String(value.trim().to_owned())));
    Some(serde_json::json!({ "common": pairs.collect::<serde_json::Map<_, _>>() }))
}

#[cfg(test)]
mod tests;
