//! What the program says and how it exits, without root.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has failed, and tests stand outside the rooms"
)]

#[path = "../common/mod.rs"]
mod common;

mod config;
#[path = "../common/hourly.rs"]
mod hourly;
mod store;
