//! The only module that joins the edges. Each command has a file with its arguments and `execute`.

pub mod ask;
pub mod check;
mod common;
mod failure;
pub mod fleet;
pub mod frps_hooks;
mod gathered;
pub mod grant;
pub mod import;
pub mod init;
mod instances;
mod limits;
pub mod notify;
pub mod output;
pub mod prune;
mod renamed;
pub mod report;
pub mod rollup;
pub mod run;
pub mod ship;
pub mod show;
mod templates;
pub mod top;
pub mod uninstall;
pub mod users;

pub use common::Common;
