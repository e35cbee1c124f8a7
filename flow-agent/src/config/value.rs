//! PURE: the single values of the configuration, with their parsers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;

use crate::backend::interfaces::Patterns;
use crate::ledger::calendar::BucketLength;
use crate::ledger::language::Language;
use crate::ledger::month::Month;
use crate::ledger::user::OnQuota;
use crate::ledger::{date, name, units};
use crate::ports::spec;
use crate::store::retention::Age;

/// A value that is written as text.
pub trait Value: Sized {
    /// What is valid, for messages: `expected …`.
    const EXPECTED: &'static str;

    /// Parses the value, or says what was expected.
    fn parse(text: &str) -> Result<Self, ValueError>;
}

/// Why a text is not a valid value for its key.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    #[error("{found:?} is not {expected}")]
    Other { found: String, expected: &'static str },
    #[error("unknown time zone {found:?}, expected {}", Tz::EXPECTED)]
    Zone { found: String },
    #[error("{found:?} does not divide an hour, expected {}", BucketLength::EXPECTED)]
    Bucket { found: String },
    #[error("{found:?} is not a whole number of seconds, expected at least 1s")]
    Seconds { found: String },
    /// The login is not shown, because messages end up in logs.
    #[error("the server's address contains a login, expected it in `username` and `password_file`")]
    LoginInServer,
    #[error(
        "smtp+insecure:// is unencrypted, and {host:?} is not this machine; expected localhost, 127.0.0.1 or [::1]"
    )]
    InsecureServer { host: String },
    #[error("node {name:?} appears twice, expected one share per node")]
    NodeTwice { name: String },
    #[error("the address contains a login, expected it in `user` and `password_file`")]
    LoginInUrl,
    #[error(
        "http:// is unencrypted, and {host:?} is not this machine; expected https://, or localhost, 127.0.0.1 or [::1]"
    )]
    InsecureUrl { host: String },
    #[error(transparent)]
    Name(#[from] name::NameError),
    #[error(transparent)]
    Ports(#[from] spec::SpecError),
    #[error(transparent)]
    Bytes(#[from] units::UnitError),
}

pub(super) fn other<T: Value>(found: &str) -> ValueError {
    ValueError::Other { found: found.to_owned(), expected: T::EXPECTED }
}

impl Value for Tz {
    const EXPECTED: &'static str = "an IANA name such as \"Asia/Shanghai\"";

    fn parse(text: &str) -> Result<Self, ValueError> {
        text.parse().map_err(|_| ValueError::Zone { found: text.to_owned() })
    }
}

impl Value for BucketLength {
    const EXPECTED: &'static str = "a divisor of an hour such as \"1h\", \"15m\" or \"10s\"";

    fn parse(text: &str) -> Result<Self, ValueError> {
        let length = humantime::parse_duration(text).map_err(|_| other::<Self>(text))?;
        Self::try_from(length).map_err(|_| ValueError::Bucket { found: text.to_owned() })
    }
}

/// The longest duration that makes sense. Sums of such durations cannot overflow.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// A duration in whole seconds, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seconds(pub Duration);

impl Value for Seconds {
    const EXPECTED: &'static str = "a time such as \"30s\" or \"10m\"";

    fn parse(text: &str) -> Result<Self, ValueError> {
        let time =
            humantime::parse_duration(text).ok().filter(|time| *time <= LONGEST).ok_or_else(|| other::<Self>(text))?;
        let fits = time.as_secs() > 0 && time.subsec_nanos() == 0;
        fits.then_some(Self(time)).ok_or_else(|| ValueError::Seconds { found: text.to_owned() })
    }
}

/// The age at which something is done with old files; `None` means never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxAge(pub Option<Age>);

impl Value for MaxAge {
    const EXPECTED: &'static str = "an age such as \"7 days\", \"13 months\" or \"2 years\", or \"forever\"";

    fn parse(text: &str) -> Result<Self, ValueError> {
        match text {
            "forever" | "never" => Ok(Self(None)),
            _ => Age::parse(text).map(|age| Self(Some(age))).ok_or_else(|| other::<Self>(text)),
        }
    }
}

/// The name of a node: `^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`, so that it can be used as a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeName(pub String);

impl Value for NodeName {
    const EXPECTED: &'static str =
        "a node's name of at most 63 letters, digits, dots, underscores and dashes that begins with a letter or digit";

    fn parse(text: &str) -> Result<Self, ValueError> {
        let fits = (1..=name::MAX_NODE_BYTES).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        fits.then(|| Self(text.to_owned())).ok_or_else(|| other::<Self>(text))
    }
}

/// The name of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserName(pub String);

impl Value for UserName {
    const EXPECTED: &'static str = "a user's name";

    fn parse(text: &str) -> Result<Self, ValueError> {
        name::check(text)?;
        Ok(Self(text.to_owned()))
    }
}

/// An interface's name, a glob over names, or `auto`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfacePattern(pub String);

impl Value for InterfacePattern {
    const EXPECTED: &'static str = "an interface's name, a glob such as \"wg*\", or \"auto\"";

    fn parse(text: &str) -> Result<Self, ValueError> {
        let fits = Patterns::parse(&[text.to_owned()]).is_ok();
        fits.then(|| Self(text.to_owned())).ok_or_else(|| other::<Self>(text))
    }
}

/// A path. If it is relative, it is resolved against the directory of the file that names it.
impl Value for PathBuf {
    const EXPECTED: &'static str = "a path";

    fn parse(text: &str) -> Result<Self, ValueError> {
        let fits = !text.is_empty() && !text.contains('\0');
        fits.then(|| Self::from(text)).ok_or_else(|| other::<Self>(text))
    }
}

/// The path of the agent's socket; empty for no socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketPath(pub PathBuf);

impl SocketPath {
    /// The kernel's limit for the path of a socket, without the terminating NUL.
    const MOST_BYTES: usize = 107;
}

impl Value for SocketPath {
    const EXPECTED: &'static str = "an absolute path of at most 107 bytes, or \"\" for no socket";

    fn parse(text: &str) -> Result<Self, ValueError> {
        let is_path = text.starts_with('/') && !text.contains('\0') && text.len() <= Self::MOST_BYTES;
        (is_path || text.is_empty()).then(|| Self(PathBuf::from(text))).ok_or_else(|| other::<Self>(text))
    }
}

impl Value for SocketAddr {
    const EXPECTED: &'static str = "an address with its port such as \"127.0.0.1:9177\" or \"[::1]:9177\"";

    fn parse(text: &str) -> Result<Self, ValueError> {
        text.parse().ok().filter(|address: &Self| address.port() != 0).ok_or_else(|| other::<Self>(text))
    }
}

/// A path on another host. Before OpenSSH 9.0, `scp` passes it to a shell there, so it may only contain characters that
/// a shell takes literally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlainPath(pub PathBuf);

impl Value for PlainPath {
    const EXPECTED: &'static str = "a path of letters, digits and any of `/._-+@%:=,` that does not begin with a dash";

    fn parse(text: &str) -> Result<Self, ValueError> {
        let plain = text.chars().all(|c| c.is_alphanumeric() || "/._-+@%:=,".contains(c));
        let fits = plain && !text.is_empty() && !text.starts_with('-');
        fits.then(|| Self(PathBuf::from(text))).ok_or_else(|| other::<Self>(text))
    }
}

/// A host's name or address, or a login name. It becomes an operand of ssh, so it must not look like an option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operand(pub String);

impl Value for Operand {
    const EXPECTED: &'static str = "a name or address without spaces that does not begin with a dash";

    fn parse(text: &str) -> Result<Self, ValueError> {
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-:%[]".contains(c));
        let fits = plain && !text.is_empty() && text.len() <= 255 && !text.starts_with('-');
        fits.then(|| Self(text.to_owned())).ok_or_else(|| other::<Self>(text))
    }
}

/// A number of bytes, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteCount(pub u64);

impl Value for ByteCount {
    const EXPECTED: &'static str = "a number of bytes such as \"500 GiB\" or \"1.5 TB\"";

    fn parse(text: &str) -> Result<Self, ValueError> {
        match units::parse_bytes(text)? {
            // Zero could mean nothing at all or no limit. For no limit, the key is left out.
            0 => Err(other::<Self>(text)),
            bytes => Ok(Self(bytes)),
        }
    }
}

/// A number of bytes that were used, which may be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsedBytes(pub u64);

impl Value for UsedBytes {
    const EXPECTED: &'static str = "a number of bytes such as \"120 GiB\" or \"0 B\"";

    fn parse(text: &str) -> Result<Self, ValueError> {
        Ok(Self(units::parse_bytes(text)?))
    }
}

/// A calendar day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day(pub NaiveDate);

impl Value for Day {
    const EXPECTED: &'static str = "a day such as \"2026-12-31\"";

    fn parse(text: &str) -> Result<Self, ValueError> {
        date::parse(text).map(Self).ok_or_else(|| other::<Self>(text))
    }
}

impl Value for Month {
    const EXPECTED: &'static str = "a billing month such as \"2026-10\"";

    fn parse(text: &str) -> Result<Self, ValueError> {
        text.parse().map_err(|_| other::<Self>(text))
    }
}

/// The name of a channel of notices. It is an argument of commands, and a value in `notices.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelName(pub String);

impl Value for ChannelName {
    const EXPECTED: &'static str = "a channel's name of at most 63 letters, digits, underscores and dashes, and neither \"mail\" nor \"admins\", which are \
                                    the letters to users and to `mail.admins`";

    fn parse(text: &str) -> Result<Self, ValueError> {
        let fits = (1..=63).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
            && !text.starts_with('-')
            && !["mail", "admins"].contains(&text);
        fits.then(|| Self(text.to_owned())).ok_or_else(|| other::<Self>(text))
    }
}

/// The bytes that a price refers to: a unit, or a number of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PricedBytes(pub u64);

impl Value for PricedBytes {
    const EXPECTED: &'static str = "a unit of bytes such as \"GiB\" or \"100 GB\"";

    fn parse(text: &str) -> Result<Self, ValueError> {
        let one = if text.starts_with(|c: char| c.is_ascii_alphabetic()) { "1 " } else { "" };
        match ByteCount::parse(&format!("{one}{text}")) {
            Ok(ByteCount(bytes)) => Ok(Self(bytes)),
            Err(_) => Err(other::<Self>(text)),
        }
    }
}

/// A currency's code: three capital letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Currency(pub String);

impl Value for Currency {
    const EXPECTED: &'static str = "a currency's code such as \"CNY\" or \"EUR\"";

    fn parse(text: &str) -> Result<Self, ValueError> {
        let fits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
        fits.then(|| Self(text.to_owned())).ok_or_else(|| other::<Self>(text))
    }
}

/// A price: a decimal number that is not negative.
impl Value for rust_decimal::Decimal {
    const EXPECTED: &'static str = "an amount as a string, such as \"0.10\"";

    fn parse(text: &str) -> Result<Self, ValueError> {
        match Self::from_str_exact(text) {
            Ok(amount) if !amount.is_sign_negative() => Ok(amount),
            _ => Err(other::<Self>(text)),
        }
    }
}

impl Value for Language {
    const EXPECTED: &'static str = "en or zh";

    fn parse(text: &str) -> Result<Self, ValueError> {
        match text {
            "en" => Ok(Self::English),
            "zh" => Ok(Self::Chinese),
            _ => Err(other::<Self>(text)),
        }
    }
}

impl Value for OnQuota {
    const EXPECTED: &'static str = "count or drop";

    fn parse(text: &str) -> Result<Self, ValueError> {
        match text {
            "count" => Ok(Self::Count),
            "drop" => Ok(Self::Drop),
            _ => Err(other::<Self>(text)),
        }
    }
}
