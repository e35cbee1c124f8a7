//! EDGE https: hands notices to webhooks and messengers.
//!
//! The addresses are secret. They are read from files, and appear in no error, reply or log.

mod body;
mod channel;
mod error;
mod secret;
mod settings;
mod tls;

pub use channel::{Channel, DEADLINE, SendOutcome};
pub use error::ChannelError;
pub use settings::{ChannelConfig, ChannelKind};

use serde::Serialize;

/// The content of a notice: the fields of the built-in JSON, which templates can use as well.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// Identical for the same notice, so that a receiver can recognize a duplicate.
    pub id: String,
    pub event: &'static str,
    pub level: Option<u32>,
    pub month: String,
    pub user: Option<String>,
    /// The node that the notice is about, if it is about one.
    pub node: Option<String>,
    pub day: Option<String>,
    pub quota_bytes: Option<u64>,
    pub used_bytes: Option<u64>,
    pub left_bytes: Option<u64>,
    pub forecast_bytes: Option<u64>,
    /// A single line.
    pub title: String,
    pub text: String,
    /// The node that sends it.
    pub sent_by: String,
    /// In RFC 3339.
    pub at: String,
}
