//! PURE: the values of `[fleet]`: the address of ClickHouse, and the names in it.

use std::net::{IpAddr, Ipv6Addr};

use super::value::{Operand, Value, ValueError, other};
use crate::fleet::FleetUrl;
use crate::ports::spec;

impl Value for FleetUrl {
    const EXPECTED: &'static str =
        "https://HOST or, on this machine only, http://HOST, with :PORT if it is not the default";

    fn parse(text: &str) -> Result<Self, ValueError> {
        let not_one = || other::<Self>(text);
        let (scheme, rest) = text.split_once("://").ok_or_else(not_one)?;
        let (tls, usual_port) = match scheme {
            "https" => (true, 8443),
            "http" => (false, 8123),
            _ => return Err(not_one()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err(ValueError::LoginInUrl);
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(bracketed) => {
                let (address, after) = bracketed.split_once(']').ok_or_else(not_one)?;
                address.parse::<Ipv6Addr>().map_err(|_| not_one())?;
                (address, after)
            }
            None => rest.split_at(rest.find(':').unwrap_or(rest.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().ok().and_then(|number: i128| spec::port(number).ok()).ok_or_else(not_one)?,
            None if port.is_empty() => usual_port,
            None => return Err(not_one()),
        };
        Operand::parse(host).map_err(|_| not_one())?;
        if host.contains(['/', '?', '#', '%', '\\']) {
            return Err(not_one());
        }
        let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if !tls && !is_here {
            return Err(ValueError::InsecureUrl { host: host.to_owned() });
        }
        Ok(Self { tls, host: host.to_owned(), port })
    }
}

/// The name of a database: a plain SQL identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseName(pub String);

impl Value for DatabaseName {
    const EXPECTED: &'static str = "a name of at most 64 letters, digits and underscores that begins with a letter";

    fn parse(text: &str) -> Result<Self, ValueError> {
        let begins = text.starts_with(|first: char| first.is_ascii_alphabetic());
        let fits = begins && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        fits.then(|| Self(text.to_owned())).ok_or_else(|| other::<Self>(text))
    }
}

#[cfg(test)]
mod tests;
