//! The output and the exit codes of the program, without root.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has failed, and tests stand outside the rooms"
)]

#[path = "../common/mod.rs"]
mod common;

mod blocks;
mod check;
mod circles;
mod config;
mod dates;
mod frps_hooks;
mod help;
#[path = "../common/hourly.rs"]
mod hourly;
mod import;
mod imports;
mod init;
mod installer;
mod manual;
mod minimal;
mod monitoring;
mod program;
mod prune;
mod quotas;
mod receiver;
mod refusals;
mod rolled_up;
mod screens;
mod show;
mod sources;
mod state;
mod store;
#[path = "../report/stub.rs"]
#[allow(dead_code, reason = "each test binary uses its own part of it")]
mod stub;
mod tls_front;
mod type_names;
mod unit_tests;
mod units;
mod usage;
mod walk;
