//! PURE: the structure of `config.toml`: its keys, and the type of each. No defaults are filled in here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde::Deserialize;
use toml::Spanned;

use super::error::{ConfigError, Positions};
use super::fleet::DatabaseName;
use super::mail::{Address, Mailbox};
use super::shape::{Interfaces, OneOf, Ports, Share, Text, UserNodes, Whole};
use super::value::{
    ByteCount, ChannelName, Currency, Day, MaxAge, NodeName, Operand, PlainPath, PricedBytes, Seconds, SocketPath,
    UsedBytes, UserName,
};
use super::{IncompleteLetters, key};
use crate::backend::BackendChoice;
use crate::fleet::FleetUrl;
use crate::ledger::amount::{Prefixes, RateUnit};
use crate::ledger::billing::Billed;
use crate::ledger::calendar::BucketLength;
use crate::ledger::language::Language;
use crate::ledger::limits::notice::NoticeEvent;
use crate::ledger::month::Month;
use crate::ledger::record::CountMode;
use crate::ledger::user::OnQuota;
use crate::mail::MailServer;
use crate::notify::ChannelKind;
use crate::ports::{MAX_PORTS, PortFileFormat};

// The module `ports` may not import the limit of the kernel's tables.
const _: () = assert!(MAX_PORTS == crate::backend::MAX_PORTS);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) node: Option<Text<NodeName>>,
    pub(super) state_dir: Option<Text<PathBuf>>,
    pub(super) timezone: Option<Text<Tz>>,
    pub(super) month_start_day: Option<Whole<1, 28>>,
    pub(super) bpffs: Option<Text<PathBuf>>,
    pub(super) users_file: Option<Text<PathBuf>>,
    pub(super) socket: Option<Text<SocketPath>>,
    #[serde(default)]
    pub(super) count: Count,
    #[serde(default)]
    pub(super) ports: WatchedPorts,
    #[serde(default)]
    pub(super) metrics: Metrics,
    #[serde(default)]
    pub(super) users: Vec<User>,
    #[serde(default)]
    pub(super) nodes: Vec<Node>,
    #[serde(default)]
    pub(super) report: Report,
    #[serde(default)]
    pub(super) show: Show,
    pub(super) mail: Option<Mail>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) notify: Vec<Notify>,
    #[serde(default)]
    pub(super) retention: Retention,
    pub(super) fleet: Option<Fleet>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct Retention {
    pub(super) compress_after: Option<Text<MaxAge>>,
    pub(super) hours: Option<Text<MaxAge>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct Count {
    pub(super) backend: Option<OneOf<BackendChoice>>,
    pub(super) interfaces: Option<Interfaces>,
    #[serde(default)]
    pub(super) allow_stacked: bool,
    pub(super) count: Option<OneOf<CountMode>>,
    pub(super) bucket: Option<Text<BucketLength>>,
    pub(super) checkpoint: Option<Text<Seconds>>,
    pub(super) max_ports: Option<Whole<1, MAX_PORTS>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct WatchedPorts {
    #[serde(default)]
    pub(super) watch: Vec<Ports>,
    #[serde(default)]
    pub(super) listening: bool,
    #[serde(default)]
    pub(super) files: Vec<PortFile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct Metrics {
    pub(super) listen: Option<Text<SocketAddr>>,
    pub(super) ports: Option<Vec<Ports>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a port file such as { path = \"…\", format = \"mudb\" }")]
pub(super) struct PortFile {
    pub(super) path: Text<PathBuf>,
    pub(super) format: OneOf<PortFileFormat>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a user: a table with at least `name`")]
pub(super) struct User {
    pub(super) name: Spanned<Text<UserName>>,
    #[serde(default)]
    pub(super) ports: Vec<Spanned<Ports>>,
    pub(super) email: Option<Text<Address>>,
    pub(super) quota: Option<Spanned<Text<ByteCount>>>,
    pub(super) on_quota: Option<OneOf<OnQuota>>,
    pub(super) expires: Option<Text<Day>>,
    pub(super) used: Option<Text<UsedBytes>>,
    pub(super) used_in: Option<Spanned<Text<Month>>>,
    pub(super) language: Option<OneOf<Language>>,
    pub(super) nodes: Option<Spanned<UserNodes>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a node: a table with at least `name`")]
pub(super) struct Node {
    pub(super) name: Spanned<Text<NodeName>>,
    #[serde(default)]
    pub(super) aliases: Vec<Spanned<Text<NodeName>>>,
    #[serde(default)]
    pub(super) local: bool,
    pub(super) host: Option<Text<Operand>>,
    pub(super) user: Option<Text<Operand>>,
    pub(super) port: Option<Whole<1, 65_535>>,
    pub(super) identity_file: Option<Text<PathBuf>>,
    pub(super) state_dir: Option<Text<PlainPath>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct Report {
    pub(super) known_hosts: Option<Text<PathBuf>>,
    pub(super) deadline: Option<Text<Seconds>>,
    pub(super) min_coverage: Option<Share>,
    pub(super) billed: Option<OneOf<Billed>>,
    pub(super) price: Option<Price>,
    pub(super) templates: Option<Text<PathBuf>>,
    pub(super) final_after: Option<Text<Seconds>>,
    pub(super) incomplete: Option<OneOf<IncompleteLetters>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct Show {
    pub(super) units: Option<OneOf<Prefixes>>,
    pub(super) rates: Option<OneOf<RateUnit>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a price such as { per = \"GiB\", amount = \"0.10\", currency = \"CNY\" }")]
pub(super) struct Price {
    pub(super) per: Text<PricedBytes>,
    pub(super) amount: Text<Decimal>,
    pub(super) currency: Text<Currency>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct Mail {
    pub(super) server: Text<MailServer>,
    pub(super) username: Option<Spanned<Text<UserName>>>,
    pub(super) password_file: Option<Spanned<Text<PathBuf>>>,
    pub(super) ca_file: Option<Text<PathBuf>>,
    pub(super) from: Text<Mailbox>,
    #[serde(default)]
    pub(super) admins: Vec<Text<Mailbox>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct Limits {
    pub(super) warn: Option<Spanned<Vec<Whole<1, 1_000>>>>,
    pub(super) never: Option<Vec<Ports>>,
    #[serde(default)]
    pub(super) port_files: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a channel: a table with at least `name`, `kind` and `url_file`")]
pub(super) struct Notify {
    pub(super) name: Spanned<Text<ChannelName>>,
    pub(super) kind: OneOf<ChannelKind>,
    pub(super) url_file: Text<PathBuf>,
    pub(super) secret_file: Option<Spanned<Text<PathBuf>>>,
    pub(super) template: Option<Spanned<Text<PathBuf>>>,
    pub(super) ca_file: Option<Text<PathBuf>>,
    pub(super) language: Option<OneOf<Language>>,
    pub(super) events: Option<Vec<OneOf<NoticeEvent>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a section")]
pub(super) struct Fleet {
    pub(super) url: Text<FleetUrl>,
    pub(super) database: Option<Text<DatabaseName>>,
    pub(super) user: Option<Spanned<Text<UserName>>>,
    pub(super) password_file: Option<Spanned<Text<PathBuf>>>,
    pub(super) ca_file: Option<Text<PathBuf>>,
    pub(super) node: Option<Text<NodeName>>,
}

/// Reads the keys of `text`, the content of `path`.
pub(super) fn read(path: &Path, text: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|error| refuse(path, text, &error))
}

fn refuse(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let span = error.span().unwrap_or_default();
    let place = Positions::new(path, text).of(span.start);
    if error.message() == "duplicate key" {
        let key = text.get(span).unwrap_or_default();
        return ConfigError::Value { place, message: format!("`{key}` appears twice, expected each key once") };
    }
    // serde describes an unknown key only in words: "unknown field `x`, expected one of `a`, `b`".
    match error.message().strip_prefix("unknown field ") {
        Some(rest) => {
            let mut names = rest.split('`').skip(1).step_by(2).map(str::to_owned);
            let key = names.next().unwrap_or_default();
            ConfigError::UnknownKey { place, key, known: names.collect() }
        }
        None => {
            let key = key::at(text, span.start).map(|key| format!("`{key}`: ")).unwrap_or_default();
            ConfigError::Value { place, message: key + &in_words_of_the_file(error.message()) }
        }
    }
}

/// Rewords serde's messages in the terms of a person who writes the file.
fn in_words_of_the_file(message: &str) -> String {
    [
        ("unknown variant", "unknown value"),
        ("missing field", "missing key"),
        // Usually `[users]` instead of `[[users]]`.
        (
            "map, expected a sequence",
            "table, expected a list in brackets, or a name in double brackets as in [[users]]",
        ),
        ("a sequence", "a list in brackets"),
        ("a boolean", "true or false"),
    ]
    .iter()
    .fold(message.to_owned(), |message, (theirs, ours)| message.replace(theirs, ours))
}
