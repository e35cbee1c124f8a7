//! PURE: keeps a list of the ports of frps's clients, from the requests that frps sends to its plugins.
//!
//! frps asks its plugins before it opens a proxy, so a port is listed before its first byte. It does not report whether
//! the proxy is then opened. A port that one proxy holds therefore stays with that proxy until frps reports that it is
//! closed. Anybody else who asks for it meanwhile is refused by frps itself, and must not become the owner of bytes of
//! others.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FormatError, tree};

const EXPECTED: &str = "a list that this program wrote, with `proxies`";

/// How long the port of a closed proxy stays listed. A client that has lost its connection returns within this time,
/// and the agent must not have to find the port again while bytes pass already.
pub const KEPT_AFTER_CLOSING: Duration = Duration::from_secs(60);

/// When a client reconnects, frps may report the closing of its old proxies up to this long after the opening of the
/// new ones.
const REOPENING: Duration = Duration::from_secs(2);

/// The kinds of proxies that have a port of their own on this host.
const KINDS: [&str; 2] = ["tcp", "udp"];

/// The ports of frps's clients. All times are measured from the same start, on a clock that never goes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Proxy>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Proxy {
    kind: &'static str,
    port: u16,
    name: String,
    user: Option<String>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open {
        since: Duration,
    },
    /// Listed until [`KEPT_AFTER_CLOSING`] has passed, or until another proxy takes the port.
    Closed {
        at: Duration,
    },
    /// It is not known whether it is open. Listed until another proxy takes the port.
    Unknown,
}

/// The effect of a request from frps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookOutcome {
    /// The list has changed.
    Changed,
    /// It says nothing new about ports.
    Nothing,
    /// Why a port is not listed as requested.
    NotListed(String),
}

impl Proxies {
    /// Reads the list that [`list`](Self::list) wrote. frps may have been restarted since, so any of these ports may
    /// meanwhile have been given to somebody else.
    ///
    /// # Errors
    /// When `text` is not such a list.
    pub fn from_list(text: &[u8]) -> Result<Self, FormatError> {
        let root = tree::json(text, EXPECTED)?;
        let object = tree::object(&root, EXPECTED)?;
        if !object.contains_key("proxies") {
            return Err(FormatError::Shape { expected: EXPECTED, found: "something without `proxies`" });
        }
        let rows = tree::list(object, "proxies", EXPECTED)?;
        Ok(Self(
            rows.iter().filter_map(|row| proxy(row, row.get("conf")?.get("remotePort")?, State::Unknown)).collect(),
        ))
    }

