//! PURE: turns readings into usage, buckets, days and statements. It uses no clock, file, process or environment;
//! `now` is an argument.

pub mod amount;
pub mod billing;
pub mod block;
pub mod by_node;
pub mod by_port;
pub mod calendar;
pub mod counters;
pub mod date;
pub mod forecast;
pub mod language;
pub mod legacy;
pub mod limits;
pub mod month;
pub mod name;
pub mod now;
pub mod percentile;
pub mod rate;
pub mod reading;
pub mod reconcile;
pub mod record;
pub mod rollup;
pub mod seal;
pub mod statement;
pub mod units;
pub mod usage;
pub mod user;
