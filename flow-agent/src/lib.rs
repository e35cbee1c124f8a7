//! Counts the bytes of every port, keeps exact logs, and mails monthly statements.
//!
//! CONTRIBUTING.md says which module may import which; the test `imports` checks every file.

pub mod answer;
pub mod backend;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
mod errors;
pub mod exit;
pub mod fleet;
pub mod gather;
mod guarded;
mod holder;
pub mod ledger;
pub mod mail;
pub mod notify;
pub mod ports;
mod process;
pub mod render;
pub mod store;
#[cfg(test)]
pub mod testing;
