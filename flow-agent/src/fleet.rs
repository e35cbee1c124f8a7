//! EDGE network: ClickHouse over HTTP, where sealed hours go and where a report can read them.

mod client;
pub mod days;
mod error;
mod insert;
mod manifest;
pub mod rows;
pub mod schema;
mod settings;
mod sql;
pub mod status;
mod tls;

pub use client::{Client, RequestTiming};
pub use error::FleetError;
pub use insert::{Insert, MOST_ROWS};
pub use settings::{FleetConfig, FleetUrl};
