//! PURE: the values of `[mail]`: addresses, and the server for letters.

use super::value::{Operand, Value, ValueError, other};
use crate::ledger::name;
use crate::mail::{MailSecurity, MailServer};
use crate::ports::spec;

/// A bare mail address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(pub String);

impl Value for Address {
    const EXPECTED: &'static str = "a mail address such as \"ops@example.com\"";

    fn parse(text: &str) -> Result<Self, ValueError> {
        let fits = name::hidden(text).is_none() && text.parse::<lettre::Address>().is_ok();
        fits.then(|| Self(text.to_owned())).ok_or_else(|| other::<Self>(text))
    }
}

/// A mail address with or without a display name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox(pub String);

impl Value for Mailbox {
    const EXPECTED: &'static str = "a mail address such as \"Flow Agent <report@example.com>\"";

    fn parse(text: &str) -> Result<Self, ValueError> {
        let fits = name::hidden(text).is_none() && text.parse::<lettre::message::Mailbox>().is_ok();
        fits.then(|| Self(text.to_owned())).ok_or_else(|| other::<Self>(text))
    }
}

impl Value for MailServer {
    const EXPECTED: &'static str =
        "smtps://HOST, smtp://HOST or smtp+insecure://HOST, with :PORT if it is not the default";

    fn parse(text: &str) -> Result<Self, ValueError> {
        let not_one = || other::<Self>(text);
        let (scheme, rest) = text.split_once("://").ok_or_else(not_one)?;
        let (security, usual_port) = match scheme {
            "smtps" => (MailSecurity::Tls, 465),
            "smtp" => (MailSecurity::StartTls, 587),
            "smtp+insecure" => (MailSecurity::Insecure, 25),
            _ => return Err(not_one()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err(ValueError::LoginInServer);
        }
        let (host, port) = match rest.strip_prefix('[') {
            Some(bracketed) => {
                let (address, after) = bracketed.split_once(']').ok_or_else(not_one)?;
                address.parse::<std::net::Ipv6Addr>().map_err(|_| not_one())?;
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
        let is_here =
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
        if security == MailSecurity::Insecure && !is_here {
            return Err(ValueError::InsecureServer { host: host.to_owned() });
        }
        Ok(Self { host: host.to_owned(), port, security })
    }
}
