//! PURE: what frps tells its plugins of its clients' ports, and the list of these that comes of it.
//!
//! frps asks its plugins before it opens a proxy, so that a port is listed before its first byte. Whether the proxy then
//! opens is not told. So a port that one proxy holds stays that proxy's until frps says that it is closed: whoever else
//! asks for it meanwhile is refused by frps itself, and must not become the owner of somebody else's bytes.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FormatError, tree};

const EXPECTED: &str = "a list that this program wrote, with `proxies`";

/// How long the port of a closed proxy stays listed. A client that lost its connection comes back within this time, and the
/// agent must not first find the port again while bytes pass.
pub const KEPT_AFTER_CLOSING: Duration = Duration::from_secs(60);

/// frps closes the proxies of a client's former connection while the next one opens them anew, in no certain order.
const REOPENING: Duration = Duration::from_secs(2);

/// Kinds of proxies with a port of their own on this host.
const KINDS: [&str; 2] = ["tcp", "udp"];

/// The ports of frps's clients. All instants are times since the same start, of a clock that never goes back.
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
    /// Listed until [`KEPT_AFTER_CLOSING`] is over, or another proxy takes the port.
    Closed {
        at: Duration,
    },
    /// Nobody knows whether it is open: listed until another proxy takes the port.
    Unknown,
}

/// What became of something that frps said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookOutcome {
    /// The list is another one now.
    Changed,
    /// It says nothing new of ports.
    Nothing,
    /// Why a port is not listed as it was asked for.
    NotListed(String),
}

impl Proxies {
    /// The list as [`list`](Self::list) wrote it. frps may have been restarted since, so that any of these ports may have
    /// been given to somebody else.
    ///
    /// # Errors
    /// When it is not such a list.
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

    /// Takes in the body of one of frps's requests.
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
            // Only proxies of some kinds have one; to those, frps gives a port that the API alone knows.
            return match tree::text(content, "proxy_type").is_some_and(|kind| KINDS.contains(&kind)) {
                true => HookOutcome::NotListed(format!(
                    "proxy {name:?} leaves its port to frps; only frps's API tells which"
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
            return HookOutcome::NotListed(format!("proxy {name:?} asks for port {port}, which {holder:?} holds"));
        }
        let before = self.shown();
        // A proxy that has another port now no longer has its former one.
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

    /// Takes out proxies that have been closed for long.
    pub fn expire(&mut self, now: Duration) -> HookOutcome {
        let before = self.shown();
        let is_over = |at| now.saturating_sub(at) >= KEPT_AFTER_CLOSING;
        self.0.retain(|proxy| !matches!(proxy.state, State::Closed { at } if is_over(at)));
        self.told(&before)
    }

    /// The list, in the form in which frps's API tells it.
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

    /// What readers of the list see of it.
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

/// A row names its user; a request has an object about it.
fn user(row: &Value) -> Option<&str> {
    tree::text(row, "user").or_else(|| tree::text(row.get("user")?, "user"))
}

#[cfg(test)]
mod tests;
