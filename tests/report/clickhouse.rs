//! Hours that are sent to ClickHouse and reported from there. The server is Debian's `clickhouse-server`, which is
//! started for each test in a directory of its own. FLOW_AGENT_CHDB may name a Python with `chdb`; then the newest
//! engine from PyPI is used instead, behind a small HTTP server.

mod engine;
mod faults;
mod hours;
mod kills;
mod node;
mod relay;
mod same;
mod views;
