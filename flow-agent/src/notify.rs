//! EDGE https: hands notices to webhooks and messengers.

mod settings;

pub use settings::{ChannelConfig, ChannelKind};
