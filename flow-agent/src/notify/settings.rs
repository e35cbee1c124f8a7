//! What the configuration says of a channel of notices.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;

use crate::ledger::language::Language;
use crate::ledger::limits::notice::NoticeEvent;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelConfig {
    pub name: String,
    pub kind: ChannelKind,
    /// Its first line is the address, which is a secret: with most services, whoever knows it may post.
    pub url_file: PathBuf,
    /// The key with which a webhook's requests are signed.
    pub secret_file: Option<PathBuf>,
    /// The body of a webhook's requests, instead of the built-in one.
    pub template: Option<PathBuf>,
    /// PEM: certificates that are trusted besides this system's.
    pub ca_file: Option<PathBuf>,
    pub language: Language,
    pub events: BTreeSet<NoticeEvent>,
}

/// The service that a channel speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelKind {
    Webhook,
    Telegram,
    Ntfy,
    Bark,
    Wecom,
    Discord,
}
