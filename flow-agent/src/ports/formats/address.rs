//! PURE: listening addresses such as `0.0.0.0:443`, `[::]:443`, `:443` and `443`.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde_json::Value;

use super::tree;
use crate::ports::spec::SpecError;

/// Whether `host` can only be reached from this machine.
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim().trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost") || host.eq_ignore_ascii_case("ip6-localhost"),
    }
}

/// Splits an address into its host, if it names one, and its ports.
pub fn split(address: &Value) -> (Option<&str>, Value) {
    let Some(text) = address.as_str() else { return (None, address.clone()) };
    let text = text.trim();
    let (host, ports) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':').unwrap_or(rest)),
        // Split at the last colon, because an IPv6 address may be written without brackets.
        None => text.rsplit_once(':').unwrap_or(("", text)),
    };
    let host = host.trim();
    ((!host.is_empty()).then_some(host), Value::String(ports.to_owned()))
}

/// Parses the ports that [`split`] returned.
///
/// # Errors
/// The first part that is not a port or range.
pub fn ranges(ports: Value) -> Result<Vec<RangeInclusive<u16>>, SpecError> {
    tree::ranges(&ports)
}

#[cfg(test)]
mod tests;
