//! The monthly statement, with a real sshd on every node and a real mail server. Needs root, and uses network
//! namespaces.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has failed, and tests stand outside the rooms"
)]

#[path = "../common/mod.rs"]
mod common;

mod again;
mod alone;
mod clickhouse;
mod confined;
mod counted;
mod cron;
mod days;
mod enroll;
mod faults;
mod fleet;
mod hostile;
mod kills;
mod last_mile;
mod late;
mod letters;
mod month;
mod open_day;
mod published;
mod reached;
mod replies;
mod rules;
mod scripted;
mod stub;
mod tls;
mod zones;
