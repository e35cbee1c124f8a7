//! Hours that are sent to ClickHouse and reported from there. The server is Debian's `clickhouse-server`, started for each
//! test in a directory of its own; with FLOW_AGENT_CHDB=1 it is the newest engine, from PyPI, behind a small HTTP server.

mod engine;
mod faults;
mod hours;
mod kills;
mod node;
mod relay;
mod same;
