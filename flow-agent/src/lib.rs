//! Counts the bytes that every port moved, keeps exact logs, and mails the monthly statement.
//!
//! Who may import whom: `ledger` imports nothing of ours; the edges (`backend`, `ports`, `store`, `gather`, `mail`) import
//! `ledger` and never each other; `render` is pure; `commands` joins them.

pub mod backend;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod exit;
pub mod gather;
mod holder;
pub mod ledger;
pub mod mail;
pub mod ports;
pub mod render;
pub mod store;