    /// Processes the body of one of frps's requests.
    pub fn take(&mut self, body: &[u8], now: Duration) -> HookOutcome {
        let request: Value = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) => return HookOutcome::NotListed(format!("a request is not JSON: {error}")),
        };
        let nothing = Value::Null;
        let content = request.get("content").unwrap_or(&nothing);
        match tree::text(&request, "op") {
            Some("NewProxy") => self.open(content, now),
            Some("CloseProxy") => self.close(content, now),
            Some(_) => HookOutcome::Nothing,
            None => HookOutcome::NotListed("a request has no `op`".to_owned()),
        }
    }

    fn open(&mut self, content: &Value, now: Duration) -> HookOutcome {
        let name = tree::text(content, "proxy_name").unwrap_or_default();
        let Some(port) = content.get("remote_port").filter(|port| port.as_i64() != Some(0)) else {
            // Only some kinds of proxies have a port. For those, frps may choose one that only its API reveals.
            return match tree::text(content, "proxy_type").is_some_and(|kind| KINDS.contains(&kind)) {
                true => HookOutcome::NotListed(format!(
                    "proxy {name:?} lets frps choose its port; only frps's API says which"
                )),
                false => HookOutcome::Nothing,
            };
        };
        let Some(proxy) = proxy(content, port, State::Open { since: now }) else {
            return match tree::port(port) {
                Err(error) => HookOutcome::NotListed(format!("proxy {name:?}: {error}")),
                Ok(_) => HookOutcome::Nothing,
            };
        };
        let is_held = |other: &&Proxy| {
            (other.kind, other.port) == (proxy.kind, proxy.port)
                && (&other.name, &other.user) != (&proxy.name, &proxy.user)
                && matches!(other.state, State::Open { .. })
        };
        if let Some(holder) = self.0.iter().find(is_held) {
            let (port, holder) = (proxy.port, &holder.name);
            return HookOutcome::NotListed(format!("proxy {name:?} requests port {port}, which {holder:?} holds"));
        }
        let before = self.shown();
        // A proxy that has a new port no longer has its former one.
        let is_former =
            |other: &Proxy| (other.kind, &other.name, &other.user) == (proxy.kind, &proxy.name, &proxy.user);
        self.0.retain(|other| !is_former(other) && (other.kind, other.port) != (proxy.kind, proxy.port));
        self.0.push(proxy);
        self.0.sort_by_key(|proxy| (proxy.kind, proxy.port));
        self.told(&before)
    }

    fn close(&mut self, content: &Value, now: Duration) -> HookOutcome {
        let before = self.shown();
        let (name, user) = (tree::text(content, "proxy_name"), user(content));
        for proxy in &mut self.0 {
            if Some(proxy.name.as_str()) != name || proxy.user.as_deref() != user {
                continue;
            }
            if let State::Open { since } = proxy.state {
                let is_reopened = now.saturating_sub(since) < REOPENING;
                proxy.state = if is_reopened { State::Unknown } else { State::Closed { at: now } };
            }
        }
        self.told(&before)
    }

    /// Removes proxies that were closed long enough ago.
    pub fn expire(&mut self, now: Duration) -> HookOutcome {
        let before = self.shown();
        let is_over = |at| now.saturating_sub(at) >= KEPT_AFTER_CLOSING;
        self.0.retain(|proxy| !matches!(proxy.state, State::Closed { at } if is_over(at)));
        self.told(&before)
    }

    /// The list, in the same form as the answer of frps's API.
    pub fn list(&self) -> String {
        let row = |proxy: &Proxy| {
            let status = match proxy.state {
                State::Open { .. } => "online",
                State::Closed { .. } => "offline",
                State::Unknown => "unknown",
            };
            json!({
                "name": proxy.name,
                "user": proxy.user,
                "status": status,
                "conf": { "type": proxy.kind, "remotePort": proxy.port },
            })
        };
        let rows: Vec<String> = self.0.iter().map(|proxy| row(proxy).to_string()).collect();
        format!("{{\"proxies\": [\n{}\n]}}\n", rows.join(",\n"))
    }

    /// The part of the state that is visible to readers of the list.
    fn shown(&self) -> Vec<(u16, Option<String>, String)> {
        self.0.iter().map(|proxy| (proxy.port, proxy.user.clone(), proxy.name.clone())).collect()
    }

    fn told(&self, before: &[(u16, Option<String>, String)]) -> HookOutcome {
        if self.shown() == before { HookOutcome::Nothing } else { HookOutcome::Changed }
    }
}

/// A proxy with a port on this host, from a row of the list or from a request.
fn proxy(row: &Value, port: &Value, state: State) -> Option<Proxy> {
    let kind = tree::text(row, "proxy_type").or_else(|| tree::text(row.get("conf")?, "type"))?;
    Some(Proxy {
        kind: KINDS.into_iter().find(|known| *known == kind)?,
        port: tree::port(port).ok()?,
        name: tree::text(row, "proxy_name").or_else(|| tree::text(row, "name"))?.to_owned(),
        user: user(row).map(str::to_owned),
        state,
    })
}

/// The user of a row of the list, which is a text, or of a request, which is in an object.
fn user(row: &Value) -> Option<&str> {
    tree::text(row, "user").or_else(|| tree::text(row.get("user")?, "user"))
}

#[cfg(test)]
mod tests;
