//! The section of the configuration about a channel of notices.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;

use crate::ledger::language::Language;
use crate::ledger::limits::notice::NoticeEvent;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelConfig {
    pub name: String,
    pub kind: ChannelKind,
    /// A file whose first line is the address. That is a secret, because with most services whoever knows it can post.
    pub url_file: PathBuf,
    /// The key with which a webhook's requests are signed.
    pub secret_file: Option<PathBuf>,
    /// The body of a webhook's requests, instead of the built-in one.
    pub template: Option<PathBuf>,
    /// A PEM file with certificates to be trusted in addition to those of this system.
    pub ca_file: Option<PathBuf>,
    pub language: Language,
    pub events: BTreeSet<NoticeEvent>,
}

/// The service to which a channel sends.
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
