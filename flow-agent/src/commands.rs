//! The only place that joins the edges. One file a command: its arguments, and `execute`.

pub mod ask;
pub mod check;
mod common;
mod failure;
pub mod import;
pub mod init;
mod instances;
pub mod output;
pub mod prune;
mod renamed;
pub mod report;
pub mod rollup;
pub mod run;
pub mod show;
pub mod uninstall;

pub use common::Common;
