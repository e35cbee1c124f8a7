//! PURE: addresses to listen on: `0.0.0.0:443`, `[::]:443`, `:443`, `443`.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::tree;
use crate::ports::spec::SpecError;

/// Whether nobody else can reach `host`.
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim().trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost") || host.eq_ignore_ascii_case("ip6-localhost"),
    }
}

/// The host of an address, where it names one, and its ports.
pub fn split(address: &Value) -> (Option<&str>, Value) {
    let Some(text) = address.as_str() else { return (None, address.clone()) };
    let text = text.trim();
    let (host, ports) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or(rest)),
        // What is before the last colon: an IPv6 address may stand without brackets.
        None => text.rsplit_once(':').unwrap_or(("", text)),
    };
    let host = host.trim();
    ((!host.is_empty()).then_some(host), Value::String(ports.to_owned()))
}

/// The ports that [`split`] found.
///
/// # Errors
/// The first that is not a port or range.
pub fn ranges(ports: Value) -> Result<Vec<RangeInclusive<u16>>, SpecError> {
    tree::ranges(&ports)
}

#[cfg(test)]
mod tests;
