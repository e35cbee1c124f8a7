//! The laws in `fuzz/laws` without the fuzzer: checked on every stored input and on mutations of them.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has failed, and tests stand outside the rooms"
)]

mod corpus;
mod formats;
mod mutations;

#[path = "../../../fuzz/laws/blocks.rs"]
mod blocks;
#[path = "../../../fuzz/laws/config.rs"]
mod config;
#[path = "../../../fuzz/laws/legacy.rs"]
mod legacy;
#[path = "../../../fuzz/laws/ports.rs"]
mod ports;
#[path = "../../../fuzz/laws/saved.rs"]
mod saved;
#[path = "../../../fuzz/laws/state.rs"]
mod state;
